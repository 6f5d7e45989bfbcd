"""How a body of bytes is written so that a person can read it, and read back byte for byte.

=========  =====================================================================
written    when
=========  =====================================================================
(nothing)  the body is empty
`body`     JSON that one of the styles below gives back exactly
`events`   server-sent events of the usual shape, one line of YAML each
`text`     other UTF-8
`base64`   everything else
=========  =====================================================================

`json` beside `body` or `events` names the style, unless it is compact. An event
whose bytes its parts would not give back is kept as `raw` (or `base64`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._json_styles import COMPACT, STYLES, parse_exactly, print_json
from pytest_mnemosyne.cassette._yaml import Flow, ShapeProblem, Where
from pytest_mnemosyne.wire import Newline, SseEvent, SseStream, decode

_EVENT_STYLES: Final = (COMPACT, "spaced", "compact-ascii", "spaced-ascii")
"""Those that fit on one line."""

BODY_KEYS: Final = ("body", "events", "text", "base64")
"""At most one of them stands beside a status or a method."""

_EVENT_NAMES: Final = ("event", "id", "retry")
_NEWLINES: Final = {newline.name.lower(): newline for newline in Newline}
_PAD = re.compile(r" *\}\Z")


# --- writing ---------------------------------------------------------------------------


def write_body(data: bytes, *, stream: bool = False) -> dict[str, object]:
    """The keys that stand for `data`; `stream` allows `events` among them."""
    if not data:
        return {}
    if stream:
        events = _write_events(data)
        if events is not None:
            return events
    found = parse_exactly(data)
    if found is not None:
        value, style = found
        return {**_named(style), "body": value}
    return _opaque(data, "text")


def _named(style: str) -> dict[str, object]:
    return {} if style == COMPACT else {"json": style}


def _opaque(data: bytes, key: str) -> dict[str, object]:
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        # Lines of 76, as in mail.
        return {"base64": base64.encodebytes(data).decode()}


def _write_events(data: bytes) -> dict[str, object] | None:
    stream = decode(data)
    style = _event_style(stream.events)
    events = [_write_event(event, style) for event in stream.events]
    if all("raw" in event or "base64" in event for event in events):
        return None
    written = _named(style)
    if stream.newline is not Newline.LF:
        written["newline"] = stream.newline.name.lower()
    return {**written, "events": events}


def _event_style(events: Iterable[SseEvent]) -> str:
    """The style of the first event that tells; the others most likely share it."""
    for event in events:
        # An object of one key may look the same in all styles.
        if event.data is not None and "," in event.data:
            found = parse_exactly(_PAD.sub("}", event.data).encode(), _EVENT_STYLES)
            if found is not None:
                return found[1]
    return COMPACT


def _write_event(event: SseEvent, style: str) -> Flow:
    if event.raw is not None:
        return Flow(_opaque(event.raw, "raw"))
    named = {key: getattr(event, key) for key in _EVENT_NAMES if getattr(event, key) is not None}
    return Flow(**named) if event.data is None else Flow(**named, **_write_data(event.data, style))


def _write_data(data: str, style: str) -> dict[str, object]:
    tight = _PAD.sub("}", data)
    # Pings are spaced in streams that are compact otherwise.
    found = parse_exactly(tight.encode(), (style, *_EVENT_STYLES))
    if found is None or not isinstance(found[0], dict):
        return {"data": data}
    written: dict[str, object] = {"data": found[0]}
    if found[1] != style:
        written["json"] = found[1]
    if len(data) > len(tight):
        # The API pads the JSON before its last bracket, so that lengths tell nothing.
        written["pad"] = len(data) - len(tight)
    return written


# --- reading ---------------------------------------------------------------------------


def read_body(written: Mapping[str, Any]) -> bytes:
    """The bytes that `write_body` stood for.

    Raises:
        ShapeProblem: The keys are not what it writes.
    """
    present = [key for key in BODY_KEYS if key in written]
    if not present:
        return b""
    if len(present) > 1:
        raise ShapeProblem((present[1],), f"{present[0]} and {present[1]} exclude each other")
    key = present[0]
    style = _known_style(written.get("json", COMPACT), ())
    if key == "body":
        return _printed(written["body"], style, ("body",))
    if key == "events":
        return _read_events(written, style)
    return _read_opaque(written[key], key, (key,))


def _known_style(style: object, where: Where) -> str:
    if not isinstance(style, str) or style not in STYLES:
        raise ShapeProblem(
            (*where, "json"), f"no JSON style {style!r}; there are {', '.join(STYLES)}"
        )
    return style


def _printed(value: object, style: str, where: Where) -> bytes:
    try:
        return print_json(value, style)
    except (TypeError, ValueError) as error:
        raise ShapeProblem(where, f"not JSON: {error}") from error


def _read_opaque(value: object, key: str, where: Where) -> bytes:
    if not isinstance(value, str):
        raise ShapeProblem(where, f"{key} is text, not {type(value).__name__}")
    try:
        if key != "base64":
            return value.encode()
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ShapeProblem(where, f"not {key}: {error}") from error


def _read_events(written: Mapping[str, Any], style: str) -> bytes:
    name = written.get("newline", "lf")
    newline = _NEWLINES.get(name) if isinstance(name, str) else None
    if newline is None:
        raise ShapeProblem(("newline",), f"newline is one of {', '.join(_NEWLINES)}, not {name!r}")
    events = written["events"]
    if not isinstance(events, list):
        raise ShapeProblem(("events",), f"events is a list, not {type(events).__name__}")
    read = (_read_event(event, style, ("events", at)) for at, event in enumerate(events))
    try:
        return SseStream(tuple(read), newline).encode()
    except UnicodeEncodeError as error:
        raise ShapeProblem(("events",), f"no text: {error}") from error


def _read_event(event: object, style: str, where: Where) -> SseEvent:
    if not isinstance(event, dict):
        raise ShapeProblem(where, f"an event is a mapping, not {type(event).__name__}")
    for key in ("raw", "base64"):
        if key in event:
            return SseEvent(raw=_read_opaque(event[key], key, (*where, key)))
    names = {key: event[key] for key in _EVENT_NAMES if key in event}
    if not all(isinstance(name, str) for name in names.values()):
        raise ShapeProblem(where, f"{', '.join(_EVENT_NAMES)} are texts")
    try:
        return SseEvent(**names, data=_read_data(event, style, where))
    except UsageError as error:
        raise ShapeProblem(where, str(error)) from error


def _read_data(event: Mapping[str, Any], style: str, where: Where) -> str | None:
    data, pad = event.get("data"), event.get("pad", 0)
    if data is None or isinstance(data, str):
        return data
    if not isinstance(data, dict) or not isinstance(pad, int):
        raise ShapeProblem((*where, "data"), "data is a mapping or a text, pad a number")
    text = _printed(data, _known_style(event.get("json", style), where), (*where, "data")).decode()
    return f"{text[:-1]}{' ' * pad}}}"
