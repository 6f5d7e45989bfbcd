"""Sentences that build a plan: each says what goes wrong, and then when and for whom.

    faults.status(429, retry_after=3, agent="executor", call=2)
    faults.drop(stream_event=5)

The words after a fault's own are those of `Address`, and `optional=True` for a fault
that nothing need ever meet. What each kind does stands in a table of its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from pytest_mnemosyne.simulation.faults import _actor as actor
from pytest_mnemosyne.simulation.faults import _mailbox as mailbox
from pytest_mnemosyne.simulation.faults import _process as process
from pytest_mnemosyne.simulation.faults import _provider as provider
from pytest_mnemosyne.simulation.faults import _supervisor as supervisor
from pytest_mnemosyne.simulation.faults._address import (
    Where,
    WhereOnTheWay,
    WhereWithMessage,
)
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

    def fault(self, fault: Fault, **where: Unpack[WhereOnTheWay]) -> Self:
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

    # --- an actor --------------------------------------------------------------------------

    def crash(self, *, at: actor.At = "message", **where: Unpack[WhereWithMessage]) -> Self:
        """An actor raises an error; with `at="start"` and a `count`, so many starts fail."""
        return self.fault(actor.Crash(at=at), **where)

    def hang(self, *, at: actor.AtWork = "message", **where: Unpack[WhereWithMessage]) -> Self:
        """An actor waits for what never comes, until it is cancelled."""
        return self.fault(actor.Hang(at=at), **where)

    def swallow_cancel(
        self, *, at: actor.AtWork = "message", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """An actor waits and swallows every cancellation, until the plan lets it go."""
        return self.fault(actor.SwallowCancel(at=at), **where)

    def slow(
        self,
        by_s: float,
        *,
        at: actor.AtWork = "message",
        up_to_s: float | None = None,
        **where: Unpack[WhereWithMessage],
    ) -> Self:
        """An actor takes longer by so many seconds of the loop's clock.

        With `up_to_s` the seconds are drawn, from `by_s` to that.
        """
        return self.fault(actor.Slow(by_s, up_to_s, at=at), **where)

    def foreign_cancel(
        self, *, at: actor.At = "message", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """Somebody other than its supervisor cancels an actor's task."""
        return self.fault(actor.ForeignCancel(at=at), **where)

    def leak_task(self, *, at: actor.AtWork = "message", **where: Unpack[WhereWithMessage]) -> Self:
        """An actor starts a task that does not end with it, only when the plan lets it go."""
        return self.fault(actor.LeakTask(at=at), **where)

    def exit_normally(
        self, *, at: actor.WhileAlive = "message", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """An actor ends as if it had nothing more to do, after the message in hand."""
        return self.fault(actor.ExitNormally(at=at), **where)

    def die_asking(self, **where: Unpack[WhereWithMessage]) -> Self:
        """An actor crashes when it has asked another one; `message` is what it has asked."""
        return self.fault(actor.DieAsking(), **where)

    # --- a supervisor ----------------------------------------------------------------------

    def crash_storm(self, per_s: float, **where: Unpack[Where]) -> Self:
        """An actor crashes so often per second of the loop's clock, again and again.

        `count` is how often; without a bound (`None`) the storm does not end by itself.
        """
        return self.fault(supervisor.CrashStorm(per_s), **where)

    def crash_in_restart(self, **where: Unpack[Where]) -> Self:
        """An actor that runs crashes while its supervisor starts another child again."""
        return self.fault(supervisor.CrashInRestart(), **where)

    def crash_in_shutdown(self, **where: Unpack[Where]) -> Self:
        """An actor crashes as its supervisor begins to stop its children."""
        return self.fault(supervisor.CrashInShutdown(), **where)

    def parent_dies(self, how: supervisor.Death = "crash", **where: Unpack[Where]) -> Self:
        """A supervisor, named by `agent`, dies in the middle of a restart.

        Args:
            how: By an error of its own (`crash`), or because somebody cancels it (`cancel`).
            **where: Which supervisor, and at which step: each start of a child is one.
        """
        return self.fault(supervisor.ParentDies(how), **where)

    def name_race(self, **where: Unpack[Where]) -> Self:
        """Whoever starts a child by hand finds that somebody else was quicker."""
        return self.fault(supervisor.NameRace(), **where)

    # --- a message, on its way to the actor that `agent` names -------------------------------

    def lose(self, **where: Unpack[WhereOnTheWay]) -> Self:
        """A message never arrives, and nobody is told."""
        return self.fault(mailbox.Lose(), **where)

    def duplicate(self, **where: Unpack[WhereOnTheWay]) -> Self:
        """A message arrives twice."""
        return self.fault(mailbox.Duplicate(), **where)

    def delay(
        self, by_s: float, *, up_to_s: float | None = None, **where: Unpack[WhereOnTheWay]
    ) -> Self:
        """A message, and what its sender sends behind it, is late by so many seconds.

        With `up_to_s` the seconds are drawn, from `by_s` to that.
        """
        return self.fault(mailbox.Delay(by_s, up_to_s), **where)

    def reorder(self, within_s: float = 1.0, **where: Unpack[WhereOnTheWay]) -> Self:
        """The next message of another sender, if it comes within `within_s`, overtakes it."""
        return self.fault(mailbox.Reorder(within_s), **where)

    def overflow(self, within_s: float = 1.0, **where: Unpack[WhereOnTheWay]) -> Self:
        """There is no room for a message: a sender that waits gets one after `within_s`."""
        return self.fault(mailbox.Overflow(within_s), **where)

    # --- an event, on its way to a reader ----------------------------------------------------

    def slow_subscriber(self, by_s: float, **where: Unpack[WhereWithMessage]) -> Self:
        """A reader of events pauses for so many seconds before it reads on."""
        return self.fault(mailbox.SlowSubscriber(by_s), **where)

    def lag(self, **where: Unpack[WhereWithMessage]) -> Self:
        """A reader misses an event, and is told so with the next one."""
        return self.fault(mailbox.Lag(), **where)

    # --- an agent's process ------------------------------------------------------------------

    def descriptors_exhausted(self, **where: Unpack[Where]) -> Self:
        """No descriptor is left for the pipes of an agent's process."""
        return self.fault(process.DescriptorsExhausted(), **where)

    def slow_start(self, by_s: float, **where: Unpack[Where]) -> Self:
        """An agent's process comes up late by so many seconds of the loop's clock."""
        return self.fault(process.SlowStart(by_s), **where)

    def wrong_version(self, major: int = 99, **where: Unpack[Where]) -> Self:
        """An agent's process speaks another version of the protocol."""
        return self.fault(process.WrongVersion(major), **where)

    def process_killed(
        self, *, at: process.AtProcess = "sent", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """The system kills an agent's process, as if it had taken too much memory."""
        return self.fault(process.ProcessKilled(at=at), **where)

    def process_stopped(
        self, for_s: float, *, at: process.AtProcess = "sent", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """An agent's process stands still for so many seconds of the loop's clock."""
        return self.fault(process.ProcessStopped(for_s, at=at), **where)

    def process_exit(
        self,
        exit_code: int = 1,
        *,
        at: process.AtProcess = "sent",
        **where: Unpack[WhereWithMessage],
    ) -> Self:
        """An agent's process ends by itself, whatever it was doing."""
        return self.fault(process.ProcessExit(exit_code, at=at), **where)

    def process_noise(
        self, lines: int = 10, *, at: process.OnMessage = "sent", **where: Unpack[WhereWithMessage]
    ) -> Self:
        """An agent's process prints what nobody has asked for."""
        return self.fault(process.ProcessNoise(lines, at=at), **where)

    def half_message(self, **where: Unpack[WhereWithMessage]) -> Self:
        """An agent's process is killed in the middle of a message: half of it arrives."""
        return self.fault(process.HalfMessage(), **where)

    def garbage(
        self,
        text: str = "Traceback (most recent call last):\n",
        **where: Unpack[WhereWithMessage],
    ) -> Self:
        """Something strays into the pipe of an agent's process, in place of a message."""
        return self.fault(process.Garbage(text), **where)
