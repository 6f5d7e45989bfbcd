"""Scripted Claude: a stand-in for the Messages API that plays a script."""

from __future__ import annotations

from pytest_mnemosyne.simulation.scripted._blocks import (
    Block,
    Content,
    redacted_thinking,
    server_tool_result,
    server_tool_use,
    text,
    thinking,
    tool_use,
)
from pytest_mnemosyne.simulation.scripted._conditions import (
    Condition,
    asks_for_json,
    has_no_tool_result,
    has_tool_result,
    last_user_text_contains,
    model_is,
    offers_tool,
    on_turn,
    system_contains,
    text_contains,
)
from pytest_mnemosyne.simulation.scripted._errors import ScriptError, ScriptNotPlayedError
from pytest_mnemosyne.simulation.scripted._player import Unscripted
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest, ToolResult
from pytest_mnemosyne.simulation.scripted._script import (
    Answer,
    AnswerFunction,
    Expiry,
    Failure,
    Reply,
)
from pytest_mnemosyne.simulation.scripted._scripted import ScriptedClaude
from pytest_mnemosyne.simulation.scripted._scripting import When

__all__ = [
    "Answer",
    "AnswerFunction",
    "Block",
    "ClaudeRequest",
    "Condition",
    "Content",
    "Expiry",
    "Failure",
    "Reply",
    "ScriptError",
    "ScriptNotPlayedError",
    "ScriptedClaude",
    "ToolResult",
    "Unscripted",
    "When",
    "asks_for_json",
    "has_no_tool_result",
    "has_tool_result",
    "last_user_text_contains",
    "model_is",
    "offers_tool",
    "on_turn",
    "redacted_thinking",
    "server_tool_result",
    "server_tool_use",
    "system_contains",
    "text",
    "text_contains",
    "thinking",
    "tool_use",
]
