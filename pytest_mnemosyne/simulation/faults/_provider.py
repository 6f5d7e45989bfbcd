"""What can go wrong between a client and Claude.

A call goes through five stages, and at each of them at most one fault strikes: the first
of the plan that fits. So a late answer can also be cut, but not cut and dropped.

========  ==========================================================================
stage     faults
========  ==========================================================================
arrival   late
call      status, connect_refused, connect_timeout, tls_failure, name_failure,
          sent_twice; without a stream event: reset, drop, stall
message   empty, refusal, max_tokens, pause_turn, broken_tool_json
pace      drip
body      cut, error_event, malformed, repeated_event, short_body; at a stream event:
          reset, drop, stall
========  ==========================================================================

Faults of the stage `call` stand in place of an answer: Claude is never asked, except by
`sent_twice`. Those of the later stages bend the answer on its way to the client.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum, auto
from typing import ClassVar, Literal, TypeAlias, get_args

from pytest_mnemosyne.simulation.draws import Draws
from pytest_mnemosyne.simulation.faults._address import Address
from pytest_mnemosyne.simulation.faults._checks import (
    check_bool,
    check_number,
    check_range_s,
    check_text,
)
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place, drawn_s


class Stage(StrEnum):
    """Where on a call's way a fault strikes."""

    ARRIVAL = auto()
    CALL = auto()
    MESSAGE = auto()
    PACE = auto()
    BODY = auto()


class Answers(StrEnum):
    """Which answers a fault can happen to."""

    ANY = auto()
    STREAMED = auto()
    WHOLE = auto()


class Events(StrEnum):
    """Whether a fault has a place in the stream."""

    NONE = auto()
    MAY = auto()
    MUST = auto()


Flaw: TypeAlias = Literal["json", "name", "utf8"]
"""How an event is malformed: its data breaks off, it has no `event:` line, or half a
character stands in its data."""


@dataclass(frozen=True, slots=True)
class ProviderFault(Fault):
    """A fault between a client and Claude."""

    place: ClassVar[Place] = Place.PROVIDER
    stage: ClassVar[Stage]
    answers: ClassVar[Answers] = Answers.ANY
    events: ClassVar[Events] = Events.NONE

    @property
    def occasion(self) -> Occasion:
        """A call to Claude."""
        return Occasion.CALL

    def check_address(self, address: Address) -> None:
        """Say whether the address may name an event of the stream, and no message."""
        Fault.check_address(self, replace(address, stream_event=None))
        if address.stream_event is not None and self.events is Events.NONE:
            raise FaultPlanError(f"{self.word} has no place in a stream; leave stream_event out")
        if address.stream_event is None and self.events is Events.MUST:
            raise FaultPlanError(f"{self.word} happens to one event; give stream_event=")

    def stage_at(self, address: Address) -> Stage:  # noqa: ARG002 - for those that have two
        """At which stage it strikes."""
        return self.stage

    def happens_to(self, address: Address, *, streamed: bool) -> bool:
        """Whether it can happen to an answer that is streamed, or to one that is whole."""
        if address.stream_event is not None:
            return streamed
        return self.answers is not (Answers.WHOLE if streamed else Answers.STREAMED)


# --- arrival ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Late(ProviderFault):
    """The first byte of the answer is late."""

    word: ClassVar[str] = "late"
    stage: ClassVar[Stage] = Stage.ARRIVAL

    by_s: float
    """Seconds of the loop's clock."""

    up_to_s: float | None = None
    """If given, how late it is from `by_s` to this is left to chance."""

    def __post_init__(self) -> None:
        check_range_s(self.by_s, self.up_to_s)

    def drawn_s(self, draws: Draws) -> float:
        """How late it is this time."""
        return drawn_s(draws, self.word, self.by_s, self.up_to_s)


# --- call ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _InPlaceOfTheAnswer(ProviderFault):
    stage: ClassVar[Stage] = Stage.CALL


