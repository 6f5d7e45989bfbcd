"""What an answer says, however it came over the wire.

A message, the stream of one, an error, or anything else that a server may send: one
value for all of them, so that whoever shows or compares answers asks for the meaning
and never for the encoding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pytest_mnemosyne.cassette._json_styles import is_deep
from pytest_mnemosyne.wire import (
    JsonObject,
    MessageShapeError,
    assemble,
    decode,
    json_events,
    looks_like_sse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The meaning of a response's body."""

    message: JsonObject | None = None
    """A message of the Messages API as far as it came; `None` where it is something else."""

    error: JsonObject | None = None
    """What went wrong, with `type` and `message`; a stream may have it beside a message."""

    complete: bool = True
    """False for a stream that ends before it says so."""

    other: object = None
    """What is neither: any JSON value, a text, or bytes; `None` where there is nothing more."""


def read_answer(body: bytes) -> Answer:
    """Read any body; what is no answer of Claude's comes back as `other`."""
    if looks_like_sse(body):
        return _streamed(body)
    value = read_value(body)
    match value:
        case dict() as message if _is_message(message):
            return Answer(message=message)
        case {"type": "error", "error": dict(error)}:
            return Answer(error=error)
        case _:
            return Answer(other=value)


def _is_message(value: JsonObject) -> bool:
    return value.get("type") == "message" and isinstance(value.get("content"), list)


def _streamed(body: bytes) -> Answer:
    try:
        events = json_events(decode(body).events)
        if any(event.get("type") == "completion" for event in events):
            return _completion(events)
        found = assemble(events)
    except (MessageShapeError, LookupError, TypeError, RecursionError):
        return Answer(other=_text(body))
    if is_deep([found.message, found.error]):
        return Answer(other=_text(body))
    error = (found.error or {}).get("error")
    return Answer(
        message=found.message,
        error=error if isinstance(error, dict) else None,
        complete=found.complete,
    )


def _completion(events: tuple[JsonObject, ...]) -> Answer:
    """The answer of the old text completions, whose events each bring a piece of the text."""
    pieces = [event for event in events if event.get("type") == "completion"]
    text = "".join(str(piece.get("completion", "")) for piece in pieces)
    return Answer(other={**pieces[-1], "completion": text})


def read_value(body: bytes) -> object:
    """The JSON value of a body, else its text, else its bytes; `None` for an empty one.

    JSON that is nested too deeply to be walked through is a text.
    """
    if not body:
        return None
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return _text(body)
    return _text(body) if is_deep(value) else value


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
