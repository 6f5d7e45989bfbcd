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
how the asking ends                             counts as
==============================================  =======================================
an answer, or an error of the request (4xx)     success: the provider is there
500 and above, an error in a stream, a          failure
connection that is lost, an answer that is cut
the call's deadline, while the provider is      failure: it hangs
waited for
429                                             neither: that is the rate limit's matter
a cancellation by the caller, `Abort`, a        neither: the provider was not waited for
stream that nobody wanted any more
==============================================  =======================================

Two clients share a circuit. The breaker refuses calls, so it stands far out. The witness
stands next to the provider, and hears what asking it comes to: a call that never gets
there, because another policy refuses it or its time is up in the line, says nothing.

`purgatory` and `aiobreaker` measure on the wall clock, let several calls try at once, and
know nothing of streams and `retry-after`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from mnemosyne_core.claude._values import ClaudeClient, Prompt
from mnemosyne_core.claude.policies._deadline import is_past_deadline
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


class Circuit:
    """What is known of a provider, and whether it is left alone."""

    def __init__(
        self,
        settings: CircuitSettings,
        *,
        told: Told,
        clock: Clock,
        provider: Callable[[], str],
    ) -> None:
        """A closed circuit.

        Args:
            settings: When to leave the provider alone.
            told: Hears of what the circuit does.
            clock: What measures the time.
            provider: The provider's name; it may be known only when it was asked.
        """
        self._settings = settings
        self._told = told
        self._clock = clock
        self._provider = provider
        self._history = History(settings)
        self._opened_until_s: float | None = None
        """`None` while the circuit is closed."""

        self._probe: object | None = None
        """The call that tries; `None` while nobody does."""

        self._reason = ""
        self.age = 0
        """How often it has opened: what was asked before that is no news."""

    def admit(self, call: object) -> None:
        """Let `call` in, which may be the one that tries.

        Raises:
            CircuitOpenError: The provider is left alone.
        """
        if self._opened_until_s is None:
            return
        left_s = self._opened_until_s - self._clock.monotonic()
        if left_s > 0 or self._probe is not None:
            raise CircuitOpenError(
                provider=self._provider(), retry_after_s=max(0.0, left_s), reason=self._reason
            )
        self._probe = call
        self._told(CircuitHalfOpened(provider=self._provider()))

    def release(self, call: object) -> None:
        """`call` is over; if it has tried and nothing was decided, the next one may try."""
        if self._probe is call:
            self._probe = None

    def answered(self) -> None:
        """The provider has begun to answer."""
        # A long stream must not keep the others waiting: its beginning is an answer.
        if self._probe is not None:
            self._close()

    def heard(self, outcome: Outcome, error: BaseException | None) -> None:
        """Take in what asking the provider came to."""
        if outcome is Outcome.NEITHER:
            return
        failed = outcome is Outcome.FAILURE
        if self._opened_until_s is None:
            if self._history.add(self._clock.monotonic(), failed=failed):
                self._open(error)
        elif self._probe is not None:
            if failed:
                self._open(error)
            else:
                self._close()

    def _open(self, error: BaseException | None) -> None:
        asked_s = error.retry_after_s if isinstance(error, ClaudeStatusError) else None
        open_s = max(self._settings.open_s, asked_s or 0.0)
        self._opened_until_s = self._clock.monotonic() + open_s
        self._probe = None
        self.age += 1
        self._reason = str(error) or "it gave no answer until the call's deadline"
        self._history.clear()
        self._told(CircuitOpened(provider=self._provider(), open_s=open_s, reason=self._reason))

    def _close(self) -> None:
        self._opened_until_s = None
        self._probe = None
        self._told(CircuitClosed(provider=self._provider()))


class CircuitBreaker(Gatekeeper):
    """Refuses calls while their provider is left alone."""

    def __init__(self, inner: ClaudeClient, circuit: Circuit) -> None:
        """Stand before the calls of `inner`, whose provider a `Witness` listens to."""
        super().__init__(inner)
        self._circuit = circuit

    async def _enter(self, _prompt: Prompt, /) -> _Call:
        call = _Call(self._circuit)
        self._circuit.admit(call)
        return call


class _Call:
    """A call that the circuit has let in."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def answered(self) -> None:
        """Nothing to do: the witness has heard it."""

    def leave(self, _usage: Usage, _error: BaseException | None, /) -> None:
        self._circuit.release(self)


class Witness(Gatekeeper):
    """Listens to what a provider says, and keeps nobody from asking."""

    def __init__(self, inner: ClaudeClient, circuit: Circuit) -> None:
        """Tell `circuit` how `inner`, which is the provider, does."""
        super().__init__(inner)
        self._circuit = circuit

    async def _enter(self, _prompt: Prompt, /) -> _Asking:
        return _Asking(self._circuit)


class _Asking:
    """A call that the provider is asked for."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._age = circuit.age
        self._has_begun = False

    @property
    def _is_news(self) -> bool:
        return self._age == self._circuit.age

    def answered(self) -> None:
        self._has_begun = True
        if self._is_news:
            self._circuit.answered()

    def leave(self, _usage: Usage, error: BaseException | None, /) -> None:
        if not self._is_news:
            return
        if self._has_begun and isinstance(error, GeneratorExit):
            error = None
        self._circuit.heard(outcome_of(error), error)


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
    """What it says about a provider that asking it ended with `error`, as in the table above."""
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
        case asyncio.CancelledError():
            # Whoever else cancels a call does not say anything about the provider.
            return Outcome.FAILURE if is_past_deadline() else Outcome.NEITHER
        case _:
            return Outcome.NEITHER
