"""What a scripted message is made of: its content blocks, written down briefly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.wire import JsonObject


@dataclass(frozen=True, slots=True)
class Block:
    """One content block; ids and signatures that it needs are filled in when it is played."""

    fields: JsonObject
    """As the API spells them."""

    @property
    def kind(self) -> str:
        """The block's type, such as `text` or `tool_use`."""
        return str(self.fields["type"])


def text(content: str, /) -> Block:
    """Claude says something."""
    return Block({"type": "text", "text": content})


def tool_use(
    name: str,
    given: Mapping[str, object] | None = None,
    /,
    *,
    id: str | None = None,  # noqa: A002 (the API's name)
    **input: object,  # noqa: A002 (never used as the builtin)
) -> Block:
    """Claude calls a tool.

    Args:
        name: The tool.
        given: Its input, needed only where a field is called `id`.
        id: The call's own id; made from the place in the script where it is left out.
        **input: Its input.
    """
    block: JsonObject = {"type": "tool_use", "name": name, "input": {**(given or {}), **input}}
    return Block(block if id is None else block | {"id": id})


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
