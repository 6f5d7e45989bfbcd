"""Conversations as text for people: in a terminal, and in the diff of two versions.

Files of strangers are shown, so what a terminal would obey is spelled out, and opaque
data is named by its size and a digest. Nothing is left out without a word: a long text
that is cut says how much is missing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from hashlib import blake2b
from typing import Final

from pytest_mnemosyne.cassette import CassetteFile, Outcome, Tokens
from pytest_mnemosyne.commands._conversation import Message, Talk, Turn, blocks_of
from pytest_mnemosyne.commands._words import counted, plain
from pytest_mnemosyne.wire import JsonObject, compact

_STEP: Final = "  "
_MARGIN: Final = "     "
_LONGEST_LINES: Final = 20
"""How much of one text is shown unless everything is asked for."""

_ONE_LINE: Final = 100
"""How much of a value may stand beside its name where lines have no end."""

_NARROWEST: Final = 24

_OPAQUE = re.compile(r"(data:[^,\s]*;base64,)?[A-Za-z0-9+/_-]{120,}={0,2}")

_ENDINGS: Final = {
    Outcome.DROPPED: "the connection broke in the middle of it",
    Outcome.CUT: "it ended before its stream said so",
    Outcome.RESET: "the connection broke before an answer began",
    Outcome.TIMEOUT: "the client's patience ended",
    Outcome.CANCELLED: "the client stopped reading",
}

_TOOL_USES: Final = ("tool_use", "server_tool_use", "mcp_tool_use")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How much is shown, and how wide."""

    width: int | None = None
    """In characters; `None` leaves lines as long as they are."""

    full: bool = True
    """Whether long texts and the schemas of tools are shown whole."""

    stable: bool = False
    """Whether what changes from one recording to the next, or when a turn is put before, is
    left out: times and numbers."""


def header_lines(name: str, file: CassetteFile, style: Style) -> Iterator[str]:
    """Whose file it is, and where it comes from; the name is left out where it is empty."""
    if name:
        yield name
    recorded = file.recorded
    if recorded is None:
        of = "this project's format, without a header" if _is_ours(file) else f"of {file.container}"
        yield f"{_STEP}cassette {of}"
    else:
        shown = None if style.stable else recorded.at
        at = "" if shown is None else f", {shown.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        yield f"{_STEP}recorded from {plain(recorded.source)}{at}"
        if recorded.test is not None:
            yield f"{_STEP}test {plain(recorded.test)}"
        if recorded.versions:
            named = ", ".join(f"{name} {version}" for name, version in recorded.versions.items())
            yield f"{_STEP}with {plain(named)}"
    if file.loosened:
        yield f"{_STEP}not compared: {', '.join(map(plain, file.loosened))}"
    held = file.volatile
    if held and not style.stable:
        listed = plain(f"{_STEP}stand-ins: {', '.join((*held.folders, *held.ids, *held.clock))}")
        yield from _cut(_wrapped(listed, style, _MARGIN), style)


def totals_line(all_talks: Iterable[Talk]) -> str:
    """How many turns there are, and what they used."""
    turns = [turn for talk in all_talks for turn in talk.turns]
    used = Tokens(
        input=sum(turn.tokens.input for turn in turns),
        output=sum(turn.tokens.output for turn in turns),
    )
    return f"{_STEP}{counted(len(turns), 'interaction')}, {_used(used)}"


def talk_lines(talk: Talk, style: Style) -> Iterator[str]:
    """One agent's turns, under its name."""
    title = name_of(talk)
    yield ""
    yield title
    yield "-" * len(title)
    before: int | None = None
    for turn in talk.turns:
        yield ""
        yield from _turn_lines(turn, before, style)
        before = turn.number if turn.is_talk else before


def name_of(talk: Talk) -> str:
    """Whose turns these are, in words."""
    return "no agent" if talk.agent is None else f"{plain(talk.agent)}, attempt {talk.attempt}"


# --- turns -----------------------------------------------------------------------------


def _turn_lines(turn: Turn, before: int | None, style: Style) -> Iterator[str]:
    number = "" if style.stable else f"{turn.number:>3}"
    facts = [turn.call, *([turn.model] if turn.model else []), *(["streamed"] * turn.streamed)]
    yield f"{number:<3}  {plain('  '.join(facts))}"
    yield from _indented(_MARGIN, _asked(turn, before, style))
    yield from _indented(_MARGIN, _answered(turn, style))


