"""What differs between a recorded request and the one that was asked, in words.

Built for misses only. The two bodies are walked side by side, and each place where
they part is named the way a person would name it: `messages[2] (user)`, the system
prompt, a tool, a setting. Of a changed text the changed span is told whole, and only
what is equal around it is shortened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

_CONTEXT = 24
"""How many equal characters are shown on either side of a changed span."""

_MOST_PIECES = 400
"""How many words, or else sentences, are compared one by one; comparing takes their square."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_SENTENCES = re.compile(r"[^\n.!?]*[\n.!?]+|[^\n.!?]+")

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two requests part."""

    place: str
    """Where, such as `messages[2] (user)` or `system prompt`."""

    words: str
    """What, with `[-recorded-]` and `{+asked+}` around what changed."""

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"


def differences(recorded: bytes, asked: bytes) -> tuple[Difference, ...]:
    """Every difference between two request bodies; none where their values are equal."""
    if recorded == asked:
        return ()
    old, new = _parsed(recorded), _parsed(asked)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return tuple(_in_value("body", old, new))
    found: list[Difference] = []
    for name in dict.fromkeys((*old, *new)):
        found += _in_field(name, old.get(name, _ABSENT), new.get(name, _ABSENT))
    return tuple(found)


def without_common(recorded: bytes, asked: bytes) -> tuple[bytes, bytes]:
    """Both bodies with what is the same in them left empty; their differences are the same."""
    old, new = _parsed(recorded), _parsed(asked)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return recorded, asked
    for name in old.keys() & new.keys():
        if _same(old[name], new[name]):
            old[name] = new[name] = ""
    talks = _as_list(old.get("messages")), _as_list(new.get("messages"))
    for index, (before, after) in enumerate(zip(*talks, strict=False)):
        if _same(before, after):
            talks[0][index] = talks[1][index] = ""
    return json.dumps(old).encode(), json.dumps(new).encode()


def value_differences(place: str, old: object, new: object) -> tuple[Difference, ...]:
    """Every difference between two JSON values, the first of which stands at `place`."""
    return tuple(_in_value(place, old, new))


def overlap(recorded: bytes, asked: bytes) -> float:
    """How much of the bytes is the same at both ends, from 0 to 1; costs next to nothing."""
    longest = max(len(recorded), len(asked))
    return sum(_common_ends(recorded, asked)) / longest if longest else 1.0


def likenesses(recorded: Iterable[bytes], asked: bytes) -> list[float]:
    """How much of each request is the same as in `asked`, from 0 to 1.

    Cheaper than `differences`, and a measure only: it takes 1, 1.0 and true for one.
    """
    new = _parsed(asked)
    return [_likeness(_parsed(each), new) for each in recorded]


def _likeness(old: object, new: object) -> float:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return 1.0 if old == new else 0.0
    names = (old.keys() | new.keys()) - {"messages"}
    same: float = sum(old.get(name, _ABSENT) == new.get(name, _ABSENT) for name in names)
    old_talk, new_talk = _as_list(old.get("messages")), _as_list(new.get("messages"))
    # A conversation is as like as its common beginning and its common end are long.
    head, tail = _common_ends(old_talk, new_talk)
    longest = max(len(old_talk), len(new_talk))
    length = 1 - abs(len(old_talk) - len(new_talk)) / (longest or 1)
    return (same + 2 * (head + tail) + length) / (len(names) + 2 * longest + 1)


def _in_field(name: str, old: object, new: object) -> Iterator[Difference]:
    if _same(old, new):
        return
    match name:
        case "messages":
            yield from _in_messages(_as_list(old), _as_list(new))
        case "system":
            yield from _in_text("system prompt", old, new)
        case "tools":
            yield from _in_tools(_as_list(old), _as_list(new))
        case _:
            yield from _in_value(name, old, new)


def _in_messages(old: list[object], new: list[object]) -> Iterator[Difference]:
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        if not _same(before, after):
            place = f"messages[{index}] ({_role(after)})"
            if _role(before) != _role(after):
                place = f"messages[{index}] ({_role(before)} when recorded, now {_role(after)})"
            yield from _in_content(place, before, after)
    if len(old) != len(new):
        more = new[len(old) :] or old[len(new) :]
        first = min(len(old), len(new))
        word = "added" if len(new) > len(old) else "missing"
        sign = "{{+{}+}}" if len(new) > len(old) else "[-{}-]"
        for index, message in enumerate(more, start=first):
            shown = sign.format(_shown(_content(message)))
            yield Difference(f"messages[{index}] ({_role(message)})", f"{word}: {shown}")


def _in_content(place: str, before: object, after: object) -> Iterator[Difference]:
    yield from _in_text(place, _content(before), _content(after))
    rest = [
        {name: value for name, value in each.items() if name not in ("content", "role")}
        for each in (before, after)
        if isinstance(each, dict)
    ]
    if len(rest) == 2:
        yield from _in_value(place, *rest)


def _in_text(place: str, old: object, new: object) -> Iterator[Difference]:
    """Compare what may be written as a text or as a list of blocks."""
    if isinstance(old, str) == isinstance(new, str):
        yield from _in_value(place, old, new)
    elif _same(_blocks(old), _blocks(new)):
        forms = ("a text", "a list of blocks")
        was, now = forms if isinstance(old, str) else forms[::-1]
        yield Difference(place, f"the same content, but written as {now}, recorded as {was}")
    else:
        yield from _in_value(place, _blocks(old), _blocks(new))


def _in_tools(old: list[object], new: list[object]) -> Iterator[Difference]:
    before, after = _by_name(old), _by_name(new)
    for name in before.keys() - after.keys():
        yield Difference("tools", f"[-{name}-] is no longer offered")
    for name in after.keys() - before.keys():
        yield Difference("tools", f"{{+{name}+}} is new")
    for name in before.keys() & after.keys():
        yield from _in_value(f"tool {name}", before[name], after[name])
    if before.keys() == after.keys() and list(before) != list(after):
        yield Difference("tools", f"in another order: {', '.join(after)}")


def _in_value(place: str, old: object, new: object) -> Iterator[Difference]:
    if _same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            inner = place if name in ("text", "content") else f"{place}.{name}"
            yield from _in_value(inner, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _in_list(place, old, new)
    elif isinstance(old, str) and isinstance(new, str):
        yield Difference(place, changed_span(old, new))
    elif old is _ABSENT:
        yield Difference(place, f"{{+{_shown(new)}+}} is new")
    elif new is _ABSENT:
        yield Difference(place, f"[-{_shown(old)}-] is gone")
    else:
        yield Difference(place, f"[-{_shown(old)}-] {{+{_shown(new)}+}}")


def _in_list(place: str, old: list[object], new: list[object]) -> Iterator[Difference]:
    several = max(len(old), len(new)) > 1
    for index in range(max(len(old), len(new))):
        before = old[index] if index < len(old) else _ABSENT
        after = new[index] if index < len(new) else _ABSENT
        yield from _in_value(f"{place}[{index}]" if several else place, before, after)


def changed_span(old: str, new: str) -> str:
    """Mark what changed between two texts, word by word; equal text is cut, changed text never.

    Long texts are compared sentence by sentence first, which takes a bounded time.
    """
    head, tail = _common_ends(old, new)
    head = _word_start(old, new, head)
    tail = _word_start(old[::-1], new[::-1], min(tail, len(old) - head, len(new) - head))
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    marked = _marked(before, after)
    lead, rest = _shortened(old[:head], first=0), _shortened(old[len(old) - tail :], last=0)
    return json.dumps(f"{lead}{marked}{rest}", ensure_ascii=False)


def _word_start(old: str, new: str, at: int) -> int:
    """The last place at or before `at` that does not cut a word of either text in two."""
    while at > 0 and any(
        at < len(text) and text[at].isalnum() and text[at - 1].isalnum() for text in (old, new)
    ):
        at -= 1
    return at


def _marked(old: str, new: str) -> str:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    are_words = max(len(before), len(after)) <= _MOST_PIECES
    if not are_words:
        before, after = _SENTENCES.findall(old), _SENTENCES.findall(new)
        if max(len(before), len(after)) > _MOST_PIECES or min(len(before), len(after)) < 2:
            return _pair(old, new)
    # Imported late: only a miss needs it.
    from difflib import SequenceMatcher

    pieces = []
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:m])
        if tag == "equal":
            pieces.append(_shortened(gone))
        elif are_words or not gone or not come or (gone, come) == (old, new):
            pieces.append(_pair(gone, come))
        else:
            pieces.append(_marked(gone, come))
    return "".join(pieces)


def _shortened(equal: str, *, first: int = _CONTEXT, last: int = _CONTEXT) -> str:
    """The beginning and the end of what did not change, where that is shorter."""
    if len(equal) <= first + last + 1:
        return equal
    return f"{equal[:first]}…{equal[len(equal) - last :]}"


def _pair(old: str, new: str) -> str:
    gone = f"[-{old}-]" if old else ""
    come = f"{{+{new}+}}" if new else ""
    return gone + come


_Sequence = TypeVar("_Sequence", str, bytes, list[object])


def _common_ends(old: _Sequence, new: _Sequence) -> tuple[int, int]:
    """How long the common beginning is, and the common end of what comes after it."""
    head = _common_prefix(old, new)
    return head, _common_prefix(old[head:][::-1], new[head:][::-1])


def _common_prefix(old: _Sequence, new: _Sequence) -> int:
    shortest = min(len(old), len(new))
    if isinstance(old, list):
        return next((i for i in range(shortest) if old[i] != new[i]), shortest)
    low, high = 0, shortest
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same(old: object, new: object) -> bool:
    """Equality that keeps 1, 1.0 and true apart, as the canonical key does."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    return old == new


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _role(message: object) -> str:
    return str(message.get("role", "?")) if isinstance(message, dict) else "?"


def _content(message: object) -> object:
    return message.get("content", "") if isinstance(message, dict) else message


def _blocks(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _by_name(tools: list[object]) -> dict[str, object]:
    return {
        str(tool.get("name", index)) if isinstance(tool, dict) else str(index): tool
        for index, tool in enumerate(tools)
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
