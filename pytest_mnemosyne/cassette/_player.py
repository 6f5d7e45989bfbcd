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

A request is looked up in the words of the cassette (see `_origins`). One that names ids
of this run, and is not found so, is looked for among those that are the same but for
their ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._kept import KeptInteractions
from pytest_mnemosyne.cassette._key import Key, KeyMaker
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._origins import Asked, Origins


@dataclass(slots=True)
class Found:
    """What came of looking for an answer."""

    index: int | None
    """Which interaction answers, played from now on; `None` where none does."""

    asked: Asked
    """The request in the words of the cassette."""

    key: Key
    objection: str = ""
    """Where one is the same but for its ids: why it does not answer."""


class Player:
    """The interactions of one cassette, and which of them were played."""

    def __init__(
        self,
        interactions: Sequence[Interaction],
        *,
        origins: Origins | None = None,
        loosening: Loosening = EXACTLY,
    ) -> None:
        """Index `interactions`, in their recorded order.

        Args:
            interactions: Those of the cassette.
            origins: What this run's values are called in the cassette; by default nothing is
                called otherwise.
            loosening: What is not compared.
        """
        self.interactions = interactions
        self._origins = origins or Origins()
        self._key_maker = KeyMaker(loosening)
        self._lanes: Sequence[Lane | None]
        if isinstance(interactions, KeptInteractions):
            self._lanes = interactions.lanes
        else:
            self._lanes = [each.lane for each in interactions]
        self.keys = self._keys_of(interactions, loosening)
        self._spelled = dict(zip(self._spellings_of(interactions), self.keys, strict=True))
        self._spelled.pop(b"", None)
        self._has_lanes = any(self._lanes)
        self._played: set[int] = set()
        self._own: dict[tuple[Lane | None, Key], deque[int]] = {}
        """What was recorded for each lane; may still hold what its group has taken."""
        self._group = {} if self._has_lanes else self._own
        """What was recorded for each group; may still hold what the lanes have taken."""
        for index, (lane, key) in enumerate(zip(self._lanes, self.keys, strict=True)):
            self._own.setdefault((lane, key), deque()).append(index)
            if self._has_lanes:
                self._group.setdefault((_group_of(lane), key), deque()).append(index)
        self._alike: dict[bytes, list[tuple[int, tuple[str, ...]]]] | None = None

    def _keys_of(
        self, interactions: Sequence[Interaction], loosening: Loosening
    ) -> tuple[Key, ...]:
        if isinstance(interactions, KeptInteractions) and (
            interactions.keyed_for is not None and interactions.keyed_for == loosening.fingerprint
        ):
            return tuple(interactions.keys)
        return tuple([self._key_maker.key(each.request) for each in interactions])

    def _spellings_of(self, interactions: Sequence[Interaction]) -> Sequence[bytes]:
        if isinstance(interactions, KeptInteractions):
            return interactions.spellings
        return [self._key_maker.spelling(each.request) for each in interactions]

    def key_of(self, request: Request) -> Key:
        """The key of a request in the words of the cassette.

        A short one that is spelled like a recorded one is not parsed for it.
        """
        known = self._spelled.get(self._key_maker.spelling(request))
        return known or self._key_maker.key(request)

    def find(self, request: Request, lane: Lane | None) -> Found:
        """Take the answer to a request of this run, if there is one."""
        asked = self._origins.asked(request)
        key = self.key_of(asked.request)
        index = self.take(key, lane)
        if index is not None:
            self._origins.agree(asked)
        elif asked.ids:
            return self._find_alike(asked, key, lane)
        return Found(index, asked, key)

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
        return not self._has_lanes or _group_of(self._lanes[index]) == _group_of(lane)

    # --- inside ------------------------------------------------------------------------

    def _next(self, queue: deque[int] | None) -> int | None:
        # What was taken by way of the other queue is still in this one, and is let go here:
        # each index is passed over once, so a lookup stays one however long the queue.
        while queue:
            index = queue.popleft()
            if index not in self._played:
                self._played.add(index)
                return index
        return None

    def _find_alike(self, asked: Asked, key: Key, lane: Lane | None) -> Found:
        """Take the first answer to a request that is the same but for its ids, if they can be."""
        if self._alike is None:
            self._alike = {}
            for index, each in enumerate(self.interactions):
                digest, names = self._numbered(each.request)
                if names:
                    self._alike.setdefault(digest, []).append((index, names))
        digest, names = self._numbered(asked.request)
        candidates = [
            (self._has_lanes and self._lanes[index] != lane, index, recorded)
            for index, recorded in self._alike.get(digest, ())
            if index not in self._played and self.serves(index, lane)
        ]
        objections = []
        for _, index, recorded in sorted(candidates):
            objection = self._origins.objection(asked, names, recorded)
            if objection is None:
                self._played.add(index)
                return Found(index, asked, key)
            objections.append(f"interaction {index + 1} is {objection}")
        return Found(None, asked, key, objections[0] if objections else "")

    def _numbered(self, request: Request) -> tuple[bytes, tuple[str, ...]]:
        """A digest of a request without its ids, which are the names in their order."""
        from pytest_mnemosyne.cassette._stand_ins import numbered

        text, names = numbered(self._key_maker.canonical(request))
        return blake2b(text, digest_size=16).digest(), names


def _group_of(lane: Lane | None) -> Lane | None:
    """The lane of the role that `lane` belongs to, at the same attempt."""
    if lane is None or "/" not in lane.agent:
        return lane
    return Lane(lane.role, lane.attempt)
