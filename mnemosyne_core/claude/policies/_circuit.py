"""Circuit breaker: a provider that keeps failing is left alone for a while.

::

            fails too often              time is up: the next call tries
    closed -----------------> open --------------------------------------> half-open
       ^                       ^                                            |    |
       |                       +--------------------------------------------+    |
       |                                     the try fails                       |
       +-------------------------------------------------------------------------+
                                     the try is answered

Exactly one call tries; until it is decided the others are refused as before.

==============================================  =======================================
how a call ends                                 counts as
==============================================  =======================================
an answer, or an error of the request (4xx)     success: the provider is there
500 and above, an error in a stream, a          failure
connection that is lost, an answer that is cut
429                                             neither: that is the rate limit's matter
a policy's refusal, a cancellation, `Abort`,    neither: the provider was not asked, or
a stream that nobody wanted any more            not waited for
==============================================  =======================================

`purgatory` and `aiobreaker` measure on the wall clock, let several calls try at once, and
know nothing of streams and `retry-after`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from mnemosyne_core.claude._values import ClaudeClient, Prompt
from mnemosyne_core.claude.policies._policy import Gatekeeper, Told
from mnemosyne_core.claude.policies._settings import CircuitSettings
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import (
    CircuitOpenError,
    ClaudeConnectionError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
)
from mnemosyne_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened
from mnemosyne_core.work import Usage


class Outcome(Enum):
    """What the end of a call says about the provider."""

    SUCCESS = auto()
    FAILURE = auto()
    NEITHER = auto()


class CircuitBreaker(Gatekeeper):
    """Refuses calls while their provider is left alone."""

    def __init__(
        self,
        inner: ClaudeClient,
        settings: CircuitSettings,
        *,
        told: Told,
        clock: Clock,
        provider: Callable[[], str],
    ) -> None:
        """Watch over the calls of `inner`.

        Args:
            inner: Who asks the provider.
            settings: When to leave it alone.
            told: Hears of what the circuit does.
            clock: What measures the time.
            provider: The provider's name; it may be known only when it was asked.
        """
        super().__init__(inner)
        self._settings = settings
        self._told = told
        self._clock = clock
        self._provider = provider
        self._history = History(settings)
        self._opened_until_s: float | None = None
        """`None` while the circuit is closed."""

        self._probe: _Call | None = None
        self._age = 0
        """How often it has opened: what calls from before that say is no news."""

        self._reason = ""

    async def _enter(self, _prompt: Prompt, /) -> _Call:
        call = _Call(self, age=self._age)
        if self._opened_until_s is None:
            return call
        left_s = self._opened_until_s - self._clock.monotonic()
        if left_s > 0 or self._probe is not None:
            raise CircuitOpenError(
                provider=self._provider(), retry_after_s=max(0.0, left_s), reason=self._reason
            )
        self._probe = call
        self._told(CircuitHalfOpened(provider=self._provider()))
        return call

    def _heard(self, call: _Call, error: BaseException | None) -> None:
        """Take in how a call went, or that it is being answered."""
        if call.age != self._age:
            return
        outcome = outcome_of(error)
        if call is self._probe:
            self._probe = None
            match outcome:
                case Outcome.SUCCESS:
                    self._close()
                case Outcome.FAILURE:
                    self._open(error)
                case Outcome.NEITHER:
                    pass  # the next call may try
        elif self._opened_until_s is None and outcome is not Outcome.NEITHER:
            now_s = self._clock.monotonic()
            if self._history.add(now_s, failed=outcome is Outcome.FAILURE):
                self._open(error)

    def _open(self, error: BaseException | None) -> None:
        asked_s = error.retry_after_s if isinstance(error, ClaudeStatusError) else None
        open_s = max(self._settings.open_s, asked_s or 0.0)
        self._opened_until_s = self._clock.monotonic() + open_s
        self._age += 1
        self._reason = str(error)
        self._history.clear()
        self._told(CircuitOpened(provider=self._provider(), open_s=open_s, reason=self._reason))

    def _close(self) -> None:
        self._opened_until_s = None
        self._told(CircuitClosed(provider=self._provider()))


class _Call:
    """A call that the circuit has let in."""

    def __init__(self, circuit: CircuitBreaker, *, age: int) -> None:
        self._circuit = circuit
        self._has_begun = False
        self.age = age

    def answered(self) -> None:
        # A long stream must not keep the others waiting: its beginning is an answer.
        self._has_begun = True
        if self._circuit._probe is self:
            self._circuit._heard(self, None)

    def leave(self, _usage: Usage, error: BaseException | None, /) -> None:
        was_left = self._has_begun and isinstance(error, GeneratorExit)
        self._circuit._heard(self, None if was_left else error)


class History:
    """How the last calls went."""

    def __init__(self, settings: CircuitSettings) -> None:
        """Judge them by `settings`."""
        self._settings = settings
        self._in_a_row = 0
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0

    def add(self, now_s: float, *, failed: bool) -> bool:
        """Note a call and say whether there are too many failures now."""
        while self._calls and self._calls[0][0] <= now_s - self._settings.window_s:
            self._failures -= self._calls.popleft()[1]
        self._calls.append((now_s, failed))
        self._failures += failed
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if not failed:
            return False
        often = len(
            self._calls
        ) >= self._settings.min_calls and self._failures >= self._settings.failure_rate * len(
            self._calls
        )
        return often or self._in_a_row >= self._settings.consecutive_failures

    def clear(self) -> None:
        """Forget everything."""
        self._calls.clear()
        self._failures = self._in_a_row = 0


def outcome_of(error: BaseException | None) -> Outcome:
    """What a call that ended with `error` says about the provider, as in the table above."""
    match error:
        case None | ClaudeRequestError():
            return Outcome.SUCCESS
        case ClaudeStatusError(status=429) | ClaudeStatusError(error_type="rate_limit_error"):
            return Outcome.NEITHER
        case ClaudeStatusError(status=status):
            is_theirs = status == 200 or status >= 500
            return Outcome.FAILURE if is_theirs else Outcome.SUCCESS
        case ClaudeConnectionError() | ClaudeStreamError():
            return Outcome.FAILURE
        case _:
            return Outcome.NEITHER
