"""Answers that come back: what Claude said stands in a later request as a message.

Such an answer is not written a second time. `said: m2` beside a response means that the
part `m2`, a message of the assistant, holds its content: in a `body`, `content` is
then that name once more, and the events of a stream take their texts from it.

Clients resend the blocks of an answer with their keys in an order of their own. So
that its bytes come back, `keys` names a part with the orders in which the answer has
them: a list for each set of keys whose order differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_mnemosyne.cassette._json_styles import is_deep, print_json
from pytest_mnemosyne.cassette._said import form_of
from pytest_mnemosyne.cassette._shape import texts
from pytest_mnemosyne.cassette._yaml import ShapeProblem, Where

Orders = list[list[str]]
"""The keys of objects, in the order in which they are printed."""


@dataclass(frozen=True, slots=True)
class Resent:
    """A message that repeats an answer."""

    name: str
    """The part that it is."""

    blocks: Sequence[object]
    """Its content."""


class ResentAnswers:
    """The messages among the parts of a file that may repeat an answer."""

    def __init__(self, parts: Mapping[str, object]) -> None:
        """Look for them; of those that say the same the first one counts."""
        self._found: dict[str, Resent] = {}
        for name, value in parts.items():
            blocks = blocks_of(value)
            if blocks:
                self._found.setdefault(form_of(blocks), Resent(name, blocks))

    def of(self, content: object) -> Resent | None:
        """The message that says what this content of an answer says, as far as is known."""
        return self._found.get(form_of(content)) if isinstance(content, list) else None


def blocks_of(message: object) -> list[object] | None:
    """The content of an assistant's message, a text being one block; `None` for all else."""
    match message:
        case {"role": "assistant", "content": list(blocks)}:
            return blocks
        case {"role": "assistant", "content": str(text)}:
            return [{"type": "text", "text": text}]
        case _:
            return None


def orders_between(resent: object, answered: object) -> Orders | None:
    """What `in_order` needs to make the second value of the first; `None` where it cannot."""
    orders: dict[frozenset[str], list[str]] = {}
    for mine, other in _objects(resent, answered):
        wanted = list(other)
        if list(mine) != wanted:
            orders.setdefault(frozenset(wanted), wanted)
    listed = list(orders.values())
    if print_json(in_order(resent, listed)) != print_json(answered):
        return None
    return listed


def _objects(one: object, other: object) -> Iterator[tuple[Mapping[str, object], ...]]:
    """The objects that stand at the same places of two values."""
    if isinstance(one, dict) and isinstance(other, dict):
        yield one, other
        for key in other:
            if key in one:
                yield from _objects(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        for mine, its in zip(one, other, strict=False):
            yield from _objects(mine, its)


def in_order(value: object, orders: Iterable[Sequence[str]]) -> object:
    """`value`, with the keys of its objects in these orders, where there is one for them."""
    return _in_order(value, {frozenset(order): order for order in orders})


def _in_order(value: object, orders: Mapping[frozenset[str], Sequence[str]]) -> object:
    if isinstance(value, list):
        return [_in_order(each, orders) for each in value]
    if not isinstance(value, dict):
        return value
    keys = orders.get(frozenset(value), value)
    return {key: _in_order(value[key], orders) for key in keys}


def read_orders(written: object, where: Where) -> Orders:
    """The orders in a part.

    Raises:
        ShapeProblem: It holds something else.
    """
    if not isinstance(written, list) or not all(isinstance(each, list) for each in written):
        raise ShapeProblem(where, "keys names a part that is a list of lists of keys")
    return [texts(order, (*where, at)) for at, order in enumerate(written)]


def read_blocks(message: object, where: Where) -> list[object]:
    """The content of the message that `said` names.

    Raises:
        ShapeProblem: It is none of the assistant's.
    """
    blocks = blocks_of(message)
    if blocks is None:
        raise ShapeProblem(where, "said names a part that is no message of the assistant")
    # The keys are put in order level by level.
    if is_deep(blocks):
        raise ShapeProblem(where, "said names a message that is nested too deeply")
    return blocks
