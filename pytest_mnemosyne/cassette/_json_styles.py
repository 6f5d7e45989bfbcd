"""JSON that is printed again byte for byte as it came."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

COMPACT: Final = "compact"

STYLES: Final = {
    COMPACT: partial(json.dumps, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    "spaced": partial(json.dumps, ensure_ascii=False, allow_nan=False),
    "compact-ascii": partial(json.dumps, separators=(",", ":"), allow_nan=False),
    "spaced-ascii": partial(json.dumps, allow_nan=False),
    "indent-2": partial(json.dumps, indent=2, ensure_ascii=False, allow_nan=False),
    "indent-2-ascii": partial(json.dumps, indent=2, allow_nan=False),
    "indent-4": partial(json.dumps, indent=4, ensure_ascii=False, allow_nan=False),
    "indent-4-ascii": partial(json.dumps, indent=4, allow_nan=False),
}
"""The ways to print JSON that are given back exactly; httpx and the API itself are compact."""

LONGEST_NUMBER: Final = 1000
"""In characters. YAML's numbers to the base of 60 take the square of their length to read."""

_DEEPEST: Final = 60
"""Levels of nesting; a schema has a dozen, and YAML costs several stack frames for each."""


def parse_exactly(
    data: bytes, styles: tuple[str, ...] = tuple(STYLES)
) -> tuple[object, str] | None:
    """The JSON value of `data` and the style that gives the same bytes again, if there is one."""
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    if is_deep(value):
        return None
    style = _style_of(value, data, styles)
    return None if style is None else (value, style)


def _int(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters")
    return int(text)


_DECODER: Final = json.JSONDecoder(parse_int=_int)


def _style_of(value: object, data: bytes, styles: tuple[str, ...]) -> str | None:
    for style in styles:
        try:
            if STYLES[style](value).encode() == data:
                if style.endswith("-ascii"):
                    # Escapes may spell half a character, which YAML cannot hold.
                    print_json(value)
                return style
        except (ValueError, RecursionError):
            # NaN, lone surrogates, a tower of brackets: legal for `json`, not for YAML.
            return None
    return None


def is_deep(value: object) -> bool:
    """Whether it is nested so deeply that walking down it could exhaust the stack."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def print_json(value: object, style: str = COMPACT) -> bytes:
    """`value` as bytes in one of the styles."""
    return STYLES[style](value).encode()
