"""A tool: what Claude sees of it, and what runs when Claude calls it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError

from mnemosyne_core.agents._settings import AgentSettings
from mnemosyne_core.agents._workspace import Workspace
from mnemosyne_core.claude import Block
from mnemosyne_core.errors import Abort, PluginError, ToolError
from mnemosyne_core.ids import IdSource, MemoryId
from mnemosyne_core.work import problems_of

InputT = TypeVar("InputT", bound=BaseModel)
ValueT = TypeVar("ValueT")

# What the API accepts as a tool's name.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


@dataclass(slots=True, kw_only=True)
class ToolContext:
    """What the tools of one attempt at one work item share."""

    workspace: Workspace
    settings: AgentSettings
    ids: IdSource
    environment: Mapping[str, str]
    """Ours, keys and all; a tool passes on only what a program needs."""

    changed: dict[str, None] = field(default_factory=dict)
    """Files that tools have written, in order, each once."""

    memories: dict[MemoryId, str] = field(default_factory=dict)
    """What the agent asked to remember."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(Generic[InputT]):
    """Something that Claude may ask us to do."""

    name: str
    description: str
    """For Claude: what it does, when to use it, what it answers."""

    input_model: type[InputT]
    """The arguments; what does not fit it never reaches `run`."""

    run: Callable[[InputT, ToolContext], Awaitable[str]]
    """Does it and answers with text; raises `ToolError` with a text for Claude if it cannot.
    Runs at the same time as the other calls of its turn."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            problem = "a tool's name is 1 to 128 letters, digits, '_' or '-'"
            raise PluginError(plugin=self.name, problem=problem)

    def definition(self) -> Block:
        """The tool as a prompt names it."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": input_schema(self.input_model),
        }

    async def call(self, arguments: JsonValue, context: ToolContext) -> str:
        """Validate the arguments and run.

        Raises:
            ToolError: They do not fit, or the tool could not do it.
        """
        try:
            given = self.input_model.model_validate(arguments)
        except ValidationError as error:
            listed = "; ".join(f"{name}: {problem}" for name, problem in problems_of(error))
            raise ToolError(f"invalid arguments for {self.name}: {listed}") from error
        return await self.run(given, context)


AnyTool: TypeAlias = Tool[Any]


@lru_cache(maxsize=256)
def input_schema(model: type[BaseModel]) -> Block:
    """The model's JSON schema without the titles that pydantic makes up from the names.

    Making it takes longer than all else about a prompt, so every prompt shares one; it is
    not to be changed.
    """
    return cast(Block, _untitled(model.model_json_schema()))


def _untitled(schema: JsonValue) -> JsonValue:
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may itself be called "title"; then its value is a schema, not a string.
    return {
        key: _untitled(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the calls of one turn came to."""

    results: tuple[Block, ...]
    """`tool_result` blocks in the order of the calls."""

    errors: int


async def answer_calls(
    calls: Sequence[Block], tools: Iterable[AnyTool], context: ToolContext
) -> Outcomes:
    """Run the calls of one turn at the same time and answer each.

    A call that fails is answered with an error, so that Claude can do something
    else; only `Abort` and cancellation end the turn, and then every call is ended.
    """
    by_name = {tool.name: tool for tool in tools}
    results = await together([_answer(call, by_name, context) for call in calls])
    return Outcomes(
        results=tuple(results), errors=sum(result.get("is_error") is True for result in results)
    )


async def _answer(call: Block, tools: dict[str, AnyTool], context: ToolContext) -> Block:
    name, call_id = str(call.get("name")), call.get("id")
    failed = True
    try:
        if name not in tools:
            known = ", ".join(tools) or "none"
            raise ToolError(f"there is no tool {name!r}; the tools are: {known}")
        text = await tools[name].call(call.get("input"), context)
        failed = False
    except ToolError as error:
        text = str(error)
    except Exception as error:  # noqa: BLE001 - a tool is a stranger's code; Claude hears of it
        text = f"{name} failed: {type(error).__name__}: {error}"
    text = shortened(context.workspace.without_root(text), context.settings.max_output_chars)
    # A file name may hold bytes that are no text; a request must be.
    text = text.encode(errors="replace").decode()
    result: Block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    if failed:
        result["is_error"] = True
    return result


def shortened(text: str, limit: int) -> str:
    """`text`, or its beginning and end with a note between them of what was left out."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[-tail:]}"


async def together(coroutines: Iterable[Coroutine[Any, Any, ValueT]]) -> list[ValueT]:
    """Run all at once and collect their values in order.

    The first exception ends the others and is raised as it is; a task group would
    wrap an `Abort` into a group, where nobody looks for it.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Abort):
                raise ended