def _asked(turn: Turn, before: int | None, style: Style) -> Iterator[str]:
    inner = _narrowed(style, _MARGIN)
    if turn.settings is not None:
        yield from _settings(turn.settings, inner)
    if turn.tools is not None:
        yield from _tools(turn.tools, inner)
    if turn.system is not None:
        yield from _message_lines("system", turn.system or blocks_of("(none any more)"), inner)
    if turn.continues is not None and not turn.messages:
        yield "the same messages again" if style.stable else f"the messages of {turn.continues}"
    elif turn.continues is not None and turn.continues != before:
        yield "goes on from an earlier turn" if style.stable else f"goes on from {turn.continues}"
    elif turn.continues is None and before is not None and turn.is_talk:
        yield "a new conversation"
    if turn.unsent:
        yield f"assistant, sent back without {', '.join(map(_words, turn.unsent))}"
    for message in turn.messages:
        yield from _message_lines(message.role, message.blocks, inner)


def _answered(turn: Turn, style: Style) -> Iterator[str]:
    inner = _narrowed(style, _MARGIN)
    facts = [] if turn.status is None else [str(turn.status)]
    if turn.took_s and not style.stable:
        facts.append(f"{turn.took_s:.2f} s")
    if turn.tokens != Tokens():
        facts.append(_used(turn.tokens))
    if turn.stop_reason is not None:
        facts.append(f"stops: {turn.stop_reason}")
    if turn.outcome is not Outcome.COMPLETE:
        facts.append(f"{turn.outcome}: {_ENDINGS[turn.outcome]}")
    elif not turn.complete and turn.error is None:
        facts.append("its stream has no end")
    said = turn.answer or Message(role="answer" if turn.error is None else "error", blocks=())
    yield from _message_lines(said.role, said.blocks, inner, note=", ".join(facts))
    if turn.error is not None:
        if turn.answer is not None:
            yield "error"
        kind = plain(str(turn.error.get("type", "error")))
        text = turn.error.get("message")
        yield from _indented(_STEP, _value(f"{kind}: {text}", _narrowed(inner, _STEP)))
        beside = _beside(turn.error, "message")
        yield from _indented(_STEP, _fields(beside, _narrowed(inner, _STEP)))


def _settings(settings: Mapping[str, object], style: Style) -> Iterator[str]:
    if not any(isinstance(value, dict | list) for value in settings.values()):
        named = ", ".join(f"{name} {compact(value)}" for name, value in settings.items())
        yield from _wrapped(plain(f"settings: {named or '(none any more)'}"), style, _STEP)
        return
    yield "settings"
    yield from _indented(_STEP, _cut(list(_fields(settings, _narrowed(style, _STEP))), style))


def _tools(tools: tuple[JsonObject, ...], style: Style) -> Iterator[str]:
    if not style.full:
        names = ", ".join(str(tool.get("name", "?")) for tool in tools) or "(none any more)"
        yield from _wrapped(plain(f"tools: {names}"), style, "       ")
        return
    yield "tools" if tools else "tools: (none any more)"
    inner = _narrowed(style, _STEP)
    for tool in tools:
        name = str(tool.get("name", "?"))
        yield from _indented(_STEP, _labelled(name, _beside(tool, "name"), inner))


def _message_lines(
    role: str, blocks: Iterable[JsonObject], style: Style, *, note: str = ""
) -> Iterator[str]:
    yield f"{plain(role)}: {plain(note)}" if note else plain(role)
    for block in blocks:
        yield from _indented(_STEP, _block(block, _narrowed(style, _STEP)))


def _used(tokens: Tokens) -> str:
    return f"{counted(tokens.input, 'token')} in, {tokens.output:,} out"


def _is_ours(file: CassetteFile) -> bool:
    return file.container == "mnemosyne"


# --- content blocks --------------------------------------------------------------------


