"""JSON as it crosses the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

# Whoever looks into a request or an answer indexes it; a recursive union would make each
# `messages[0]["content"]` in a test a string of isinstance checks.
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object with values of any JSON type."""


def compact(value: object) -> str:
    """JSON as the API spells it: without spaces, non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def mapping(value: object) -> Mapping[str, Any]:
    """`value` where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> tuple[JsonObject, ...]:
    """The JSON objects in `value` where it is a list, else none."""
    return (
        tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
    )
