"""Which recorded interaction answers a request.

One lookup, whatever the size of the cassette: for each lane, a queue of unplayed
interactions for each key. Identical requests are therefore answered in recorded
order, and each lane has an order of its own.

A role may have several agents, `executor` and its sub-agents `executor/sub-1`,
`executor/sub-2`, ... Which of them takes an item depends on who happens to be free, so
the lanes of one attempt below one role are a group: an agent gets what was recorded for
itself while there is any, and then what was recorded for its group, in recorded order.
Each answer is still given once.

A cassette whose interactions have no lane (recorded outside a tree, or by another
recorder) answers every lane; one with lanes answers each group with its own alone, so
that agents of two roles who ask the same never take each other's answer.
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
        self._own: dict[tuple[Lane | None, Key], deque[int]] = {}
        """What was recorded for each lane; may still hold what its group has taken."""
        self._group: dict[tuple[Lane | None, Key], deque[int]] = {}
        """What was recorded for each group; may still hold what the lanes have taken."""
        for index, (interaction, key) in enumerate(zip(self.interactions, self.keys, strict=True)):
            lane = interaction.lane
            self._spelled[_spelling(interaction.request)] = key
            self._own.setdefault((lane, key), deque()).append(index)
            self._group.setdefault((_group_of(lane), key), deque()).append(index)

    def key_of(self, request: Request) -> Key:
        """The key of a request; one that is spelled like a recorded one is not parsed for it."""
        return self._spelled.get(_spelling(request)) or request_key(request)

    def take(self, key: Key, lane: Lane | None) -> int | None:
        """The index of the next unplayed answer, which is played from now on."""
        if not self._has_lanes:
            lane = None
        index = self._next(self._own.get((lane, key)))
        return self._next(self._group.get((_group_of(lane), key))) if index is None else index

    def recorded(self, key: Key, lane: Lane | None) -> int:
        """How many answers the lane's group ever had for this request, played or not."""
        return sum(each == key and self.serves(index, lane) for index, each in enumerate(self.keys))

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
        if not self._has_lanes:
            return True
        return _group_of(self.interactions[index].lane) == _group_of(lane)

    def _next(self, queue: deque[int] | None) -> int | None:
        # What was taken by way of the other queue is still in this one, and is let go here:
        # each index is passed over once, so a lookup stays one however long the queue.
        while queue:
            index = queue.popleft()
            if index not in self._played:
                self._played.add(index)
                return index
        return None


def _group_of(lane: Lane | None) -> Lane | None:
    """The lane of the role that `lane` belongs to, at the same attempt."""
    if lane is None or "/" not in lane.agent:
        return lane
    return Lane(lane.agent.partition("/")[0], lane.attempt)


def _spelling(request: Request) -> tuple[str, str, bytes]:
    return request.method, request.url, request.body
