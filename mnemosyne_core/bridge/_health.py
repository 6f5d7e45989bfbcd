"""The health of a bridge: its states, whose fault a failure is, and what that does to it.

Pure bookkeeping; the bridge passes the time in. What a failure of an agent's work
means for the agent:

==========================================  =============  ==============================
failure                                     at fault       what follows
==========================================  =============  ==============================
timeout, crash, garbage, unusable answer    agent          counted: degraded at 3 in the
                                                           window, replaced at 5
connection lost, answer cut, 5xx, 529       agent          counted: whether the API is ill
                                                           or our connection to it cannot
                                                           be told from here, and a new
                                                           session has new connections
agent gone                                  agent          counted, replaced at once
no key, 401, 402, 403, 404, no SDK, budget  circumstances  never a restart, which would
                                                           change nothing; degraded, with
                                                           the reason, until work goes
                                                           well again
429, circuit open                           circumstances  the same, or until one window
                                                           has passed without it
400, 413, 422, refusal, iteration limit,    work           nothing: no agent would have
answer too long, too large for the bridge                  fared better
==========================================  =============  ==============================

A success takes no error back: an agent that fails every other item is not well.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum, auto

from mnemosyne_core.errors import (
    CircuitOpenError,
    ClaudeRateLimitError,
    RateLimitWaitError,
    Recovery,
)
from mnemosyne_core.work import Failure


class BridgeState(StrEnum):
    """Where a bridge stands."""

    NEW = "new"
    """Never spawned."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """At work, but its agent fails often, or lacks what it needs."""

    STALE = "stale"
    """At work, but its agent was not heard of for longer than it should."""

    RESTARTING = "restarting"
    """The agent failed too often or is gone, and is being replaced; work waits."""

    FAILED = "failed"
    """The agent could not start; work is refused."""

    STOPPED = "stopped"


class Blame(StrEnum):
    """Who is at fault when work fails, as in the table above."""

    AGENT = auto()
    CIRCUMSTANCES = auto()
    WORK = auto()


_LIMITS = frozenset(
    kind.code for kind in (CircuitOpenError, ClaudeRateLimitError, RateLimitWaitError)
)


def blame_for(failure: Failure) -> Blame:
    """Who is at fault; whatever nobody has heard of is the agent's."""
    if failure.recovery is Recovery.WORK:
        return Blame.WORK
    if failure.recovery is Recovery.CONFIGURATION or failure.code in _LIMITS:
        return Blame.CIRCUMSTANCES
    return Blame.AGENT


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


class Condition:
    """How the present agent does: its young errors, and what it lacks."""

    def __init__(self, *, window_s: float, degraded_after: int) -> None:
        """Nothing is wrong with it yet."""
        self._window_s = window_s
        self._degraded_after = degraded_after
        self._errors = ErrorWindow(window_s)
        self._last = ""
        self._lack: Failure | None = None
        self._lack_since_s = 0.0

    def begin(self) -> None:
        """Forget everything: there is a new agent."""
        self._errors.clear()
        self._lack = None

    def count_error(self, failure: Failure, now_s: float) -> int:
        """Note an error of the agent and say how many are in the window."""
        self._last = failure.message
        return self._errors.record(now_s)

    def note_lack(self, failure: Failure, now_s: float) -> None:
        """Note that the agent lacks something that no restart would give it."""
        self._lack, self._lack_since_s = failure, now_s

    def note_success(self) -> None:
        """Note that work went well, so nothing is lacking; errors stay where they are."""
        self._lack = None

    def error_count(self, now_s: float) -> int:
        """Errors that are still in the window."""
        return self._errors.count(now_s)

    def trouble(self, now_s: float) -> tuple[str, str] | None:
        """What makes the agent degraded, as a stable word and in words; `None` if nothing does."""
        lack = self._lack
        if lack is not None and lack.recovery is Recovery.LATER:
            # Nobody may ask again for a long time, and limits are lifted by themselves.
            lack = lack if now_s - self._lack_since_s <= self._window_s else None
        if lack is not None:
            words = lack.message
            if lack.hint and lack.hint not in words:
                words = f"{words}; {lack.hint}"
            return lack.code, words
        errors = self._errors.count(now_s)
        if errors >= self._degraded_after:
            within = f"{errors} errors within {self._window_s:g} s"
            return "errors", f"{within}; the last one: {self._last}"
        return None