def _block(block: JsonObject, style: Style) -> Iterator[str]:
    kind = block.get("type")
    match block:
        case {"type": "text", "text": str(text)}:
            yield from _value(text, style)
            yield from _fields(_beside(block, "text"), style)
        case {"type": "thinking", "thinking": str(text)}:
            yield from _labelled("thinking", {"": text, **_beside(block, "thinking")}, style)
        case {"type": str(), "name": str(name), "input": given} if kind in _TOOL_USES:
            title = f"{_words(str(kind))} {name} ({block.get('id')})"
            shown = given if isinstance(given, dict) else {"input": given}
            beside = _beside(block, "name", "id", "input")
            if beside.get("caller") == {"type": "direct"}:
                del beside["caller"]
            # In brackets, because these stand beside the input and not in it.
            marked = {f"({name})": value for name, value in beside.items()}
            yield from _labelled(title, {**shown, **marked}, style)
        case {"type": str(), "tool_use_id": str(used)}:
            title = f"{_words(str(kind))} ({used})"
            if block.get("is_error") is True:
                title += ", an error"
            inner = _narrowed(style, _STEP)
            yield plain(title)
            yield from _indented(_STEP, _content(block.get("content"), inner))
            beside = _beside(block, "tool_use_id", "is_error", "content")
            yield from _indented(_STEP, _fields(beside, inner))
        case {"type": "bytes", "bytes": int(size)}:
            yield f"[{counted(size, 'byte')} that are no text]"
        case {"type": str()}:
            yield from _labelled(_words(str(kind)), _beside(block), style)
        case _:
            yield from _fields(block, style)


def _content(content: object, style: Style) -> Iterator[str]:
    """What a tool gave back: a text, blocks, or one object."""
    if isinstance(content, str | list):
        for block in blocks_of(content):
            yield from _block(block, style)
    elif isinstance(content, dict):
        yield from _block(content, style)


def _labelled(title: str, fields: Mapping[str, object], style: Style) -> Iterator[str]:
    yield plain(title)
    yield from _indented(_STEP, _fields(fields, _narrowed(style, _STEP)))


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _beside(block: JsonObject, *shown: str) -> dict[str, object]:
    """What a block holds beside its type and the fields that are shown; clients send nulls."""
    return {
        name: value
        for name, value in block.items()
        if name not in ("type", *shown) and value is not None
    }


# --- values ----------------------------------------------------------------------------


def _fields(fields: Mapping[str, object], style: Style) -> Iterator[str]:
    for name, value in fields.items():
        yield from _field(name, value, style)


def _field(name: str, value: object, style: Style) -> Iterator[str]:
    """A value beside its name where it fits there, else below it; one without a name alone."""
    if not name:
        yield from _value(value, style)
        return
    name = plain(name)
    short = _short(value)
    room = (style.width or _ONE_LINE) - len(name) - 2
    if short is not None and len(short) <= room:
        yield f"{name}: {short}"
        return
    yield f"{name}:"
    yield from _indented(_STEP, _value(value, _narrowed(style, _STEP)))


def _short(value: object) -> str | None:
    """A value on one line, if it may stand on one."""
    if isinstance(value, str):
        if "\n" in value:
            return None
        return plain(_opaque(value))
    return plain(compact(value))


def _value(value: object, style: Style) -> Iterator[str]:
    match value:
        case str():
            yield from _text(value, style)
        case dict() if value:
            yield from _fields(value, style)
        case list() if value:
            for item in value:
                lines = list(_value(item, _narrowed(style, _STEP)))
                yield f"- {lines[0]}"
                yield from _indented(_STEP, lines[1:])
        case _:
            yield plain(compact(value))


def _text(text: str, style: Style) -> Iterator[str]:
    lines: list[str] = []
    for line in plain(_opaque(text)).split("\n"):
        lines += _wrapped(line, style, line[: len(line) - len(line.lstrip())])
    yield from _cut(lines, style)


def _cut(lines: list[str], style: Style) -> Iterator[str]:
    # A note in place of the only line left out would save nothing.
    if style.full or len(lines) <= _LONGEST_LINES + 1:
        yield from lines
        return
    yield from lines[:_LONGEST_LINES]
    yield f"[{counted(len(lines) - _LONGEST_LINES, 'more line')}; --full shows them]"


def _opaque(text: str) -> str:
    """`text`, or where it is nothing but encoded data its size and a digest."""
    if not _OPAQUE.fullmatch(text):
        return text
    digest = blake2b(text.encode(), digest_size=4).hexdigest()
    return f"[{len(text):,} characters of data, digest {digest}]"


def _wrapped(line: str, style: Style, hanging: str) -> list[str]:
    if style.width is None or len(line) <= style.width:
        return [line]
    wrapped = textwrap.wrap(
        line,
        style.width,
        subsequent_indent=hanging if len(hanging) < style.width // 2 else "",
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    # A line of nothing but blanks wraps into none.
    return wrapped or [""]


def _narrowed(style: Style, indent: str) -> Style:
    if style.width is None:
        return style
    width = max(_NARROWEST, style.width - len(indent))
    return Style(width=width, full=style.full, stable=style.stable)


def _indented(indent: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"{indent}{line}" if line else ""
