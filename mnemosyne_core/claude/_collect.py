"""From a stream's events to the message that they carry.

What the API streams in pieces (texts, thoughts, tool inputs, citations) is put
together again. Events, blocks and deltas newer than this release lose nothing that
can be kept: a new block arrives whole in its start, the fields of a new delta are
put on its block, a new event changes nothing. Counts in a `message_delta` are
totals, which replace those of the start.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from typing import cast

from pydantic import JsonValue

from mnemosyne_core.claude._reply import reply_of
from mnemosyne_core.claude._values import Block, Reply
from mnemosyne_core.errors import ClaudeStreamError


async def collect(events: AsyncIterator[Block]) -> Reply:
    """The reply of a stream, which stays the caller's to close.

    Raises:
        ClaudeStreamError: The stream ended before its message did, or makes no sense.
        ClaudeError: What the stream itself raised.
    """
    assembly = Assembly()
    async for event in events:
        assembly.add(event)
    return assembly.reply()


class Assembly:
    """A message while it is put together, event by event."""

    def __init__(self) -> None:
        self._message: Block | None = None
        self._blocks: list[Block] = []
        self._inputs: dict[int, list[str]] = {}
        self._is_complete = False

    def add(self, event: Block) -> None:
        """Take the next event in.

        Raises:
            ClaudeStreamError: It does not fit what came before.
        """
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self._start(message)
            case {"type": "content_block_start", "content_block": dict(block)}:
                self._begun("a content block")
                self._blocks.append(copy.deepcopy(block))
            case {"type": "content_block_delta", "index": index, "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                self._end(delta, event)
            case {"type": "message_stop"}:
                self._begun("the end")
                self._is_complete = True

    def reply(self) -> Reply:
        """The reply, once the stream is over.

        Raises:
            ClaudeStreamError: Its end is missing, or it is no message.
        """
        if self._message is None or not self._is_complete:
            had = "nothing" if self._message is None else f"{len(self._blocks)} content blocks"
            raise ClaudeStreamError(reason=f"the stream ended without message_stop, after {had}")
        stop_reason = self._message.get("stop_reason")
        for index, pieces in self._inputs.items():
            self._blocks[index]["input"] = _input_of("".join(pieces), stop_reason)
        return reply_of({**self._message, "content": cast(JsonValue, self._blocks)})

    def _start(self, message: Block) -> None:
        if self._message is not None:
            raise ClaudeStreamError(reason="a second message began in the same stream")
        self._message = copy.deepcopy(message)
        content = self._message.get("content")
        began_with = content if isinstance(content, list) else []
        self._blocks = [block for block in began_with if isinstance(block, dict)]

    def _begun(self, what: str) -> Block:
        if self._message is None:
            raise ClaudeStreamError(reason=f"{what} came before message_start")
        return self._message

    def _grow(self, index: JsonValue, delta: Block) -> None:
        if not isinstance(index, int) or not 0 <= index < len(self._blocks):
            raise ClaudeStreamError(reason=f"a piece of content block {index!r}, which never began")
        block = self._blocks[index]
        match delta:
            case {"type": "text_delta", "text": str(text)}:
                block["text"] = f"{block.get('text') or ''}{text}"
            case {"type": "thinking_delta", "thinking": str(thought)}:
                block["thinking"] = f"{block.get('thinking') or ''}{thought}"
            case {"type": "input_json_delta", "partial_json": str(piece)}:
                self._inputs.setdefault(index, []).append(piece)
            case {"type": "citations_delta", "citation": citation}:
                cited = block.get("citations")
                block["citations"] = [*(cited if isinstance(cited, list) else ()), citation]
            case _:
                # A signature comes whole, and so, as far as anybody can tell, does what is new.
                block |= {name: value for name, value in delta.items() if name != "type"}

    def _end(self, delta: Block, event: Block) -> None:
        message = self._begun("the stop reason")
        counts = counts_after(message.get("usage"), event)
        message |= delta
        message["usage"] = counts


def counts_after(counts: JsonValue, event: Block) -> JsonValue:
    """The API's token counts of a message after an event of its stream."""
    match event:
        case {"type": "message_start", "message": {"usage": dict(begun)}}:
            return begun
        case {"type": "message_delta", "usage": dict(totals)}:
            # A count that is not known yet replaces none.
            known = {name: count for name, count in totals.items() if count is not None}
            return {**(counts if isinstance(counts, dict) else {}), **known}
        case _:
            return counts


def _input_of(text: str, stop_reason: JsonValue) -> JsonValue:
    """The tool input that was streamed as `text`."""
    try:
        given: JsonValue = json.loads(text or "{}")
    except ValueError:
        given = None
    if isinstance(given, dict):
        return given
    if stop_reason == "tool_use":
        raise ClaudeStreamError(reason=f"a tool's input is no JSON object: {text[:80]!r}")
    # The answer met a bound in the middle of it; nobody will run this call.
    return {}
