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
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._key import Key, request_key


class Player:
    """The interactions of one cassette, and which of them were played."""

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        """Index `interactions`, in their recorded order."""
        self.interactions = tuple(interactions)
        self.keys = tuple(request_key(each.request) for each in self.interactions)
        self._has_lanes = any(each.lane is not None for each in self.interactions)
        self._played: set[int] = set()
        self._waiting: dict[tuple[Lane | None, Key], deque[int]] = {}
        self._recorded: dict[tuple[Lane | None, Key], int] = {}
        for index, (interaction, key) in enumerate(zip(self.interactions, self.keys, strict=True)):
            place = (interaction.lane, key)
            self._waiting.setdefault(place, deque()).append(index)
            self._recorded[place] = self._recorded.get(place, 0) + 1

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
        return self._recorded.get(self._place(key, lane), 0)

    def is_played(self, index: int) -> bool:
        """Whether the interaction at `index` was taken."""
        return index in self._played

    def serves(self, index: int, lane: Lane | None) -> bool:
        """Whether the interaction at `index` may answer the lane at all."""
        return not self._has_lanes or self.interactions[index].lane == lane

    def _place(self, key: Key, lane: Lane | None) -> tuple[Lane | None, Key]:
        return (lane if self._has_lanes else None, key)
