"""From a stream's bytes to the API's events.

Only the data lines are read: the API repeats an event's name as the `type` inside
its data. Lines end in LF, CRLF or CR and nothing else; what counts as a line break in
a text, such as U+2028, may stand in the middle of an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from mnemosyne_core.claude._values import Block
from mnemosyne_core.errors import ClaudeStreamError

_LINE_END = re.compile(rb"\r\n|\n|\r")
_EXCERPT_CHARS = 80


async def events_in(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Block, None]:
    """The events in a stream of server-sent events, pings left out.

    An event that no blank line ends was cut, and is none.

    Raises:
        ClaudeStreamError: An event's data is no JSON object.
    """
    decoder = _Decoder()
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
    for event in decoder.close():
        yield event


class _Decoder:
    """Makes events of pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """The events that `chunk` completes."""
        self._rest += chunk
        # Whether a CR at the end is a whole line end only the next piece can tell.
        held = b"\r" if self._rest.endswith(b"\r") else b""
        *lines, self._rest = _LINE_END.split(self._rest.removesuffix(held))
        self._rest += held
        for line in lines:
            yield from self._take(line)

    def close(self) -> Iterator[Block]:
        """The event that the end of the stream completes, if there is one."""
        if self._rest.endswith(b"\r"):
            yield from self._take(self._rest.removesuffix(b"\r"))

    def _take(self, line: bytes) -> Iterator[Block]:
        if line.startswith(b"data:"):
            self._data.append(line.removeprefix(b"data:").removeprefix(b" "))
        elif not line and self._data:
            event = _event_of(b"\n".join(self._data))
            self._data.clear()
            if event.get("type") != "ping":
                yield event


def _event_of(data: bytes) -> Block:
    try:
        event = json.loads(data)
    except ValueError as error:  # what is no UTF-8 is one of these, too
        excerpt = data.decode(errors="replace")[:_EXCERPT_CHARS]
        raise ClaudeStreamError(
            reason=f"an event's data is no JSON ({error}): {excerpt!r}"
        ) from error
    if not isinstance(event, dict):
        raise ClaudeStreamError(reason=f"an event's data is a {type(event).__name__}")
    return event
