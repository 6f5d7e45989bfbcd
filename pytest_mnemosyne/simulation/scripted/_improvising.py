"""What Claude says where no script tells it: each tool once, then an answer.

It depends on the request alone, so it is the same in every run and whatever else is
going on. What has been called is read from the conversation.
"""

from __future__ import annotations

from pytest_mnemosyne.simulation.scripted._blocks import Block, text, tool_use
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest, brief
from pytest_mnemosyne.simulation.scripted._samples import sample_of
from pytest_mnemosyne.simulation.scripted._script import Reply
from pytest_mnemosyne.wire import JsonObject, compact, mapping, objects


def improvised(request: ClaudeRequest) -> Reply:
    """The answer to a request.

    Raises:
        ScriptError: A tool's schema or that of the answer is one that no sample was found for.
    """
    tools = _tools_to_call(request)
    if tools:
        return Reply(blocks=tuple(_call(tool) for tool in tools))
    if request.schema is not None:
        return Reply(blocks=(text(compact(sample_of(request.schema))),))
    asked = brief(request.last_user_text or request.text)
    return Reply(blocks=(text(f"This is an improvised answer to {asked}."),))


def _tools_to_call(request: ClaudeRequest) -> tuple[JsonObject, ...]:
    """The tools that a client runs, of those the ones that were not called yet."""
    choice = mapping(request.body.get("tool_choice"))
    # The API's own tools have no schema here: it runs them itself, or knows their input.
    tools = tuple(tool for tool in request.tool_definitions if "input_schema" in tool)
    if choice.get("type") == "none":
        return ()
    if choice.get("type") == "tool":
        return tuple(tool for tool in tools if tool.get("name") == choice.get("name"))
    called = _called(request)
    fresh = tuple(tool for tool in tools if tool.get("name") not in called)
    if choice.get("type") == "any" and not fresh:
        fresh = tools[:1]
    return fresh[:1] if choice.get("disable_parallel_tool_use") is True else fresh


def _called(request: ClaudeRequest) -> set[object]:
    return {
        block.get("name")
        for message in request.messages
        if message.get("role") == "assistant"
        for block in objects(message.get("content"))
        if block.get("type") == "tool_use"
    }


def _call(tool: JsonObject) -> Block:
    given = sample_of(tool["input_schema"])
    return tool_use(str(tool["name"]), given if isinstance(given, dict) else {})
