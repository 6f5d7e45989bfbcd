"""A request and an answer over HTTP, as values that no framework owns."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in order, repeated where the wire repeated them."""


def header(headers: Headers, name: str) -> str | None:
    """The first value of a header; `name` in lower case. `None` where it is not there."""
    return next((value for known, value in headers if known == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What a server was asked."""

    method: str
    """In upper case."""

    path: str
    """Percent-decoded, without the query."""

    query: str = ""
    """As sent, without the question mark."""

    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a server answers: the whole of it, in the pieces in which it is sent."""

    status: int
    headers: Headers = ()
    chunks: tuple[bytes, ...] = ()

    @property
    def body(self) -> bytes:
        """All chunks in one."""
        return b"".join(self.chunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedAnswer:
    """An answer whose pieces come into being while it is sent."""

    status: int
    headers: Headers = ()
    chunks: AsyncIterable[bytes]
    """Iterated on the server's loop; raising `ConnectionDropped` breaks the connection."""


class ConnectionDropped(Exception):  # noqa: N818 (what a server does on purpose is no error)
    """Raised by a handler to break the connection, before an answer or in the middle of one."""
