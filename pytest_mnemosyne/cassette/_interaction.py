"""One exchange over HTTP, as the client saw it.

What is printed of it names no header's value, no body and no query: a failing test prints
whatever it compared, and a prompt may hold anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.lane import Lane

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in order, repeated where the wire repeated them."""


# Every path of the API consists of these; an id or a key does not.
_PLAIN = re.compile(r"v\d|[a-z_]+")


class Outcome(StrEnum):
    """How an exchange ended."""

    COMPLETE = auto()
    """The whole answer was read."""

    DROPPED = auto()
    """The other side closed the connection before it had said all, or anything."""

    CUT = auto()
    """The body ended cleanly, but before its stream said so."""

    RESET = auto()
    """The connection broke, or could not be made."""

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

    def __repr__(self) -> str:
        """What was asked, in one line: `Request(POST /v1/files/…, 2 headers, 312 bytes)`."""
        path = re.sub(r"\A[^/]*//[^/]*", "", self.url.partition("?")[0])
        shown = (
            step if not step or _PLAIN.fullmatch(step) else "…"
            for step in path.strip("/").split("/")
        )
        return f"Request({self.method} /{'/'.join(shown)}, {_sizes(self.headers, self.body)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a body as it arrived."""

    data: bytes
    at_s: float
    """Seconds after the request was sent."""

    def __repr__(self) -> str:
        """Its size and its time: `Chunk(57 bytes at 0.12 s)`."""
        return f"Chunk({_bytes(self.data)} at {self.at_s:g} s)"


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

    def __repr__(self) -> str:
        """What was answered, in one line: `Response(200, 5 headers, 1780 bytes in 12 chunks)`."""
        chunks = f" in {len(self.chunks)} chunks" if self.chunks else ""
        return f"Response({self.status}, {_sizes(self.headers, self.body)}{chunks})"


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


def _sizes(headers: Headers, body: bytes) -> str:
    return f"{len(headers)} headers, {_bytes(body)}"


def _bytes(data: bytes) -> str:
    return f"{len(data)} bytes"
