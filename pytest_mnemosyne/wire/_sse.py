r"""Server-sent events: bytes to events and back to the very same bytes.

What a stream means and how it is spelled are two things. An event carries its
meaning (`event`, `data`, `id`, `retry`); where its spelling is the plain one,

    event: NAME \n  data: LINE \n  \n

in the stream's own line ending, that is all it carries. Any other spelling
(comments, an unusual order, `data:` without a space, a byte order mark, a missing
end) is kept beside the meaning in `raw`. So a stream can be shown as readable
text, and still nothing of it is lost: `encode(decode(body))` is `body` for every
sequence of bytes.

The rules are those of the HTML standard, "9.2.6 Interpreting an event stream".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mnemosyne_core.errors import UsageError

_BOM = "\ufeff"


class Newline(StrEnum):
    """The line ending that a stream's first line has."""

    LF = "\n"
    CRLF = "\r\n"
    CR = "\r"


@dataclass(frozen=True, slots=True)
class SseEvent:
    r"""One event of a stream, or what stands in an event's place.

    Built by hand it needs `event` and `data` alone. A block without any field, such
    as a comment, has neither.
    """

    event: str | None = None
    data: str | None = None
    r"""The data lines joined with `\n`; `None` where there is no data line."""

    id: str | None = None
    retry: str | None = None
    """As spelled; a client ignores what is no number."""

    raw: bytes | None = None
    """The exact bytes, where the plain spelling would give others."""

    complete: bool = True
    """False for a last event that no blank line ends: a client never sees it."""

    def __post_init__(self) -> None:
        if self.raw is None:
            _check_spellable(self)

    def json(self) -> object:
        """The data as JSON; `json.JSONDecodeError` where it is none."""
        return json.loads(self.data or "")

    def plain(self, newline: Newline = Newline.LF) -> bytes:
        """The event in the plain spelling, whatever `raw` says."""
        lines = []
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        if self.data is not None:
            lines.extend(f"data: {line}" for line in self.data.split("\n"))
        return "".join(f"{line}{newline}" for line in (*lines, "")).encode()

    def encode(self, newline: Newline = Newline.LF) -> bytes:
        """The event as it stands on the wire of a stream with this line ending."""
        return self.plain(newline) if self.raw is None else self.raw


def _check_spellable(event: SseEvent) -> None:
    for name in ("event", "data", "id", "retry"):
        value: str | None = getattr(event, name)
        forbidden = "\r" if name == "data" else "\r\n"
        if value is not None and any(char in value for char in forbidden):
            raise UsageError(
                f"the {name} of a server-sent event cannot hold {forbidden!r}, got {value!r}; "
                "escape the line ending, as JSON does"
            )


@dataclass(frozen=True, slots=True)
class SseStream:
    """A whole stream."""

    events: tuple[SseEvent, ...]
    newline: Newline = Newline.LF

    def encode(self) -> bytes:
        """The stream's bytes."""
        return b"".join(event.encode(self.newline) for event in self.events)


def decode(body: bytes) -> SseStream:
    """Read a whole stream; any bytes will do."""
    decoder = SseDecoder()
    events = (*decoder.feed(body), *decoder.close())
    return SseStream(events, decoder.newline)


def encode(events: Iterable[SseEvent] | SseStream) -> bytes:
    """Spell a stream, or events with the line ending that Claude uses."""
    stream = events if isinstance(events, SseStream) else SseStream(tuple(events))
    return stream.encode()


class SseDecoder:
    r"""Reads a stream piece by piece; pieces may end anywhere, also inside a character.

    A piece that ends in a lone `\r` is held back until the next byte says whether a
    `\n` belongs to it.
    """

    def __init__(self) -> None:
        self._newline: Newline | None = None
        self._pending = bytearray()
        self._scanned = 0
        self._block = bytearray()
        self._lines: list[str] = []
        self._at_start = True

    @property
    def newline(self) -> Newline:
        r"""The line ending of the stream's first line, `\n` until there is one."""
        return self._newline or Newline.LF

    def feed(self, chunk: bytes) -> tuple[SseEvent, ...]:
        """Take the next piece and return the events that it completes."""
        self._pending += chunk
        events = []
        while (line := self._next_line()) is not None:
            event = self._take_line(line)
            if event is not None:
                events.append(event)
        return tuple(events)

    def close(self) -> tuple[SseEvent, ...]:
        """The stream is over: return what is left, at most one finished and one cut event."""
        events = []
        # What was held back is complete now: a line that ends in a lone "\r", or a cut one.
        if self._pending.endswith(b"\r"):
            event = self._take_line(self._cut(len(self._pending)))
            if event is not None:
                events.append(event)
        elif self._pending:
            rest = self._cut(len(self._pending))
            self._block += rest
            self._lines.append(rest.decode("utf-8", "replace"))
        if self._block:
            events.append(self._finish(complete=False))
        return tuple(events)

    def _next_line(self) -> bytes | None:
        """The next line with its ending, once it is certain where it ends."""
        pending = self._pending
        lf = pending.find(b"\n", self._scanned)
        cr = pending.find(b"\r", self._scanned, lf if lf >= 0 else len(pending))
        if cr < 0:
            if lf < 0:
                self._scanned = len(pending)
                return None
            return self._cut(lf + 1)
        if cr + 1 == len(pending):
            self._scanned = cr
            return None
        return self._cut(cr + 2 if pending[cr + 1] == 0x0A else cr + 1)

    def _cut(self, end: int) -> bytes:
        line = bytes(self._pending[:end])
        del self._pending[:end]
        self._scanned = 0
        return line

    def _take_line(self, line: bytes) -> SseEvent | None:
        self._block += line
        content = line.rstrip(b"\r\n")
        if self._newline is None:
            self._newline = Newline(line[len(content) :].decode())
        if content:
            self._lines.append(content.decode("utf-8", "replace"))
            return None
        return self._finish(complete=True)

    def _finish(self, *, complete: bool) -> SseEvent:
        raw, lines = bytes(self._block), self._lines
        self._block, self._lines = bytearray(), []
        if self._at_start and lines:
            lines[0] = lines[0].removeprefix(_BOM)
        self._at_start = False
        return _event_of(lines, raw, self.newline, complete=complete)


def _event_of(lines: list[str], raw: bytes, newline: Newline, *, complete: bool) -> SseEvent:
    fields: dict[str, str] = {}
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name in ("event", "id", "retry"):
            fields[name] = value
    event = SseEvent(
        event=fields.get("event"),
        data="\n".join(data) if data else None,
        id=fields.get("id"),
        retry=fields.get("retry"),
        raw=raw,
        complete=complete,
    )
    if complete and event.plain(newline) == raw:
        return SseEvent(event=event.event, data=event.data, id=event.id, retry=event.retry)
    return event


def looks_like_sse(body: bytes) -> bool:
    """Whether a body is a stream of events, judged by its first line.

    For bodies whose headers are lost or wrong.
    """
    head = body[:4096].removeprefix(_BOM.encode()).lstrip(b"\r\n")
    return head.startswith((b"event:", b"data:", b"id:", b"retry:", b": ", b":\n", b":\r"))
