"""Stand-ins for what a test does not want to meet for real.

A name's module is imported when the name is first used: scripted Claude, virtual time
and faults are needed by different tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.scripted import (
        Answer,
        AnswerFunction,
        Block,
        ClaudeRequest,
        Condition,
        Content,
        Failure,
        Reply,
        ScriptedClaude,
        ScriptError,
        ScriptNotPlayedError,
        ToolResult,
        Unscripted,
        When,
        asks_for_json,
        has_no_tool_result,
        has_tool_result,
        last_user_text_contains,
        model_is,
        offers_tool,
        on_turn,
        redacted_thinking,
        system_contains,
        text,
        text_contains,
        thinking,
        tool_use,
    )

__all__ = [
    "Answer",
    "AnswerFunction",
    "Block",
    "ClaudeRequest",
    "Condition",
    "Content",
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
    "system_contains",
    "text",
    "text_contains",
    "thinking",
    "tool_use",
]

_MODULES = {
    "Answer": "pytest_mnemosyne.simulation.scripted",
    "AnswerFunction": "pytest_mnemosyne.simulation.scripted",
    "Block": "pytest_mnemosyne.simulation.scripted",
    "ClaudeRequest": "pytest_mnemosyne.simulation.scripted",
    "Condition": "pytest_mnemosyne.simulation.scripted",
    "Content": "pytest_mnemosyne.simulation.scripted",
    "Failure": "pytest_mnemosyne.simulation.scripted",
    "Reply": "pytest_mnemosyne.simulation.scripted",
    "ScriptError": "pytest_mnemosyne.simulation.scripted",
    "ScriptNotPlayedError": "pytest_mnemosyne.simulation.scripted",
    "ScriptedClaude": "pytest_mnemosyne.simulation.scripted",
    "ToolResult": "pytest_mnemosyne.simulation.scripted",
    "Unscripted": "pytest_mnemosyne.simulation.scripted",
    "When": "pytest_mnemosyne.simulation.scripted",
    "asks_for_json": "pytest_mnemosyne.simulation.scripted",
    "has_no_tool_result": "pytest_mnemosyne.simulation.scripted",
    "has_tool_result": "pytest_mnemosyne.simulation.scripted",
    "last_user_text_contains": "pytest_mnemosyne.simulation.scripted",
    "model_is": "pytest_mnemosyne.simulation.scripted",
    "offers_tool": "pytest_mnemosyne.simulation.scripted",
    "on_turn": "pytest_mnemosyne.simulation.scripted",
    "redacted_thinking": "pytest_mnemosyne.simulation.scripted",
    "system_contains": "pytest_mnemosyne.simulation.scripted",
    "text": "pytest_mnemosyne.simulation.scripted",
    "text_contains": "pytest_mnemosyne.simulation.scripted",
    "thinking": "pytest_mnemosyne.simulation.scripted",
    "tool_use": "pytest_mnemosyne.simulation.scripted",
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
