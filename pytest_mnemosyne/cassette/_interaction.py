"""One exchange over HTTP, as the client saw it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.lane import Lane

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in order, repeated where the wire repeated them."""


class Outcome(StrEnum):
    """How an exchange ended."""

    COMPLETE = auto()
    """The whole answer was read."""

    DROPPED = auto()
    """The connection broke in the middle of the body."""

    CUT = auto()
    """The body ended cleanly, but before its stream said so."""

    RESET = auto()
    """The connection broke before an answer began."""

    TIMEOUT = auto()
    """The client's patience ended."""

    CANCELLED = auto()
    """The client stopped reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    """In upper case."""

    url: str
    """Absolute where the host is known; host and port never take part in matching."""

    headers: Headers = ()
    body: bytes = b""
    """Decoded: without any content encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a body as it arrived."""

    data: bytes
    at_s: float
    """Seconds after the request was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What was answered."""

    status: int
    headers: Headers = ()
    """Without content-encoding, content-length and transfer-encoding: they described the wire."""

    body: bytes = b""
    """Decoded, byte for byte."""

    chunks: tuple[Chunk, ...] = ()
    """How a streamed body arrived; empty where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A request, its answer, and how it went."""

    request: Request
    response: Response | None
    """`None` where no answer began."""

    outcome: Outcome = Outcome.COMPLETE
    lane: Lane | None = None
    """`None` outside a tree."""

    took_s: float = 0.0
    """From sending the request to the end of the answer, in seconds."""
