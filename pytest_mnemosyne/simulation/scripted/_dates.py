"""The dates in a scripted answer, by the clock of whoever carries the exchange.

On a virtual loop they are the dates of its own clock. Elsewhere the first reading is the
epoch, so that they are the same in every run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pytest_mnemosyne.simulation.loop import EPOCH, VirtualLoop
from pytest_mnemosyne.wire import carrying_loop, now_s


class Dates:
    """Time for one script."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self._epoch = epoch
        self._elapsed_s = 0.0
        self._last_s: float | None = None

    def elapsed_s(self) -> float:
        """Seconds since the epoch; never goes back.

        Not even where another loop, with a clock of its own, carries the next exchange.
        """
        time_s = now_s()
        if self._last_s is None:
            self._elapsed_s = time_s if isinstance(carrying_loop(), VirtualLoop) else 0.0
        else:
            self._elapsed_s += max(0.0, time_s - self._last_s)
        self._last_s = time_s
        return self._elapsed_s

    def spelled(self, elapsed_s: float) -> str:
        """The date at a time, to the second, as the API spells it."""
        moment = (self._epoch + timedelta(seconds=elapsed_s)).astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
