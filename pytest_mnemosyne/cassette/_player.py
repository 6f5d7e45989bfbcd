"""Which recorded interaction answers a request.

One lookup, whatever the size of the cassette: for each lane, a queue of unplayed
interactions for each key. Identical requests are therefore answered in recorded
order, and each lane has an order of its own.

A cassette whose interactions have no lane (recorded outside a tree, or by another
recorder) answers every lane; one with lanes answers each lane with its own alone, so
that two agents who ask the same never take each other's answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._key import Key, request_key


class Player:
    """The interactions of one cassette, and which of them were played."""

    def __init__(self, interactions: Sequence[Interaction], keys: Sequence[Key] = ()) -> None:
        """Index `interactions`, in their recorded order, with their keys where those are known."""
        self.interactions = tuple(interactions)
        self.keys = tuple(keys or (request_key(each.request) for each in self.interactions))
        self._has_lanes = any(each.lane is not None for each in self.interactions)
        self._played: set[int] = set()
        self._spelled: dict[tuple[str, str, bytes], Key] = {}
        self._waiting: dict[tuple[Lane | None, Key], deque[int]] = {}
        for index, (interaction, key) in enumerate(zip(self.interactions, self.keys, strict=True)):
            self._spelled[_spelling(interaction.request)] = key
            self._waiting.setdefault((interaction.lane, key), deque()).append(index)

    def key_of(self, request: Request) -> Key:
        """The key of a request; one that is spelled like a recorded one is not parsed for it."""
        return self._spelled.get(_spelling(request)) or request_key(request)

    def take(self, key: Key, lane: Lane | None) -> int | None:
        """The index of the next unplayed answer, which is played from now on."""
        queue = self._waiting.get(self._place(key, lane))
        if not queue:
            return None
        index = queue.popleft()
        self._played.add(index)
        return index

    def recorded(self, key: Key, lane: Lane | None) -> int:
        """How many answers the lane ever had for this request, played or not."""
        place = self._place(key, lane)
        lanes = (each.lane for each in self.interactions)
        return sum(place == each for each in zip(lanes, self.keys, strict=True))

    def unplayed(self) -> list[Interaction]:
        """The interactions that nobody took, in recorded order."""
        if len(self._played) == len(self.interactions):
            return []
        return [each for index, each in enumerate(self.interactions) if index not in self._played]

    def is_played(self, index: int) -> bool:
        """Whether the interaction at `index` was taken."""
        return index in self._played

    def serves(self, index: int, lane: Lane | None) -> bool:
        """Whether the interaction at `index` may answer the lane at all."""
        return not self._has_lanes or self.interactions[index].lane == lane

    def _place(self, key: Key, lane: Lane | None) -> tuple[Lane | None, Key]:
        return (lane if self._has_lanes else None, key)


def _spelling(request: Request) -> tuple[str, str, bytes]:
    return request.method, request.url, request.body
