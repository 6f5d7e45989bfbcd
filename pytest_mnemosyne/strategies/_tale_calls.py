"""The part of a history that is about calls of Claude: what the policies around them say."""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from mnemosyne_core.errors import (
    BudgetExceededError,
    ClaudeDeadlineError,
    ClaudeOverloadedError,
    ClaudeRateLimitError,
)
from mnemosyne_core.events import (
    BudgetExhausted,
    BudgetWarned,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ClaudeDeadlineExceeded,
    ClaudeRateLimited,
    ClaudeRetried,
    ClaudeRetryRefused,
    Fact,
)
from mnemosyne_core.work import Failure
from pytest_mnemosyne.strategies._telling import Telling

_PROVIDER = "https://api.anthropic.com"
_WAIT_S, _OPEN_S, _DEADLINE_S = 0.5, 30.0, 300.0
_LIMIT, _SPENT, _NEEDED = 100_000.0, 90_000.0, 20_000.0
"""A budget of tokens, what has used up most of it, and what there is not enough left for."""

_OVERLOADED = Failure.of(
    ClaudeOverloadedError(status=529, error_type="overloaded_error", message="Overloaded")
)
_ASKED_TO_WAIT = Failure.of(
    ClaudeRateLimitError(
        status=429, error_type="rate_limit_error", message="Later", retry_after_s=120.0
    )
)
_TOO_LATE = Failure.of(ClaudeDeadlineError(deadline_s=_DEADLINE_S))
_TOO_COSTLY = Failure.of(
    BudgetExceededError(unit="tokens", limit=_LIMIT, spent=_SPENT, needed=_NEEDED),
    retryable=False,
)


class Fate(Enum):
    """What becomes of a call."""

    RETRIED = auto()
    """It fails once and is made again."""

    HELD_UP = auto()
    """It waits for its turn."""

    ABANDONED = auto()
    """It takes too long."""

    PUT_OFF = auto()
    """Claude asks to wait for longer than a call may."""

    OUTAGE = auto()
    """It is one failure of Claude too many."""

    COSTLY = auto()
    """It uses up most of the budget; or, if that is used up, there is not enough left for it."""


class Calls:
    """What the calls of all agents have in common: one circuit, one budget."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._circuit_until_s: float | None = None
        """When the circuit lets a call through again; `None` while it is closed."""
        self._is_warned = self._is_exhausted = False

    def make(self, fate: Fate, *, agent: str, attempt: int) -> Failure | None:
        """Tell of one call; gives what it fails of, if it does."""

        def tell(fact: Fact) -> None:
            self._telling.tell(fact, agent=agent, attempt=attempt)

        if self._circuit_until_s is not None:
            # Calls before that are refused, of which nobody tells.
            self._telling.let_pass(max(0.0, self._circuit_until_s - self._telling.now_s))
            tell(CircuitHalfOpened(provider=_PROVIDER))
            if fate is not Fate.OUTAGE:
                self._circuit_until_s = None
                tell(CircuitClosed(provider=_PROVIDER))
        match fate:
            case Fate.RETRIED:
                tell(ClaudeRetried(retry=1, wait_s=_WAIT_S, error=_OVERLOADED))
                self._telling.let_pass(_WAIT_S)
                return None
            case Fate.HELD_UP:
                tell(ClaudeRateLimited(reason="calls at the same time", wait_s=_WAIT_S))
                self._telling.let_pass(_WAIT_S)
                return None
            case Fate.ABANDONED:
                self._telling.let_pass(_DEADLINE_S)
                tell(ClaudeDeadlineExceeded(deadline_s=_DEADLINE_S))
                return _TOO_LATE
            case Fate.PUT_OFF:
                reason = "Claude asks to wait 120 s, and 60 s is the most"
                tell(ClaudeRetryRefused(reason=reason, error=_ASKED_TO_WAIT))
                return _ASKED_TO_WAIT
            case Fate.OUTAGE:
                self._circuit_until_s = self._telling.now_s + _OPEN_S
                reason = _OVERLOADED.message
                tell(CircuitOpened(provider=_PROVIDER, open_s=_OPEN_S, reason=reason))
                return _OVERLOADED
            case Fate.COSTLY if not self._is_warned:
                self._is_warned = True
                tell(BudgetWarned(unit="tokens", limit=_LIMIT, spent=_SPENT))
                return None
            case Fate.COSTLY:
                if not self._is_exhausted:
                    self._is_exhausted = True
                    tell(BudgetExhausted(unit="tokens", limit=_LIMIT, spent=_SPENT, needed=_NEEDED))
                return _TOO_COSTLY
            case _:
                assert_never(fate)
