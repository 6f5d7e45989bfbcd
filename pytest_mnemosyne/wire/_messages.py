"""A message and the stream of events that carries it: one into the other.

The order of a stream: `message_start` with everything but content and stop reason;
for each content block `content_block_start`, deltas, `content_block_stop`;
`message_delta` with the stop reason and the final counts; `message_stop`. Counts in a
`message_delta` are totals, which replace those of the start.

What a block is while it streams: text, thinking, tool input and compaction summaries
grow by deltas, every other block arrives whole in its `content_block_start`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.wire._json import JsonObject, compact, mapping
from pytest_mnemosyne.wire._sse import SseEvent

_PIECE_CHARS = 24
"""How much of a text goes into one delta, in characters; a word is not divided for it."""

_LATE_FIELDS = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Fields of a message that only a stream's `message_delta` knows."""

_LATE_COUNTS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
)
"""Fields of `usage` that a `message_delta` repeats as totals."""


class MessageShapeError(UsageError):
    """Something that should be a message of the API, or an event of one, is not.

    Attributes:
        problem: What is wrong with it.
    """

    code = "message_shape"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"not in the shape of the Messages API: {problem}")


# --- from a message to its events ------------------------------------------------------


def message_events(message: Mapping[str, object]) -> tuple[JsonObject, ...]:
    """The events by which the API would stream a finished message.

    A tool call with a text under the key `partial_json` streams that in place of its input.
    """
    content = message.get("content")
    if message.get("type") != "message" or not isinstance(content, list):
        raise MessageShapeError(
            f"a message with a list as its content, got {compact(message)[:200]}"
        )
    return (
        {"type": "message_start", "message": _as_started(message)},
        *(event for index, block in enumerate(content) for event in _block_events(index, block)),
        _message_delta(message),
        {"type": "message_stop"},
    )


def _as_started(message: Mapping[str, Any]) -> JsonObject:
    started = {
        name: value
        for name, value in message.items()
        if name not in _LATE_FIELDS and name != "context_management"
    }
    started |= {name: None for name in _LATE_FIELDS if name in message}
    started["content"] = []
    usage = mapping(message.get("usage"))
    # The count of tokens so far: the API has made one when it sends the start.
    started["usage"] = {
        name: min(1, value) if name == "output_tokens" else value
        for name, value in usage.items()
        if name not in ("output_tokens_details", "server_tool_use", "iterations")
    }
    return started


def _message_delta(message: Mapping[str, Any]) -> JsonObject:
    usage = mapping(message.get("usage"))
    event: JsonObject = {
        "type": "message_delta",
        "delta": {name: message[name] for name in _LATE_FIELDS if name in message},
        "usage": {name: usage[name] for name in _LATE_COUNTS if name in usage},
    }
    if "context_management" in message:
        event["context_management"] = message["context_management"]
    return event


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[JsonObject]:
    started, deltas = _taken_apart(block)
    yield {"type": "content_block_start", "index": index, "content_block": started}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _taken_apart(block: Mapping[str, Any]) -> tuple[JsonObject, list[JsonObject]]:
    """A block as it starts, and the deltas that make it whole."""
    match block:
        case {"type": "text", "text": str(text)}:
            cited = block.get("citations") or []
            started = {**block, "text": ""} | ({"citations": []} if cited else {})
            deltas = [{"type": "citations_delta", "citation": item} for item in cited]
            return started, [*deltas, *_deltas("text_delta", "text", text)]
        case {"type": "thinking", "thinking": str(thought), "signature": str(signature)}:
            deltas = [
                *_deltas("thinking_delta", "thinking", thought),
                {"type": "signature_delta", "signature": signature},
            ]
            return {**block, "thinking": "", "signature": ""}, deltas
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use", "input": dict(given)}:
            # The API's own spelling of an input has spaces, and begins with an empty piece.
            text = json.dumps(given, ensure_ascii=False) if given else ""
            text = block.get("partial_json", text)
            deltas = [_input_delta(""), *(_input_delta(piece) for piece in _pieces(text))]
            started = {name: value for name, value in block.items() if name != "partial_json"}
            return started | {"input": {}}, deltas
        case {"type": "compaction", "content": str(summary)}:
            delta = {"type": "compaction_delta", "content": summary}
            return {**block, "content": None}, [delta]
        case {"type": str()}:
            return dict(block), []
        case _:
            raise MessageShapeError(f"a content block with a type, got {compact(block)[:200]}")


def _input_delta(piece: str) -> JsonObject:
    return {"type": "input_json_delta", "partial_json": piece}


def _deltas(kind: str, field: str, text: str) -> list[JsonObject]:
    return [{"type": kind, field: piece} for piece in _pieces(text)]


