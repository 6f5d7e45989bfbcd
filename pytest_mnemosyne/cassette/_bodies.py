"""How a body of bytes is written so that a person can read it, and read back byte for byte.

=========  =====================================================================
written    when
=========  =====================================================================
(nothing)  the body is empty
`body`     JSON that one of the styles below gives back exactly
`events`   a stream of events, in an answer
`text`     other UTF-8
`base64`   everything else
=========  =====================================================================

`json` beside `body` or `events` names the style, unless it is compact.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from pytest_mnemosyne.cassette._json_styles import (
    COMPACT,
    STYLES,
    is_deep,
    parse_exactly,
    print_json,
)
from pytest_mnemosyne.cassette._yaml import ShapeProblem, Where

_BODY_KEYS: Final = ("body", "events", "text", "base64")
"""At most one of them stands beside a status or a method."""


# --- writing ---------------------------------------------------------------------------


def write_body(data: bytes) -> dict[str, object]:
    """The keys that stand for `data`, never `events`."""
    found = parse_exactly(data)
    if found is not None:
        value, style = found
        return {**named_style(style), "body": value}
    return write_opaque(data, "text") if data else {}


def named_style(style: str) -> dict[str, object]:
    """What says that JSON is printed in a style."""
    return {} if style == COMPACT else {"json": style}


def write_opaque(data: bytes, key: str) -> dict[str, object]:
    """`data` as a text under `key`, or as base64."""
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        # Lines of 76, as in mail.
        return {"base64": base64.encodebytes(data).decode()}


# --- reading ---------------------------------------------------------------------------


def body_key(written: Mapping[str, object], where: Where) -> str | None:
    """The key under which a body stands; `None` where it is empty.

    Raises:
        ShapeProblem: There are several.
    """
    present = [key for key in _BODY_KEYS if key in written]
    if len(present) > 1:
        raise ShapeProblem(
            (*where, present[1]), f"{present[0]} and {present[1]} exclude each other"
        )
    return present[0] if present else None


def read_body(written: Mapping[str, object], where: Where) -> bytes:
    """The bytes that `write_body` stood for.

    Raises:
        ShapeProblem: The keys are not what it writes.
    """
    key = body_key(written, where)
    if key is None:
        return b""
    if key == "events":
        raise ShapeProblem((*where, key), "only an answer has events")
    style = read_style(written, COMPACT, where)
    if key == "body":
        return printed(written[key], style, (*where, key))
    return read_opaque(written[key], key, (*where, key))


def read_style(written: Mapping[str, object], default: str, where: Where) -> str:
    """The style that `json` names."""
    style = written.get("json", default)
    if not isinstance(style, str) or style not in STYLES:
        raise ShapeProblem(
            (*where, "json"), f"no JSON style {style!r}; there are {', '.join(STYLES)}"
        )
    return style


def printed(value: object, style: str, where: Where) -> bytes:
    """`value` as JSON in a style."""
    if style.startswith("indent") and is_deep(value):
        # Its blanks would take the square of its depth.
        raise ShapeProblem(where, "it is nested too deeply")
    try:
        return print_json(value, style)
    except (TypeError, ValueError, RecursionError) as error:
        raise ShapeProblem(where, f"not JSON: {error}") from error


def read_opaque(value: object, key: str, where: Where) -> bytes:
    """The bytes that `write_opaque` stood for."""
    if not isinstance(value, str):
        raise ShapeProblem(where, f"{key} is text, not {type(value).__name__}")
    try:
        if key != "base64":
            return value.encode()
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ShapeProblem(where, f"not {key}: {error}") from error
