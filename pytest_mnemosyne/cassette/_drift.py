"""How one answer differs from another in more than its words.

A model never says the same thing twice, so the words of two answers tell nothing. What
tells is how an answer is made: whether it is an error and which, why it stopped, which
tools it calls, of which blocks it consists, and of which fields everything in it. A
`null` is like any value and like none at all, and a text that holds JSON counts as what
it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from pytest_mnemosyne.cassette._answers import Answer, read_answer
from pytest_mnemosyne.cassette._difference import value_differences
from pytest_mnemosyne.cassette._interaction import Interaction

_FREE = frozenset({"content", "error", "id", "stop_reason", "stop_sequence", "type", "usage"})
"""Fields of a message that are compared apart, or that have another value each time."""

_TOOL_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


class DriftKind(StrEnum):
    """What has drifted."""

    ENDING = auto()
    """How the exchange ended, such as cut or reset."""

    ERROR = auto()
    """The type of the error, or the status where there is no type."""

    STOP_REASON = auto()
    TOOLS = auto()
    """Which tools are called, in their order."""

    SHAPE = auto()
    """The kinds of blocks, or the fields and kinds of values."""

    IDS = auto()
    """In a live run, what is asked names recorded ids that stand for none of its own."""

    WORDS = auto()
    """Texts and the values of tool inputs: what differs between any two answers."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One way in which an answer differs from another."""

    kind: DriftKind
    words: str
    """What, with `[-old-]` and `{+new+}` around what changed."""

    def __str__(self) -> str:
        return f"{self.kind.value.replace('_', ' ')}: {self.words}"


def compare_answers(old: Interaction, new: Interaction) -> tuple[Drift, ...]:
    """Everything in which the answers of two interactions differ.

    Dates, durations, ids, the usage and how the network cut an answer into chunks do not
    count.
    """
    before, after = _answer(old), _answer(new)
    found = [
        *_changed(DriftKind.ENDING, old.outcome.value, new.outcome.value),
        *_changed(DriftKind.ERROR, _error(old, before), _error(new, after)),
    ]
    if before.message is not None and after.message is not None:
        found += _in_messages(before.message, after.message)
    elif not found:
        found += _in_others(before, after)
    return tuple(found)


def has_drifted(found: tuple[Drift, ...]) -> bool:
    """Whether there is more to it than words."""
    return any(each.kind is not DriftKind.WORDS for each in found)


# --- an answer's parts -----------------------------------------------------------------


def _in_messages(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Drift]:
    yield from _changed(
        DriftKind.STOP_REASON, str(old.get("stop_reason")), str(new.get("stop_reason"))
    )
    before, after = _blocks(old), _blocks(new)
    tools = _tools(before), _tools(after)
    yield from _changed(DriftKind.TOOLS, *tools)
    kinds = _kinds(before), _kinds(after)
    if tools[0] == tools[1]:
        yield from _changed(DriftKind.SHAPE, *(f"content is {each}" for each in kinds))
    yield from _shapes("", _rest(old), _rest(new))
    if kinds[0] == kinds[1] and tools[0] == tools[1]:
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            place = f"content[{index}]"
            yield from _shapes(place, _meaning(one), _meaning(other))
            for difference in value_differences(place, _said(one), _said(other)):
                yield Drift(DriftKind.WORDS, str(difference))
    else:
        old_said, new_said = ([_said(each) for each in blocks] for blocks in (before, after))
        for difference in value_differences("content", old_said, new_said):
            yield Drift(DriftKind.WORDS, str(difference))


def _in_others(old: Answer, new: Answer) -> Iterator[Drift]:
    """Compare what is no message on at least one side."""
    before, after = _value(old), _value(new)
    shapes = list(_shapes("answer", before, after))
    yield from shapes
    if not shapes and not isinstance(before, bytes) and not isinstance(after, bytes):
        for difference in value_differences("answer", before, after):
            yield Drift(DriftKind.WORDS, str(difference))


def _answer(interaction: Interaction) -> Answer:
    response = interaction.response
    return read_answer(response.body) if response is not None else Answer()


def _value(answer: Answer) -> object:
    return answer.message or answer.error or answer.other


def _error(interaction: Interaction, answer: Answer) -> str:
    if answer.error is not None:
        return str(answer.error.get("type", "error"))
    status = interaction.response.status if interaction.response is not None else 0
    return f"status {status}" if status >= 400 else "none"


def _blocks(message: Mapping[str, object]) -> list[object]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _kinds(blocks: list[object]) -> str:
    return ", ".join(_kind(block) for block in blocks) or "empty"


def _kind(block: object) -> str:
    return str(block.get("type", "?")) if isinstance(block, dict) else "?"


def _tools(blocks: list[object]) -> str:
    names = [
        str(block.get("name", "?"))
        for block in blocks
        if isinstance(block, dict) and block.get("type") in _TOOL_CALLS
    ]
    return ", ".join(names) or "none"


def _rest(message: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in message.items() if name not in _FREE}


def _meaning(block: object) -> object:
    """A block whose text, if it is JSON, is replaced by what it holds."""
    if isinstance(block, dict) and isinstance(block.get("text"), str):
        text = block["text"].strip()
        if text.startswith(("{", "[")):
            try:
                return {**block, "text": json.loads(text)}
            except (ValueError, RecursionError):
                return block
    return block


def _said(block: object) -> object:
    """What a block says: a text, a tool's input, or all of it, but no ids and signatures."""
    match block:
        case {"type": "text", "text": text}:
            return text
        case {"type": "thinking", "thinking": thought}:
            return thought
        case {"type": kind, "name": name, "input": given} if kind in _TOOL_CALLS:
            return {str(name): given}
        case _:
            return block


# --- shapes ----------------------------------------------------------------------------


def _changed(kind: DriftKind, old: str, new: str) -> Iterator[Drift]:
    if old != new:
        yield Drift(kind, f"[-{old}-] {{+{new}+}}")


def _shapes(place: str, old: object, new: object) -> Iterator[Drift]:
    """Where two values part in their fields or in the kinds of what they hold."""
    if old is None or new is None:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            inner = _inner(place, name)
            before, after = old.get(name), new.get(name)
            if name not in new and before is not None:
                yield Drift(DriftKind.SHAPE, f"[-{inner}-] is gone")
            elif name not in old and after is not None:
                yield Drift(DriftKind.SHAPE, f"{{+{inner}+}} is new")
            else:
                yield from _shapes(inner, before, after)
    elif isinstance(old, list) and isinstance(new, list):
        # How many there are is the model's choice; what one of them is made of is not.
        if old and new:
            yield from _shapes(f"{place}[0]", old[0], new[0])
    elif _type(old) != _type(new):
        yield Drift(DriftKind.SHAPE, f"{place} is [-{_type(old)}-] {{+{_type(new)}+}}")


def _inner(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _type(value: object) -> str:
    match value:
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return "bytes"
