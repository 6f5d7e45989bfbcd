"""Another message in place of Claude's own: shorter, empty, refused, broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pytest_mnemosyne.simulation.faults._fault import Fault
from pytest_mnemosyne.simulation.faults._provider import (
    BrokenToolJson,
    Empty,
    MaxTokens,
    PauseTurn,
    Refusal,
)
from pytest_mnemosyne.wire import JsonObject, compact

TOOL_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
"""The types of blocks whose input streams as JSON."""

_MARK = "\x00input"
"""Stands for an input while its place in the JSON is looked for."""


def message_in(body: bytes) -> JsonObject | None:
    """The message that an answer's body holds; `None` where it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    is_message = (
        isinstance(value, dict)
        and value.get("type") == "message"
        and isinstance(value.get("content"), list)
    )
    return value if is_message else None


def edited(fault: Fault, message: JsonObject, asked: Mapping[str, Any]) -> JsonObject | None:
    """The message as the fault makes it; `None` where the fault does not edit whole messages.

    Args:
        fault: One of the stage `message`.
        message: What Claude said; stays as it is.
        asked: The body of the request.
    """
    made = copy.deepcopy(message)
    match fault:
        case Empty():
            made |= {"content": [], "stop_reason": "end_turn"}
        case Refusal():
            details = {"type": "refusal", "category": None, "explanation": None}
            return made | {"content": [], "stop_reason": "refusal", "stop_details": details}
        case MaxTokens():
            made |= {"content": _broken_off(made["content"]), "stop_reason": "max_tokens"}
            _use_up(made, asked)
        case PauseTurn():
            made["content"] = [
                block for block in made["content"] if block.get("type") != "tool_use"
            ]
            made["stop_reason"] = "pause_turn"
        case _:
            return None
    late = ("stop_sequence", "stop_details")
    return made | {name: None for name in late if name in made}


def edited_body(fault: Fault, body: bytes, asked: Mapping[str, Any]) -> bytes | None:
    """The body of an answer that is not streamed; `None` where the fault does not fit it."""
    message = message_in(body)
    if message is None:
        return None
    if isinstance(fault, BrokenToolJson):
        return _broken_in_input(message)
    made = edited(fault, message, asked)
    return compact(made).encode() if made is not None else None


def _broken_off(content: list[JsonObject]) -> list[JsonObject]:
    """The blocks up to the middle of the last one."""
    if not content:
        return content
    *whole, last = content
    match last:
        case {"type": "text", "text": str(text)}:
            return [*whole, {**last, "text": text[: len(text) // 2]}]
        case {"type": "tool_use"}:
            # As the API does with an input whose JSON has not come to its end.
            return [*whole, {**last, "input": {}}]
        case _:
            return whole


def _use_up(message: JsonObject, asked: Mapping[str, Any]) -> None:
    bound, usage = asked.get("max_tokens"), message.get("usage")
    if isinstance(bound, int) and isinstance(usage, dict):
        usage["output_tokens"] = bound


def _broken_in_input(message: JsonObject) -> bytes | None:
    """The body up to the middle of its first tool input."""
    for place, block in enumerate(message["content"]):
        if block.get("type") in TOOL_CALLS:
            probe = copy.deepcopy(message)
            probe["content"][place]["input"] = _MARK
            before, _, _ = compact(probe).partition(compact(_MARK))
            given = compact(block.get("input", {}))
            return (before + given[: len(given) // 2]).encode()
    return None
