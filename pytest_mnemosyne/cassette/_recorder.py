"""What comes back for a forwarded request, kept while it flows through to the client.

The client gets every chunk as it arrives, byte for byte; the recording gets the same
chunks and their times, and says at the end how it ended. Only then is a content
encoding undone, for what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Headers,
    Interaction,
    Outcome,
    Request,
    Response,
)

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._budget import Charge

WIRE_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""What describes the wire rather than the answer; never stored and never played."""

_SECRET_HEADERS = frozenset({"set-cookie", "anthropic-organization-id"})

# Raw line ends cannot stand inside JSON, so a line that begins like this is the event.
_STREAM_START = re.compile(
    rb'^(?:event: ?message_start|data: ?\{"type": ?"message_start")', re.MULTILINE
)
_STREAM_END = re.compile(
    rb'^(?:event: ?(?:message_stop|error)\b|data: ?\{"type": ?"(?:message_stop|error)")',
    re.MULTILINE,
)


class Recording:
    """One forwarded request, from its sending to the end of its answer.

    Any thread may finish it, and the first to do so decides the outcome.
    """

    def __init__(
        self,
        request: Request,
        lane: Lane | None,
        *,
        clock: Callable[[], float],
        on_end: Callable[[Recording], None],
        charge: Charge | None = None,
    ) -> None:
        """Start at `clock()`; `on_end` is called once, when the exchange has ended.

        So is the charge settled, what was set aside of a budget for it.
        """
        self.request = request
        self.lane = lane
        self.interaction: Interaction | None = None
        """`None` until the end, and afterwards where nothing can be recorded."""

        self.stored: Interaction | None = None
        """What of it goes into a file; set by whoever hears of the end."""

        self._clock = clock
        self._on_end = on_end
        self._charge = charge
        self._started_s = clock()
        self._status: int | None = None
        self._headers: Headers = ()
        self._chunks: list[Chunk] = []
        self._ended = False
        self._lock = Lock()

    def answer(self, status: int, headers: Headers) -> None:
        """The answer has begun."""
        self._status = status
        self._headers = headers

    def chunk(self, data: bytes) -> None:
        """A piece of the body has arrived, as it is on the wire."""
        self._chunks.append(Chunk(data=data, at_s=self._clock() - self._started_s))

    def read_whole(self) -> None:
        """The body has ended without an error."""
        self._end(Outcome.COMPLETE)

    def reset(self) -> None:
        """The connection broke, or could not be made."""
        self._end(Outcome.RESET)

    def dropped(self) -> None:
        """The other side closed the connection before it had answered, or said all."""
        self._end(Outcome.DROPPED)

    def timed_out(self) -> None:
        """The client's patience ended."""
        self._end(Outcome.TIMEOUT)

    def closed(self) -> None:
        """The client reads no further; that may be because it has all it wants."""
        self._end(Outcome.CANCELLED)

    def settle(self) -> None:
        """End it now if it is still open: closed, or failed where no answer has begun."""
        self._end(Outcome.CANCELLED if self._status is not None else None)

    def failed(self) -> None:
        """The request came to nothing that could be played again, such as a wrong URL."""
        self._end(None)

    def _end(self, outcome: Outcome | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if outcome is not None:
            self.interaction = self._built(outcome)
        if self._charge is not None:
            self._charge.settle(self.interaction)
        self._on_end(self)

    def _built(self, outcome: Outcome) -> Interaction:
        response = None
        if self._status is not None:
            chunks = tuple(decoded(self._headers, self._chunks))
            body = b"".join(each.data for each in chunks)
            outcome = self._judged(outcome, body)
            response = Response(
                status=self._status,
                headers=tuple(
                    each
                    for each in without_wire_headers(self._headers)
                    if each[0] not in _SECRET_HEADERS
                ),
                body=body,
                chunks=chunks if _is_stream(self._headers) else (),
            )
        return Interaction(
            request=self.request,
            response=response,
            outcome=outcome,
            lane=self.lane,
            took_s=self._clock() - self._started_s,
        )

    def _judged(self, outcome: Outcome, body: bytes) -> Outcome:
        """What the bytes say about the end: a stream may be over before its connection is."""
        if outcome is Outcome.COMPLETE:
            cut = _STREAM_START.search(body) and not _STREAM_END.search(body)
            return Outcome.CUT if cut else outcome
        if outcome is Outcome.CANCELLED:
            return Outcome.COMPLETE if self._has_everything(body) else outcome
        return outcome

    def _has_everything(self, body: bytes) -> bool:
        if _is_stream(self._headers):
            return _STREAM_END.search(body) is not None
        length = dict(self._headers).get("content-length", "")
        return length.isdecimal() and sum(len(c.data) for c in self._chunks) >= int(length)


def without_wire_headers(headers: Headers) -> Headers:
    """The headers without those that describe the wire."""
    return tuple([header for header in headers if header[0] not in WIRE_HEADERS])


def decoded(headers: Headers, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Undo the body's content encoding chunk by chunk, keeping times.

    A body that is not encoded as its header claims is given back as it came; of one
    that breaks off in the middle, what could be decoded.
    """
    encoding = ", ".join(value for name, value in headers if name == "content-encoding")
    if encoding.strip().lower() in ("", "identity"):
        yield from chunks
        return
    # The SDK's own HTTP library knows every encoding that it offers to the server.
    import httpx2

    kept = list(chunks)
    last_s = 0.0

    class _Pieces(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            nonlocal last_s
            for piece in kept:
                last_s = piece.at_s
                yield piece.data

    found: list[Chunk] = []
    response = httpx2.Response(200, headers={"content-encoding": encoding}, stream=_Pieces())
    try:
        found.extend(Chunk(data=data, at_s=last_s) for data in response.iter_bytes() if data)
    except httpx2.DecodingError:
        if not found:
            found = kept
    yield from found


def _is_stream(headers: Headers) -> bool:
    return any(
        name == "content-type" and value.startswith("text/event-stream") for name, value in headers
    )