@dataclass(frozen=True, slots=True)
class Status(_InPlaceOfTheAnswer):
    """An error answer: what the API says with that status, a 502 as a proxy says it."""

    word: ClassVar[str] = "status"

    status: int
    """400 to 599."""

    retry_after: float | str | None = None
    """Seconds; or the header `retry-after` as it stands, such as a date that is none."""

    retry_after_ms: float | None = None
    """The header `retry-after-ms`, which clients prefer."""

    should_retry: bool | None = None
    """The header `x-should-retry`, which clients obey before the status."""

    error_type: str | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        if (
            isinstance(self.status, bool)
            or not isinstance(self.status, int)
            or not 400 <= self.status <= 599
        ):
            raise FaultPlanError(f"status lies between 400 and 599, got {self.status!r}")
        if isinstance(self.retry_after, str):
            if not self.retry_after.isascii() or not self.retry_after.isprintable():
                raise FaultPlanError(f"retry_after is no header value: {self.retry_after!r}")
        elif self.retry_after is not None:
            check_number("retry_after", self.retry_after, unit="seconds")
        if self.retry_after_ms is not None:
            check_number("retry_after_ms", self.retry_after_ms, unit="milliseconds")
        if self.should_retry is not None:
            check_bool("should_retry", self.should_retry)
        for name in ("error_type", "message"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class ConnectRefused(_InPlaceOfTheAnswer):
    """Nobody listens at Claude's address."""

    word: ClassVar[str] = "connect_refused"


@dataclass(frozen=True, slots=True)
class ConnectTimeout(_InPlaceOfTheAnswer):
    """The connection does not come about while the client has patience."""

    word: ClassVar[str] = "connect_timeout"


@dataclass(frozen=True, slots=True)
class TlsFailure(_InPlaceOfTheAnswer):
    """The certificate is not to be trusted."""

    word: ClassVar[str] = "tls_failure"


@dataclass(frozen=True, slots=True)
class NameFailure(_InPlaceOfTheAnswer):
    """Claude's host name has no address."""

    word: ClassVar[str] = "name_failure"


@dataclass(frozen=True, slots=True)
class SentTwice(_InPlaceOfTheAnswer):
    """The request reaches Claude twice, and the second answer is the one that counts."""

    word: ClassVar[str] = "sent_twice"


@dataclass(frozen=True, slots=True)
class _BreakingOff(_InPlaceOfTheAnswer):
    """Strikes before an answer, or in the middle of a streamed one."""

    events: ClassVar[Events] = Events.MAY

    def stage_at(self, address: Address) -> Stage:
        """The body where the address names an event of it."""
        return Stage.CALL if address.stream_event is None else Stage.BODY


@dataclass(frozen=True, slots=True)
class Reset(_BreakingOff):
    """The connection is reset."""

    word: ClassVar[str] = "reset"


@dataclass(frozen=True, slots=True)
class Drop(_BreakingOff):
    """The server closes the connection although it owes an answer, or the rest of it."""

    word: ClassVar[str] = "drop"


@dataclass(frozen=True, slots=True)
class Stall(_BreakingOff):
    """No byte comes any more, until the client loses patience."""

    word: ClassVar[str] = "stall"


# --- message ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _AnotherMessage(ProviderFault):
    stage: ClassVar[Stage] = Stage.MESSAGE


@dataclass(frozen=True, slots=True)
class Empty(_AnotherMessage):
    """Claude has ended its turn without a word."""

    word: ClassVar[str] = "empty"


@dataclass(frozen=True, slots=True)
class Refusal(_AnotherMessage):
    """Claude refuses."""

    word: ClassVar[str] = "refusal"


@dataclass(frozen=True, slots=True)
class MaxTokens(_AnotherMessage):
    """The answer breaks off at the bound on its tokens."""

    word: ClassVar[str] = "max_tokens"


@dataclass(frozen=True, slots=True)
class PauseTurn(_AnotherMessage):
    """Claude pauses in a long turn and wants to be asked to go on."""

    word: ClassVar[str] = "pause_turn"


@dataclass(frozen=True, slots=True)
class BrokenToolJson(_AnotherMessage):
    """The input of a tool call breaks off in the middle of its JSON.

    In a stream that is the first piece of an input at the named event or after it; the
    rest of that input never comes. An answer that is whole breaks off there itself.
    """

    word: ClassVar[str] = "broken_tool_json"
    events: ClassVar[Events] = Events.MAY


# --- pace ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drip(ProviderFault):
    """Each event of a stream, from the named one on, is late."""

    word: ClassVar[str] = "drip"
    stage: ClassVar[Stage] = Stage.PACE
    answers: ClassVar[Answers] = Answers.STREAMED
    events: ClassVar[Events] = Events.MAY

    delay_s: float
    """Seconds of the loop's clock before each event."""

    def __post_init__(self) -> None:
        check_number("delay_s", self.delay_s, unit="seconds")


# --- body ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _InTheStream(ProviderFault):
    stage: ClassVar[Stage] = Stage.BODY
    answers: ClassVar[Answers] = Answers.STREAMED
    events: ClassVar[Events] = Events.MUST


@dataclass(frozen=True, slots=True)
class Cut(_InTheStream):
    """The stream ends cleanly before the named event.

    Without one, before its `message_delta`: all content is there, and no stop reason.
    """

    word: ClassVar[str] = "cut"
    events: ClassVar[Events] = Events.MAY


@dataclass(frozen=True, slots=True)
class ErrorEvent(_InTheStream):
    """In place of the named event comes an `error`, and nothing after it."""

    word: ClassVar[str] = "error_event"

    error_type: str = "overloaded_error"
    message: str | None = None

    def __post_init__(self) -> None:
        check_text("error_type", self.error_type)
        if self.message is not None:
            check_text("message", self.message)


@dataclass(frozen=True, slots=True)
class Malformed(_InTheStream):
    """The named event is malformed; the stream goes on."""

    word: ClassVar[str] = "malformed"

    flaw: Flaw = "json"

    def __post_init__(self) -> None:
        if self.flaw not in get_args(Flaw):
            known = ", ".join(map(repr, get_args(Flaw)))
            raise FaultPlanError(f"flaw is one of {known}, got {self.flaw!r}")


@dataclass(frozen=True, slots=True)
class RepeatedEvent(_InTheStream):
    """The named event is delivered twice."""

    word: ClassVar[str] = "repeated_event"


@dataclass(frozen=True, slots=True)
class ShortBody(ProviderFault):
    """An answer that is not streamed ends before its `content-length`."""

    word: ClassVar[str] = "short_body"
    stage: ClassVar[Stage] = Stage.BODY
    answers: ClassVar[Answers] = Answers.WHOLE


PROVIDER_FAULTS: tuple[type[ProviderFault], ...] = (
    Late,
    Status,
    ConnectRefused,
    ConnectTimeout,
    TlsFailure,
    NameFailure,
    SentTwice,
    Reset,
    Drop,
    Stall,
    Empty,
    Refusal,
    MaxTokens,
    PauseTurn,
    BrokenToolJson,
    Drip,
    Cut,
    ErrorEvent,
    Malformed,
    RepeatedEvent,
    ShortBody,
)
"""Every kind there is."""
