"""Restart intensity: how many restarts a supervisor tolerates before it gives up.

Pure bookkeeping. Nothing here reads a clock or touches a task; the supervisor
passes the time in, so the tests are plain arithmetic. The sliding window with an
inclusive bound is that of `add_restart` in OTP's `supervisor.erl`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from mnemosyne_core.errors import ChildSpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartIntensity:
    """Give up on the first restart beyond `max_restarts` within `period_s`."""

    max_restarts: int = 3
    """Tolerated restarts per period. 0 makes the first failure fatal."""

    period_s: float = 60.0
    """Length of the sliding period, in seconds of the supervisor's clock."""

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ChildSpecError(f"max_restarts must be 0 or more, got {self.max_restarts!r}")
        if not (math.isfinite(self.period_s) and self.period_s > 0):
            raise ChildSpecError(
                f"period_s must be a positive number of seconds, got {self.period_s!r}"
            )


class RestartWindow:
    """The restarts that one supervisor has made within the current period."""

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._restarts: deque[float] = deque()

    def record(self, now_s: float) -> bool:
        """Note a restart at `now_s` and say whether it is still tolerated.

        One incident is one restart, however many siblings are restarted with the
        child that failed; a start that fails during a restart is another one.
        """
        # A restart exactly `period_s` old still counts, as in OTP's supervisor.
        oldest_s = now_s - self._intensity.period_s
        while self._restarts and self._restarts[0] < oldest_s:
            self._restarts.popleft()
        self._restarts.append(now_s)
        return len(self._restarts) <= self._intensity.max_restarts