def _pieces(text: str) -> Iterator[str]:
    """Cut a text where a word begins, in pieces that differ as little as may be."""
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARS
        space = text.rfind(" ", start + 1, end)
        if end >= len(text):
            end = len(text)
        elif space > start:
            end = space
        yield text[start:end]
        start = end


# --- from events to the message --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What a stream of events amounts to."""

    message: JsonObject | None
    """The message as far as it came; `None` where it did not begin."""

    complete: bool
    """Whether `message_stop` was there."""

    error: JsonObject | None = None
    """The body of an `error` event in the middle of the stream."""


def assemble(events: Iterable[Mapping[str, Any]]) -> Assembled:
    """Put the message together that a stream's events carry.

    Pings and events of kinds unknown here change nothing. A tool input that is no JSON
    object, because it was cut or is broken, stays a string under the key `partial_json`
    of the block.
    """
    message: JsonObject | None = None
    inputs: dict[int, str] = {}
    for event in events:
        kind = event.get("type")
        if kind == "error":
            return Assembled(message=_closed(message, inputs), complete=False, error=dict(event))
        if kind == "message_stop":
            return Assembled(message=_closed(message, inputs), complete=True)
        if kind == "message_start":
            message = copy.deepcopy(dict(event["message"]))
        elif message is not None:
            _apply(event, message, inputs)
        elif kind != "ping":
            raise MessageShapeError(f"a stream begins with message_start, this one with {kind!r}")
    return Assembled(message=_closed(message, inputs), complete=False)


def _apply(event: Mapping[str, Any], message: JsonObject, inputs: dict[int, str]) -> None:
    match event:
        case {"type": "content_block_start", "content_block": dict(block)}:
            message["content"].append(copy.deepcopy(block))
        case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
            if not 0 <= index < len(message["content"]):
                raise MessageShapeError(f"a delta for content block {index}, which did not start")
            _grow(message["content"][index], delta, index, inputs)
        case {"type": "content_block_stop", "index": int(index)} if index in inputs:
            _close_input(message["content"][index], inputs.pop(index))
        case {"type": "message_delta", "delta": dict(delta)}:
            message |= {name: value for name, value in delta.items() if name in _LATE_FIELDS}
            counts = mapping(event.get("usage"))
            # A count that is not known yet replaces none, but its field is there.
            message["usage"] = {
                **counts,
                **message["usage"],
                **{name: count for name, count in counts.items() if count is not None},
            }
            rest = {"type", "delta", "usage"}
            message |= {name: value for name, value in event.items() if name not in rest}


def _grow(block: JsonObject, delta: Mapping[str, Any], index: int, inputs: dict[int, str]) -> None:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            block["text"] += text
        case {"type": "thinking_delta", "thinking": str(text)}:
            block["thinking"] += text
        case {"type": "signature_delta", "signature": str(signature)}:
            block["signature"] = signature
        case {"type": "citations_delta", "citation": dict(citation)}:
            block["citations"] = [*(block.get("citations") or []), citation]
        case {"type": "input_json_delta", "partial_json": str(piece)}:
            inputs[index] = inputs.get(index, "") + piece
        case {"type": "compaction_delta"}:
            block |= {name: value for name, value in delta.items() if name != "type"}


def _close_input(block: JsonObject, text: str) -> None:
    try:
        given = json.loads(text or "{}")
    except json.JSONDecodeError:
        given = None
    if isinstance(given, dict):
        block["input"] = given
    else:
        block["partial_json"] = text


def _closed(message: JsonObject | None, inputs: dict[int, str]) -> JsonObject | None:
    for index, text in inputs.items():
        if text and message is not None:
            message["content"][index]["partial_json"] = text
    return message


# --- events on the wire ----------------------------------------------------------------


def sse_of(event: Mapping[str, object]) -> SseEvent:
    """A message event as the API spells it, its type also being the event's name."""
    return SseEvent(event=str(event["type"]), data=compact(event))


PING = SseEvent(event="ping", data='{"type": "ping"}')
"""What the API sends to keep a stream open."""


def json_events(events: Iterable[SseEvent]) -> tuple[JsonObject, ...]:
    """The JSON objects in a stream's events; comments and cut events are left out."""
    found = []
    for event in events:
        if event.complete and event.data:
            try:
                value = event.json()
            except json.JSONDecodeError as error:
                raise MessageShapeError(
                    f"the data of event {event.event!r} is no JSON ({error}): {event.data[:120]!r}"
                ) from error
            if not isinstance(value, dict):
                raise MessageShapeError(f"the data of event {event.event!r} is {value!r}")
            found.append(value)
    return tuple(found)
