"""Sentences that build a plan: each says what goes wrong, and then when and for whom.

    faults.status(429, retry_after=3, agent="executor", call=2)
    faults.drop(stream_event=5)

The words after a fault's own are those of `Address`, and `optional=True` for a fault
that nothing need ever meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from pytest_mnemosyne.simulation.faults import _provider as provider
from pytest_mnemosyne.simulation.faults._address import Where
from pytest_mnemosyne.simulation.faults._fault import Fault
from pytest_mnemosyne.simulation.faults._plan import FaultPlan, PlannedFault

if TYPE_CHECKING:
    from typing import Self


class FaultPlanBuilder:
    """Builds a plan; what is said first takes precedence."""

    def __init__(self) -> None:
        """An empty plan."""
        self._plan = FaultPlan()

    @property
    def plan(self) -> FaultPlan:
        """What was said so far."""
        return self._plan

    def add(self, plan: FaultPlan | str) -> Self:
        """Let a whole plan follow, given as a value or as its text."""
        self._plan += FaultPlan.parse(plan) if isinstance(plan, str) else plan
        return self

    def fault(self, fault: Fault, **where: Unpack[Where]) -> Self:
        """Any fault, given as a value."""
        return self.add(FaultPlan((PlannedFault.of(fault, **where),)))

    # --- in place of an answer -----------------------------------------------------------

    def status(
        self,
        status: int,
        *,
        retry_after: float | str | None = None,
        retry_after_ms: float | None = None,
        should_retry: bool | None = None,
        error_type: str | None = None,
        message: str | None = None,
        **where: Unpack[Where],
    ) -> Self:
        """An error answer; what is left out is what the API says with this status.

        Args:
            status: 400 to 599; a 502 is a proxy's and has a page of HTML.
            retry_after: Seconds that the client is asked to wait; a text is the header itself.
            retry_after_ms: The header `retry-after-ms`, which clients prefer.
            should_retry: The header `x-should-retry`, which clients obey before the status.
            error_type: Such as `overloaded_error`.
            message: For people.
            **where: Which calls.
        """
        fault = provider.Status(
            status,
            retry_after=retry_after,
            retry_after_ms=retry_after_ms,
            should_retry=should_retry,
            error_type=error_type,
            message=message,
        )
        return self.fault(fault, **where)

    def connect_refused(self, **where: Unpack[Where]) -> Self:
        """Nobody listens at Claude's address."""
        return self.fault(provider.ConnectRefused(), **where)

    def connect_timeout(self, **where: Unpack[Where]) -> Self:
        """The connection does not come about while the client has patience."""
        return self.fault(provider.ConnectTimeout(), **where)

    def tls_failure(self, **where: Unpack[Where]) -> Self:
        """The certificate is not to be trusted."""
        return self.fault(provider.TlsFailure(), **where)

    def name_failure(self, **where: Unpack[Where]) -> Self:
        """Claude's host name has no address."""
        return self.fault(provider.NameFailure(), **where)

    def sent_twice(self, **where: Unpack[Where]) -> Self:
        """The request reaches Claude twice, and the second answer is the one that counts."""
        return self.fault(provider.SentTwice(), **where)

    # --- in place of an answer, or in the middle of a streamed one -------------------------

    def reset(self, **where: Unpack[Where]) -> Self:
        """The connection is reset: before an answer, or at `stream_event`."""
        return self.fault(provider.Reset(), **where)

    def drop(self, **where: Unpack[Where]) -> Self:
        """The server closes the connection: before an answer, or at `stream_event`."""
        return self.fault(provider.Drop(), **where)

    def stall(self, **where: Unpack[Where]) -> Self:
        """No byte comes any more until the client loses patience; so from `stream_event` on."""
        return self.fault(provider.Stall(), **where)

    # --- another message -----------------------------------------------------------------

    def empty(self, **where: Unpack[Where]) -> Self:
        """Claude has ended its turn without a word."""
        return self.fault(provider.Empty(), **where)

    def refusal(self, **where: Unpack[Where]) -> Self:
        """Claude refuses."""
        return self.fault(provider.Refusal(), **where)

    def max_tokens(self, **where: Unpack[Where]) -> Self:
        """The answer breaks off at the bound on its tokens."""
        return self.fault(provider.MaxTokens(), **where)

    def pause_turn(self, **where: Unpack[Where]) -> Self:
        """Claude pauses in a long turn and wants to be asked to go on."""
        return self.fault(provider.PauseTurn(), **where)

    def broken_tool_json(self, **where: Unpack[Where]) -> Self:
        """A tool call's input breaks off: in a stream at `stream_event` or after it."""
        return self.fault(provider.BrokenToolJson(), **where)

    # --- time ----------------------------------------------------------------------------

    def late(self, by_s: float, *, up_to_s: float | None = None, **where: Unpack[Where]) -> Self:
        """The first byte of the answer is late by so many seconds of the loop's clock.

        With `up_to_s` the seconds are drawn, from `by_s` to that.
        """
        return self.fault(provider.Late(by_s, up_to_s), **where)

    def drip(self, delay_s: float, **where: Unpack[Where]) -> Self:
        """Each event, from `stream_event` on, is late by so many seconds of the loop's clock."""
        return self.fault(provider.Drip(delay_s), **where)

    # --- a body that is not as it should be ------------------------------------------------

    def cut(self, **where: Unpack[Where]) -> Self:
        """The stream ends cleanly before `stream_event`, or before its stop reason."""
        return self.fault(provider.Cut(), **where)

    def error_event(
        self,
        error_type: str = "overloaded_error",
        *,
        message: str | None = None,
        **where: Unpack[Where],
    ) -> Self:
        """In place of `stream_event` comes an `error`, and nothing after it."""
        return self.fault(provider.ErrorEvent(error_type, message), **where)

    def malformed(self, flaw: provider.Flaw = "json", **where: Unpack[Where]) -> Self:
        """The event `stream_event` is malformed; the stream goes on.

        Args:
            flaw: Its data breaks off (`json`), it has no `event:` line (`name`), or half a
                character stands in its data (`utf8`).
            **where: Which event of which calls.
        """
        return self.fault(provider.Malformed(flaw), **where)

    def repeated_event(self, **where: Unpack[Where]) -> Self:
        """The event `stream_event` is delivered twice."""
        return self.fault(provider.RepeatedEvent(), **where)

    def short_body(self, **where: Unpack[Where]) -> Self:
        """An answer that is not streamed ends before its `content-length`."""
        return self.fault(provider.ShortBody(), **where)
