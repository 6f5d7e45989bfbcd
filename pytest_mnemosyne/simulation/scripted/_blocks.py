"""What a scripted message is made of: its content blocks, written down briefly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.wire import JsonObject


@dataclass(frozen=True, slots=True)
class Block:
    """One content block; ids and signatures that it needs are filled in when it is played."""

    fields: JsonObject
    """As the API spells them. `partial_json` is what a stream says in place of an input."""

    violates_schema: bool = False
    """Whether a tool's input may break the tool's schema."""

    @property
    def kind(self) -> str:
        """The block's type, such as `text` or `tool_use`."""
        return str(self.fields["type"])


def text(content: str, /, *, citations: Sequence[Mapping[str, object]] = ()) -> Block:
    """Claude says something, and where it has it from, in the API's own JSON."""
    block: JsonObject = {"type": "text", "text": content}
    return Block(block | {"citations": [dict(each) for each in citations]} if citations else block)


def tool_use(
    name: str,
    given: Mapping[str, object] | None = None,
    /,
    *,
    id: str | None = None,  # noqa: A002 (the API's name)
    partial_json: str | None = None,
    violates_schema: bool = False,
    **input: object,  # noqa: A002 (never used as the builtin)
) -> Block:
    """Claude calls a tool.

    Where the request offers the tool, the input has to follow the tool's schema.

    Args:
        name: The tool.
        given: Its input, needed only where a field has the name of another argument.
        id: The call's own id; made from the place in the script where it is left out.
        partial_json: What a stream says in place of an input, broken as it may be; an
            answer that is not streamed has an empty input instead.
        violates_schema: The input breaks the tool's schema on purpose.
        **input: Its input.
    """
    written = {**(given or {}), **input}
    block: JsonObject = {"type": "tool_use", "name": name, "input": written}
    if partial_json is not None:
        if written:
            raise ScriptError(
                f"a call of {name!r} has an input or a partial_json, got both: {written!r} and "
                f"{partial_json!r}"
            )
        block["partial_json"] = partial_json
    return Block(block if id is None else block | {"id": id}, violates_schema=violates_schema)


def server_tool_use(
    name: str,
    given: Mapping[str, object] | None = None,
    /,
    *,
    id: str | None = None,  # noqa: A002 (the API's name)
    **input: object,  # noqa: A002 (never used as the builtin)
) -> Block:
    """Claude calls a tool that the API runs by itself, such as `web_search`."""
    block: JsonObject = {
        "type": "server_tool_use",
        "name": name,
        "input": {**(given or {}), **input},
    }
    return Block(block if id is None else block | {"id": id})


def server_tool_result(tool: str, content: object, /, *, tool_use_id: str | None = None) -> Block:
    """What such a tool gave back; the answer to the last `server_tool_use` before it.

    Args:
        tool: The tool as in the type of the block: `web_search` for `web_search_tool_result`.
        content: As the API spells it.
        tool_use_id: The call, where it is another one.
    """
    block: JsonObject = {"type": f"{tool}_tool_result", "content": content}
    return Block(block if tool_use_id is None else block | {"tool_use_id": tool_use_id})


def thinking(thought: str, /, *, signature: str | None = None) -> Block:
    """Claude thinks aloud; the signature is made from the place in the script if left out."""
    block: JsonObject = {"type": "thinking", "thinking": thought}
    return Block(block if signature is None else block | {"signature": signature})


def redacted_thinking(data: str, /) -> Block:
    """Claude thinks, and nobody is shown what."""
    return Block({"type": "redacted_thinking", "data": data})


Content = str | Block | Mapping[str, object]
"""A content block: a text, a block from the functions above, or the API's own JSON."""


def block_of(content: object) -> Block:
    """Take a block in any of the ways in which it may be written."""
    if isinstance(content, Block):
        return content
    if isinstance(content, str):
        return text(content)
    if isinstance(content, Mapping) and isinstance(content.get("type"), str):
        return Block(dict(content))
    raise ScriptError(
        f"a scripted message is made of texts, blocks such as tool_use(...) and mappings with a "
        f"type, got {content!r}"
    )
