"""Which requests an answer is for: conditions with a name, for `ScriptedClaude.when`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest

Condition = Callable[[ClaudeRequest], bool]
"""Whether an answer is for this request. Any function will do."""


@dataclass(frozen=True, slots=True)
class Named:
    """A condition that reports can name."""

    name: str
    check: Condition

    def __call__(self, request: ClaudeRequest) -> bool:
        return self.check(request)

    def __repr__(self) -> str:
        return self.name


def name_of(condition: Callable[[ClaudeRequest], object]) -> str:
    """How a report calls a function of a request; a lambda by its line in the source."""
    if isinstance(condition, Named):
        return condition.name
    code = getattr(condition, "__code__", None)
    name = str(getattr(condition, "__qualname__", repr(condition)))
    return f"{name} (line {code.co_firstlineno})" if code is not None else name


def system_contains(part: str) -> Condition:
    """The system prompt contains `part`."""
    return Named(f"system_contains({part!r})", lambda request: part in request.system)


def last_user_text_contains(part: str) -> Condition:
    """What the user said last contains `part`."""
    return Named(
        f"last_user_text_contains({part!r})", lambda request: part in request.last_user_text
    )


def text_contains(part: str) -> Condition:
    """`part` is said anywhere in the conversation, also by Claude or a tool."""
    return Named(f"text_contains({part!r})", lambda request: part in request.text)


def has_tool_result(part: str = "", *, is_error: bool | None = None) -> Condition:
    """The last message gives back a tool's result that contains `part`.

    Args:
        part: Any result where it is left out.
        is_error: Only results that are errors, or only those that are none.
    """

    def check(request: ClaudeRequest) -> bool:
        return any(
            part in result.text and is_error in (None, result.is_error)
            for result in request.tool_results
        )

    about = "" if is_error is None else f", is_error={is_error}"
    return Named(f"has_tool_result({part!r}{about})", check)


def has_no_tool_result() -> Condition:
    """The last message gives back no tool's result."""
    return Named("has_no_tool_result()", lambda request: not request.tool_results)


def offers_tool(name: str) -> Condition:
    """Claude may call the tool `name`."""
    return Named(f"offers_tool({name!r})", lambda request: name in request.tools)


def on_turn(number: int) -> Condition:
    """The conversation is about to get its answer number `number`, counted from 1."""
    return Named(f"on_turn({number})", lambda request: request.turn == number)


def asks_for_json() -> Condition:
    """The request says which JSON schema the answer has to follow."""
    return Named("asks_for_json()", lambda request: request.schema is not None)


def model_is(model: str) -> Condition:
    """The model `model` is asked."""
    return Named(f"model_is({model!r})", lambda request: request.model == model)
