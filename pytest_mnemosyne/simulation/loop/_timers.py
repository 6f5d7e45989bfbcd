"""Timers in the order of their deadlines, and of their making where those are equal.

Deadlines are compared as whole nanoseconds, so that ten steps of 0.1 s meet one of
1 s. The heap of asyncio's own loop compares floats and is not stable.
"""

from __future__ import annotations

import heapq
import math
from asyncio import TimerHandle
from collections.abc import Iterator
from typing import Final

NANOSECONDS: Final = 1_000_000_000
NEVER_NS: Final = 1 << 80
"""Later than any moment that a loop reaches."""

_FEW: Final = 100


def nanoseconds(seconds: float) -> int:
    """A number of seconds as whole nanoseconds; infinity is `NEVER_NS`."""
    if seconds == math.inf:
        return NEVER_NS
    return min(round(seconds * NANOSECONDS), NEVER_NS)


class Timers:
    """The timers of one loop that have not rung."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, TimerHandle]] = []
        self._made = 0
        self._cancelled = 0

    def __iter__(self) -> Iterator[TimerHandle]:
        """Those that are not cancelled, the next one first."""
        return (timer for _, _, timer in sorted(self._heap) if not timer.cancelled())

    def add(self, timer: TimerHandle) -> None:
        """Take a timer that rings at its `when()`."""
        self._made += 1
        heapq.heappush(self._heap, (nanoseconds(timer.when()), self._made, timer))

    def note_cancelled(self) -> None:
        """One of the timers was cancelled; once they are many, they are thrown out."""
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].cancelled()]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_ns(self) -> int:
        """When the next one rings; `NEVER_NS` where none will."""
        heap = self._heap
        while heap and heap[0][2].cancelled():
            heapq.heappop(heap)
            self._cancelled = max(0, self._cancelled - 1)
        return heap[0][0] if heap else NEVER_NS

    def pop_due(self, now_ns: int) -> list[list[TimerHandle]]:
        """Take out those that ring by `now_ns`: groups of equal deadlines, earliest first."""
        heap = self._heap
        due: list[list[TimerHandle]] = []
        last_ns = -1
        while heap and heap[0][0] <= now_ns:
            when_ns, _, timer = heapq.heappop(heap)
            if timer.cancelled():
                self._cancelled = max(0, self._cancelled - 1)
            elif when_ns == last_ns:
                due[-1].append(timer)
            else:
                due.append([timer])
                last_ns = when_ns
        return due

    def clear(self) -> None:
        """Forget all of them."""
        self._heap.clear()
        self._cancelled = 0
