"""The protocol between a bridge and an agent's process.

=============  ======================  ==============================================
to the agent   from the agent          meaning
=============  ======================  ==============================================
hello          hello                   which version each side speaks
start          ready, unable           make the agent and open its session
ping           beat                    its event loop turns
work           result, failed          a work envelope, and what came of it
cancel         cancelled               end the work on it
answered,      ask                     a request to Claude, which is put from here:
event, ended,                          answered at once, or event by event, or not
refused
.              more                    there is room for so many more events
.              abandon                 nobody waits for the answer any more
stop           stopped                 end the work, close the session, end
=============  ======================  ==============================================

A message is a frame: a head, which is one of the values below, and a body. Envelopes,
prompts, replies and the events of a stream are bodies.

**Versions.** Each side says its version first, and refuses another major number. A field
of a message that this version does not know is left out: that is how a minor number adds
one, with a default. A kind that it does not know is an error, because nobody would do
what it asks for; a new kind is a new major number. What messages carry (blueprints,
envelopes) is not tolerant: a setting that is not understood must not be passed over.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from mnemosyne_core._value import Value
from mnemosyne_core.bridge._crossing import ErrorData
from mnemosyne_core.bridge._frames import frame
from mnemosyne_core.bridge._made import Made
from mnemosyne_core.bridge._source import AgentBlueprint
from mnemosyne_core.errors import ProtocolError, ProtocolVersionError
from mnemosyne_core.work import problems_of

Version = tuple[int, int]
"""Major and minor number."""

VERSION: Final[Version] = (1, 1)

_MessageT = TypeVar("_MessageT")
_SHOWN: Final = 80


class Message(Value):
    """What every message is: a value whose unknown fields are those of a later version."""

    model_config = ConfigDict(extra="ignore")


class Hello(Message):
    """The first word of each side."""

    kind: Literal["hello"] = "hello"
    version: Version = VERSION
    pid: int
    python: str
    """Version of the interpreter, for people."""


class Start(Message):
    """Make this agent."""

    kind: Literal["start"] = "start"
    blueprint: AgentBlueprint
    cancel_s: float
    """How long cancelled work may take to end, in seconds."""


class Ready(Message):
    """The agent's session is open."""

    kind: Literal["ready"] = "ready"


class Unable(Message):
    """There is no agent, and why."""

    kind: Literal["unable"] = "unable"
    error: ErrorData


class Ping(Message):
    """Is the agent's loop alive?"""

    kind: Literal["ping"] = "ping"


class Beat(Message):
    """It is."""

    kind: Literal["beat"] = "beat"


class Work(Message):
    """The work envelope in the body."""

    kind: Literal["work"] = "work"
    seq: PositiveInt


class Cancel(Message):
    """End the work on an envelope."""

    kind: Literal["cancel"] = "cancel"
    seq: PositiveInt


class Result(Message):
    """The result envelope in the body."""

    kind: Literal["result"] = "result"
    seq: PositiveInt
    made: Made | None = None


class Failed(Message):
    """There is no result, because of an error that is none of the work's."""

    kind: Literal["failed"] = "failed"
    seq: PositiveInt
    error: ErrorData
    made: Made | None = None


class Cancelled(Message):
    """The work has ended without a result."""

    kind: Literal["cancelled"] = "cancelled"
    seq: PositiveInt


class Asked(StrEnum):
    """What can be asked of a client of Claude."""

    OPEN = auto()
    SEND = auto()
    STREAM = auto()


class Ask(Message):
    """A request to Claude; the body is its prompt, and empty for `open`."""

    kind: Literal["ask"] = "ask"
    ask: PositiveInt
    """Number of the request; its answers have the same."""

    what: Asked
    seq: PositiveInt | None = None
    """The work that it is for, if it is for any."""

    attempt: PositiveInt = 1
    made: Made | None = None


class Answered(Message):
    """The reply in the body; empty for `open`."""

    kind: Literal["answered"] = "answered"
    ask: PositiveInt


class StreamEvent(Message):
    """One event of a stream, in the body."""

    kind: Literal["event"] = "event"
    ask: PositiveInt


class StreamEnded(Message):
    """The stream is complete."""

    kind: Literal["ended"] = "ended"
    ask: PositiveInt


class Refused(Message):
    """There is no answer, or no more of it, and why."""

    kind: Literal["refused"] = "refused"
    ask: PositiveInt
    error: ErrorData


class More(Message):
    """So many events of a stream have been used, so there is room for as many again."""

    kind: Literal["more"] = "more"
    ask: PositiveInt
    count: PositiveInt


class Abandon(Message):
    """Nobody waits for the answer any more."""

    kind: Literal["abandon"] = "abandon"
    ask: PositiveInt


class Stop(Message):
    """End the work, close the session, end."""

    kind: Literal["stop"] = "stop"
    session_s: float
    """How long the session may take to close, in seconds."""


class Stopped(Message):
    """The session is closed, and the process is about to end."""

    kind: Literal["stopped"] = "stopped"
    error: ErrorData | None = None
    """What closing it raised."""

    left: NonNegativeInt = 0
    """How many pieces of work did not end; they go with the process."""


ToAgent: TypeAlias = (
    Hello | Start | Ping | Work | Cancel | Answered | StreamEvent | StreamEnded | Refused | Stop
)
FromAgent: TypeAlias = (
    Hello | Ready | Unable | Beat | Result | Failed | Cancelled | Ask | More | Abandon | Stopped
)

_TO_AGENT: TypeAdapter[ToAgent] = TypeAdapter(Annotated[ToAgent, Field(discriminator="kind")])
_FROM_AGENT: TypeAdapter[FromAgent] = TypeAdapter(Annotated[FromAgent, Field(discriminator="kind")])


def encode(message: Message, body: bytes = b"") -> bytes:
    """The message as a frame.

    Raises:
        MessageTooLargeError: It is too long.
    """
    return frame(message.model_dump_json().encode(), body)


def decode_to_agent(head: bytes) -> ToAgent:
    """The message to an agent that a frame's head says.

    Raises:
        ProtocolError: There is none.
    """
    return _decoded(_TO_AGENT, head)


def decode_from_agent(head: bytes) -> FromAgent:
    """The message from an agent that a frame's head says.

    Raises:
        ProtocolError: There is none.
    """
    return _decoded(_FROM_AGENT, head)


def check_version(theirs: Version) -> None:
    """Make sure that both sides understand each other.

    Raises:
        ProtocolVersionError: Their major number is another one.
    """
    if theirs[0] != VERSION[0]:
        raise ProtocolVersionError(ours=VERSION, theirs=theirs)


def _decoded(adapter: TypeAdapter[_MessageT], head: bytes) -> _MessageT:
    try:
        return adapter.validate_json(head)
    except ValidationError as error:
        problems = "; ".join(f"{field}: {problem}" for field, problem in problems_of(error))
        raise ProtocolError(
            problem=problems, excerpt=head[:_SHOWN].decode(errors="backslashreplace")
        ) from error
