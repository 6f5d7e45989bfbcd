"""Work items that depend on each other: graphs that a queue takes, and two kinds it refuses.

A graph is drawn as a list of items, each with how many places back the items stand that it
depends on; a step that leads beyond the first item leads nowhere. So whatever the shrinker
leaves out, what remains is a graph of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.errors import UsageError
from mnemosyne_core.work import WorkItem
from pytest_mnemosyne.strategies._work import work_items

_MISSING_ID = "missing"

_Member = tuple[WorkItem, frozenset[int]]
"""An item without its place, and the steps back to what it depends on."""


def work_graphs(
    *, min_size: int = 1, max_size: int = 6, **fields: object
) -> SearchStrategy[list[WorkItem]]:
    """Items that can be submitted together: no circle, and no dependency outside of the list.

    Called `item-1`, `item-2`, ..., each depends on earlier numbers only; they stand in any
    order (`dependency_order` of the core puts them right). Never more than three dependencies
    for one item. Shrinks to fewer items, fewer dependencies, and the order of their numbers.

    Args:
        min_size: How many items there are at least.
        max_size: How many at most.
        **fields: As for `work_items`, for every item; not `id` and `dependencies`.

    Raises:
        UsageError: The sizes or the fields make no graph.
    """
    return _in_order(min_size, max_size, fields).flatmap(st.permutations)


def cyclic_work_graphs(
    *, max_size: int = 6, **fields: object
) -> SearchStrategy[tuple[list[WorkItem], tuple[str, ...]]]:
    """Items of which some wait for each other in a circle, and the ids in it.

    The circle is in waiting order: each item in it depends on the next, the last on the first.
    Other items may be before it and behind it, but there is never a second circle, nor an item
    that depends on itself alone, which `WorkItem` refuses. Shrinks to two items that depend on
    each other.

    Args:
        max_size: How many items there are at most, from 2.
        **fields: As for `work_graphs`.

    Raises:
        UsageError: The sizes or the fields make no graph.
    """
    return _in_order(2, max_size, fields).flatmap(
        lambda items: st.integers(2, len(items)).flatmap(
            lambda length: st.integers(0, len(items) - length).flatmap(
                lambda start: _with_circle(items, start, length)
            )
        )
    )


def dangling_work_graphs(
    *, max_size: int = 6, **fields: object
) -> SearchStrategy[tuple[list[WorkItem], str]]:
    """Items of which exactly one depends on an id that none of them has, and that id.

    Without that dependency they are what `work_graphs` makes. Shrinks to one item.

    Args:
        max_size: How many items there are at most.
        **fields: As for `work_graphs`.

    Raises:
        UsageError: The sizes or the fields make no graph.
    """
    graphs = _in_order(1, max_size, fields).flatmap(st.permutations)
    return graphs.flatmap(
        lambda items: st.integers(0, len(items) - 1).map(
            lambda place: (_dangling(items, place), _MISSING_ID)
        )
    )


def _in_order(
    min_size: int, max_size: int, fields: Mapping[str, object]
) -> SearchStrategy[list[WorkItem]]:
    """Graphs whose items stand in the order of their numbers."""
    if not 0 <= min_size <= max_size:
        raise UsageError(f"no graph has from {min_size} to {max_size} items")
    taken = sorted({"id", "dependencies"} & set(fields))
    if taken:
        raise UsageError(f"a graph gives its items their {' and '.join(taken)}; leave it out")
    items = work_items(id="item", dependencies=(), **fields)
    steps = st.frozensets(st.integers(1, max(1, max_size - 1)), max_size=3)
    return st.lists(st.tuples(items, steps), min_size=min_size, max_size=max_size).map(_placed)


def _placed(members: Sequence[_Member]) -> list[WorkItem]:
    return [
        _with(item, place, [place - step for step in sorted(steps) if step <= place])
        for place, (item, steps) in enumerate(members)
    ]


def _with(item: WorkItem, place: int, awaited: Sequence[int]) -> WorkItem:
    return item.model_copy(
        update={"id": _name(place), "dependencies": tuple(_name(each) for each in awaited)}
    )


def _name(place: int) -> str:
    return f"item-{place + 1}"


def _with_circle(
    items: Sequence[WorkItem], start: int, length: int
) -> SearchStrategy[tuple[list[WorkItem], tuple[str, ...]]]:
    """Tie `length` items from `start` on to a ring, in place of what else they wait for."""
    spoilt = list(items)
    for place in range(start, start + length):
        # Dependencies on what stands before the ring cannot close a second circle.
        before = [each for each in range(start) if _name(each) in items[place].dependencies]
        spoilt[place] = _with(items[place], place, [start + (place + 1 - start) % length, *before])
    circle = tuple(_name(place) for place in range(start, start + length))
    return st.permutations(spoilt).map(lambda order: (order, circle))


def _dangling(items: Sequence[WorkItem], place: int) -> list[WorkItem]:
    waiting = items[place]
    dependencies = (*waiting.dependencies, _MISSING_ID)
    spoilt = waiting.model_copy(update={"dependencies": dependencies})
    return [*items[:place], spoilt, *items[place + 1 :]]
