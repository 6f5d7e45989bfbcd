"""A message on the wire: the many ways in which one stream of events may arrive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_mnemosyne.strategies._answers import messages_answers
from pytest_mnemosyne.wire import PING, JsonObject, Newline, compact, message_events

_GROWN_BY = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}
"""The deltas that may be cut anywhere, and the field that holds their piece."""

_AWKWARD = re.compile(rb"(?<=\r)\n|[\x80-\xbf]")
"""Bytes that go on with a line ending or a character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedMessage:
    """A message and one of the streams that carry it."""

    message: JsonObject
    """What the stream amounts to."""

    chunks: tuple[bytes, ...]
    """The stream's bytes in the pieces in which they arrive; none is empty."""

    @property
    def body(self) -> bytes:
        """All chunks in one."""
        return b"".join(self.chunks)


def sse_streams(message: JsonObject | None = None) -> SearchStrategy[StreamedMessage]:
    """Whole streams that carry a message, in the ways in which servers and networks cut them.

    What varies: where the deltas of texts and tool inputs are cut, pings and comments between
    the events, padding inside the JSON, LF or CRLF, and where the bytes are cut into chunks,
    also within a character or a line ending. Never a stream that breaks off. Shrinks to the
    stream that `message_events` makes, in one chunk.

    Args:
        message: The message; any that `messages_answers` makes if absent.
    """
    messages = messages_answers() if message is None else st.just(message)
    return messages.flatmap(_streams)


@st.composite
def _streams(draw: DrawFn, message: JsonObject) -> StreamedMessage:
    newline = draw(st.sampled_from((Newline.LF, Newline.CRLF)))
    lines: list[str] = []
    for number, event in enumerate(message_events(message)):
        if number:
            # A stream begins with message_start, and only then the server can idle.
            lines.append(draw(st.sampled_from(("", "", PING.plain().decode(), ": still here\n\n"))))
        lines.extend(_spelled(piece, draw(st.integers(0, 3))) for piece in draw(_cut(event)))
    body = "".join(lines).replace("\n", newline).encode()
    return StreamedMessage(message=message, chunks=draw(_chunks(body)))


def _cut(event: JsonObject) -> SearchStrategy[list[JsonObject]]:
    """The event, or two that amount to the same."""
    delta: dict[str, Any] = event.get("delta", {})
    field = _GROWN_BY.get(delta.get("type", ""))
    if field is None or len(delta[field]) < 2:
        return st.just([event])
    piece: str = delta[field]
    return st.integers(0, len(piece) - 1).map(
        lambda place: [
            event | {"delta": delta | {field: part}}
            for part in (piece[:place], piece[place:])
            if part
        ]
    )


def _spelled(event: JsonObject, padding: int) -> str:
    return f"event: {event['type']}\ndata: {compact(event)[:-1]}{' ' * padding}}}\n\n"


def _chunks(body: bytes) -> SearchStrategy[tuple[bytes, ...]]:
    anywhere = st.integers(1, len(body) - 1)
    within = [found.start() for found in _AWKWARD.finditer(body)]
    places = anywhere | st.sampled_from(within) if within else anywhere
    return st.sets(places, max_size=8).map(
        lambda cuts: tuple(
            body[start:end] for start, end in pairwise((0, *sorted(cuts), len(body)))
        )
    )
