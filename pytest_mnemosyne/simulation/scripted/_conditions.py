"""Which requests an answer is for: conditions with a name, for `ScriptedClaude.when`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest, brief

Condition = Callable[[ClaudeRequest], bool]
"""Whether an answer is for this request. Any function will do."""


@dataclass(frozen=True, slots=True)
class Named:
    """A condition that reports can name."""

    name: str
    check: Condition
    seen: Callable[[ClaudeRequest], str]
    """What it looked at, for a report of a request that does not fit."""

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


def why_not(condition: Condition, request: ClaudeRequest) -> str:
    """What a report says of a condition that does not hold for a request."""
    seen = f": {condition.seen(request)}" if isinstance(condition, Named) else ""
    return f"{name_of(condition)} does not hold{seen}"


def system_contains(part: str) -> Condition:
    """The system prompt contains `part`."""
    return Named(
        f"system_contains({part!r})",
        lambda request: part in request.system,
        lambda request: f"the system prompt is {brief(request.system)}",
    )


def last_user_text_contains(part: str) -> Condition:
    """What the user said last contains `part`."""
    return Named(
        f"last_user_text_contains({part!r})",
        lambda request: part in request.last_user_text,
        lambda request: f"the user said last {brief(request.last_user_text)}",
    )


def text_contains(part: str) -> Condition:
    """`part` is said anywhere in the conversation, also by Claude or a tool."""
    return Named(
        f"text_contains({part!r})",
        lambda request: part in request.text,
        lambda request: f"said was {brief(request.text)}",
    )


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
    return Named(f"has_tool_result({part!r}{about})", check, _results)


def has_no_tool_result() -> Condition:
    """The last message gives back no tool's result."""
    return Named("has_no_tool_result()", lambda request: not request.tool_results, _results)


def _results(request: ClaudeRequest) -> str:
    results = [
        f"{'an error' if result.is_error else 'a result'} {brief(result.text, 40)}"
        for result in request.tool_results
    ]
    return f"the last message gives back {', '.join(results) or 'no result'}"


def offers_tool(name: str) -> Condition:
    """Claude may call the tool `name`."""
    return Named(
        f"offers_tool({name!r})",
        lambda request: name in request.tools,
        lambda request: f"the tools are {', '.join(request.tools) or 'none'}",
    )


def on_turn(number: int) -> Condition:
    """The conversation is about to get its answer number `number`, counted from 1."""
    return Named(
        f"on_turn({number})",
        lambda request: request.turn == number,
        lambda request: f"it is turn {request.turn}",
    )


def asks_for_json() -> Condition:
    """The request says which JSON schema the answer has to follow."""
    return Named(
        "asks_for_json()",
        lambda request: request.schema is not None,
        lambda _: "the request names no schema",
    )


def model_is(model: str) -> Condition:
    """The model `model` is asked."""
    return Named(
        f"model_is({model!r})",
        lambda request: request.model == model,
        lambda request: f"asked is {request.model}",
    )
