"""Parts: the values of a file that are stored once, and the names that stand for them.

Messages, system texts and tool lists repeat from turn to turn. The names of a long
conversation's messages repeat as well, so each eight of them get a name of their own,
a history, which begins with the history before it:

    h1: [m1, m2, m3, m4, m5, m6, m7, m8]
    h2: [..h1, m9, m10, m11, m12, m13, m14, m15, m16]

`..h2` stands at the beginning of a request's messages for all sixteen. What it holds
depends on nothing but the messages, so requests that share a beginning share its
histories, whichever of them came first, and a file grows by what is new in it.

A name costs a few bytes and may stand for many. So what a file unfolds to is counted
before it is put together, and a history can only name one that stands above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from pytest_mnemosyne.cassette._bodies import printed
from pytest_mnemosyne.cassette._json_styles import print_json
from pytest_mnemosyne.cassette._yaml import FlowList, ShapeProblem, Where

_WHOLE_VALUES: Final = {"system": "s", "tools": "t"}
"""The keys of a request whose value is one part, and the first letter of its name."""

_MESSAGES: Final = "messages"
_UP_TO: Final = ".."
"""Stands before the name of a history, and before no other."""

_STEP: Final = 8
"""How many messages a history adds to the one before it."""

_INDENT: Final = 8
"""By how many blanks a line of a part may be further in where it stands in a body."""

_MOST_UNFOLDED_BYTES: Final = 512 * 1024 * 1024
"""What all names of a file may come to: a thousand requests of a thousand messages fit."""


class NamedParts:
    """The parts of a file that is written, with the names they got."""

    def __init__(self) -> None:
        self.named: dict[str, object] = {}
        """In order of first use."""
        self._names: dict[tuple[str, bytes], str] = {}
        self._counts: dict[str, int] = {}

    def name(self, letter: str, value: object) -> str:
        """The name of `value`, a new one if it was not seen before."""
        # Printed, because 1, 1.0 and True are equal in Python and differ on the wire.
        key = (letter, print_json(value))
        if key not in self._names:
            self._counts[letter] = self._counts.get(letter, 0) + 1
            self._names[key] = f"{letter}{self._counts[letter]}"
            self.named[self._names[key]] = value
        return self._names[key]

    def extract(self, body: Mapping[str, object]) -> dict[str, object]:
        """`body` with names in place of its parts."""
        extracted: dict[str, object] = {}
        for key, value in body.items():
            if key in _WHOLE_VALUES:
                extracted[key] = self.name(_WHOLE_VALUES[key], value)
            elif key == _MESSAGES and isinstance(value, list):
                extracted[key] = self._listed([self.name("m", message) for message in value])
            else:
                extracted[key] = value
        return extracted

    def _listed(self, names: list[str]) -> FlowList:
        """The names of messages, beginning with a history if there are many."""
        listed = names[:_STEP]
        for at in range(_STEP, len(names), _STEP):
            history = self.name("h", FlowList(listed))
            listed = [_UP_TO + history, *names[at : at + _STEP]]
        return FlowList(listed)


class _History(NamedTuple):
    """The beginning of a conversation."""

    before: str | None
    """The history that it goes on from."""

    items: Sequence[object]
    """What it adds, by name or in place."""

    cost: int
    """Of all of it."""


class Parts:
    """The parts of a file that is read."""

    def __init__(self, written: Mapping[str, object]) -> None:
        """Read what stands under `parts`."""
        self._written = written
        self._order = {name: at for at, name in enumerate(written)}
        self._costs: dict[tuple[str, str], int] = {}
        self._histories: dict[tuple[str, str], _History] = {}
        self._left = _MOST_UNFOLDED_BYTES

    def insert(self, body: Mapping[str, object], style: str, where: Where) -> dict[str, object]:
        """`body`, which will be printed in this style, with its parts in place of their names.

        Raises:
            ShapeProblem: A name is wrong, or all that were asked for come to more than a
                file may hold.
        """
        inserted: dict[str, object] = {}
        for key, value in body.items():
            if key in _WHOLE_VALUES:
                inserted[key] = self.value(value, style, (*where, key))
            elif key == _MESSAGES and isinstance(value, list):
                inserted[key] = self._unfolded(value, style, (*where, key))
            else:
                inserted[key] = value
        return inserted

    def value(self, name: object, style: str, where: Where) -> object:
        """The part of this name; what is no text stands for itself.

        Raises:
            ShapeProblem: As `insert`.
        """
        if not isinstance(name, str):
            return name
        self._charge(self._cost(name, style, where), where)
        return self._written[name]

    def _unfolded(self, items: Sequence[object], style: str, where: Where) -> list[object]:
        values: list[object] = []
        begin = 0
        if items and _is_history(items[0]):
            begin = 1
            history = self._history(items[0].removeprefix(_UP_TO), style, (*where, 0))
            self._charge(history.cost, (*where, 0))
            for each in self._from_the_beginning(history, style):
                # They were found and charged for.
                values += [self._written[i] if isinstance(i, str) else i for i in each.items]
        for at, item in enumerate(items[begin:], begin):
            values.append(self.value(item, style, (*where, at)))
        return values

    def _from_the_beginning(self, history: _History, style: str) -> Iterable[_History]:
        chain = [history]
        while chain[-1].before is not None:
            chain.append(self._histories[chain[-1].before, style])
        return reversed(chain)

    def _history(self, name: str, style: str, where: Where) -> _History:
        """The history of this name; all that it goes on from are known then, too."""
        pending = [(name, where)]
        while pending:
            last, asked_at = pending[-1]
            before = self._before(last, asked_at)
            if before is not None and (before, style) not in self._histories:
                pending.append((before, ("parts", last, 0)))
                continue
            if (last, style) not in self._histories:
                self._histories[last, style] = self._made(last, before, style)
            pending.pop()
        return self._histories[name, style]

    def _before(self, name: str, where: Where) -> str | None:
        """The name of the history that the one of this name goes on from."""
        items = self._written.get(name)
        if not isinstance(items, list):
            raise ShapeProblem(where, f"there is no history called {name!r}")
        if not items or not _is_history(items[0]):
            return None
        before = items[0].removeprefix(_UP_TO)
        if self._order.get(before, -1) >= self._order[name]:
            raise ShapeProblem(
                ("parts", name, 0), f"history {name} goes on from {before}, which is not above it"
            )
        return before

    def _made(self, name: str, before: str | None, style: str) -> _History:
        items: Any = self._written[name]
        begin = 0 if before is None else 1
        cost = 1 if before is None else self._histories[before, style].cost + 1
        for at, item in enumerate(items[begin:], begin):
            place = ("parts", name, at)
            if isinstance(item, str):
                cost += self._cost(item, style, place)
            else:
                cost += _printed_bytes(item, style, place)
        return _History(before, items[begin:], cost)

    def _cost(self, name: str, style: str, where: Where) -> int:
        known = self._costs.get((name, style))
        if known is None:
            if name not in self._written:
                raise ShapeProblem(where, f"there is no part called {name!r}")
            known = _printed_bytes(self._written[name], style, ("parts", name))
            self._costs[name, style] = known
        return known

    def _charge(self, cost: int, where: Where) -> None:
        self._left -= cost
        if self._left < 0:
            most = _MOST_UNFOLDED_BYTES >> 20
            raise ShapeProblem(where, f"the parts that are named unfold to more than {most} MB")


def _printed_bytes(value: object, style: str, where: Where) -> int:
    """About what a value in a body comes to, at the least a byte."""
    text = printed(value, style, where)
    return len(text) + text.count(b"\n") * _INDENT + 1


def may_unfold_too_far(size: int) -> bool:
    """Whether a reader might refuse the parts of a file whose bodies come to this many bytes."""
    # It counts more than the bytes: the most that a line of a part may be further in.
    return size > _MOST_UNFOLDED_BYTES // 4


def named_parts(texts: Iterable[str], parts: Mapping[str, object]) -> set[str]:
    """The names among `texts`, and those in the histories that they name."""
    found: set[str] = set()
    pending = list(texts)
    while pending:
        text = pending.pop()
        if text in found:
            continue
        found.add(text)
        if _is_history(text):
            name = text.removeprefix(_UP_TO)
            found.add(name)
            pending += _texts_in(parts.get(name))
    return found


def _texts_in(value: object) -> Iterator[str]:
    yield from (
        each for each in (value if isinstance(value, list) else ()) if isinstance(each, str)
    )


def _is_history(item: object) -> TypeGuard[str]:
    return isinstance(item, str) and item.startswith(_UP_TO)
