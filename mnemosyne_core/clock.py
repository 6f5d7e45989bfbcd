"""The time, handed in: nothing in the core asks the operating system for it.

Durations come from the event loop, so a loop with virtual time makes every
deadline, window and lease virtual. The wall clock is an epoch plus the loop's
time, so the two never disagree.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

from mnemosyne_core import origins


class Clock(Protocol):
    """Where durations and dates come from."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def now(self) -> datetime:
        """The wall clock, with time zone UTC."""
        ...


class LoopClock:
    """The running event loop's time, and a wall clock that keeps step with it.

    Each date that it gives is told to `mnemosyne_core.origins`: another run gets another.
    """

    def __init__(self, *, epoch: datetime | None = None) -> None:
        """Pin the wall clock to `epoch` (default: the present) at the first reading."""
        self._epoch = epoch
        self._zero_s: float | None = None

    def monotonic(self) -> float:
        """The running loop's time, in seconds."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """The epoch, plus the loop time that has passed since the first reading."""
        time_s = self.monotonic()
        if self._zero_s is None or self._epoch is None:
            self._zero_s = time_s
            self._epoch = self._epoch or datetime.now(UTC)
        return origins.told(self._epoch + timedelta(seconds=time_s - self._zero_s))
