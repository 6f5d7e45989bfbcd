"""The health of a bridge: its states, and the errors of the last minute.

Pure bookkeeping; the bridge passes the time in.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum


class BridgeState(StrEnum):
    """Where a bridge stands."""

    NEW = "new"
    """Never spawned."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """At work, but its agent fails often."""

    RESTARTING = "restarting"
    """The agent failed too often and is being replaced; work waits."""

    FAILED = "failed"
    """The agent could not start; work is refused."""

    STOPPED = "stopped"


class ErrorWindow:
    """The errors within the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._errors: deque[float] = deque()

    def record(self, now_s: float) -> int:
        """Note an error at `now_s` and say how many there are now."""
        self._errors.append(now_s)
        return self.count(now_s)

    def count(self, now_s: float) -> int:
        """How many errors there are at `now_s`; one exactly as old as the window counts."""
        while self._errors and self._errors[0] < now_s - self._window_s:
            self._errors.popleft()
        return len(self._errors)

    def clear(self) -> None:
        """Forget them all."""
        self._errors.clear()
