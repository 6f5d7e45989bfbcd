"""The line: in which order those items are claimed that wait for nothing but their turn.

By rank, lowest first. An item may join with a moment before which it rests; then the
others pass it by, and at that moment it gets the place that its rank gives it.

Nobody leaves from the middle: what has ended meanwhile is dropped when it comes up, so
that each item costs no more than the logarithm of their number.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from heapq import heappop, heappush

from mnemosyne_core.work._values import AgentRole

Rank = tuple[int, int, str]
"""What orders items; the last part is the item's id."""


class Line:
    """Items that could be claimed, now or from some moment on."""

    def __init__(self, live: Container[str]) -> None:
        """An empty line; those whose ids are not in `live` when they come up have ended."""
        self._live = live
        # By role, so that a role without an agent blocks no other.
        self._ready: dict[AgentRole, list[Rank]] = {role: [] for role in AgentRole}
        self._resting: list[tuple[float, Rank, AgentRole]] = []

    def join(self, rank: Rank, role: AgentRole, *, not_before_s: float | None) -> None:
        """Put an item where its rank belongs, from `not_before_s` on; `None`: at once."""
        if not_before_s is None:
            heappush(self._ready[role], rank)
        else:
            heappush(self._resting, (not_before_s, rank, role))

    def pop(self, roles: Collection[AgentRole] | None, *, now_s: float) -> str | None:
        """Take out the first one at `now_s`, of `roles` only if given; `None` if there is none."""
        self._wake(now_s)
        tops = [
            (heap[0], role)
            for role, heap in self._ready.items()
            if (roles is None or role in roles) and self._prune(heap)
        ]
        if not tops:
            return None
        (*_, item_id), role = min(tops)
        heappop(self._ready[role])
        return item_id

    def next_due_s(self, now_s: float) -> float | None:
        """When the first one that rests after `now_s` has rested enough; `None` if none rests."""
        self._wake(now_s)
        while self._resting and not self._is_live(self._resting[0][1]):
            heappop(self._resting)
        return self._resting[0][0] if self._resting else None

    def _wake(self, now_s: float) -> None:
        while self._resting and self._resting[0][0] <= now_s:
            _, rank, role = heappop(self._resting)
            heappush(self._ready[role], rank)

    def _prune(self, heap: list[Rank]) -> bool:
        """Drop what has ended from the top of `heap`, and say whether anything is left."""
        while heap and not self._is_live(heap[0]):
            heappop(heap)
        return bool(heap)

    def _is_live(self, rank: Rank) -> bool:
        return rank[2] in self._live
