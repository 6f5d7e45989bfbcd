"""Who waits for whom: rules on the dependencies between work items.

An edge goes from an item to each item that it names as a dependency. An item
submitted alone can only name items submitted before it, so only a batch can hold
a cycle. Nothing here recurses: a chain may be as long as memory allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from mnemosyne_core.errors import (
    DependencyCycleError,
    DuplicateWorkItemError,
    UnknownDependencyError,
)
from mnemosyne_core.work._values import WorkItem


def check_batch(items: Sequence[WorkItem], *, known: Container[str]) -> None:
    """Check that `items` can be submitted together.

    Args:
        items: What is submitted.
        known: Every id that was submitted before, finished ones too.

    Raises:
        DuplicateWorkItemError: An id is taken, or used twice.
        UnknownDependencyError: An item waits for an id that is neither known nor submitted.
        DependencyCycleError: Items of the batch wait for each other.
    """
    batch: set[str] = set()
    for item in items:
        if item.id in batch or item.id in known:
            raise DuplicateWorkItemError(item_id=item.id)
        batch.add(item.id)
    for item in items:
        missing = tuple(d for d in item.dependencies if d not in batch and d not in known)
        if missing:
            raise UnknownDependencyError(item_id=item.id, missing=missing)
    dependency_order(items)


def dependency_order(items: Iterable[WorkItem]) -> tuple[WorkItem, ...]:
    """`items` with each one after those it depends on; otherwise as given.

    Dependencies outside of `items` do not matter.

    Raises:
        DependencyCycleError: There is no such order.
    """
    by_id = {item.id: item for item in items}
    sorter = TopologicalSorter(
        {
            item.id: [dependency for dependency in item.dependencies if dependency in by_id]
            for item in by_id.values()
        }
    )
    try:
        sorter.prepare()
    except CycleError as error:
        # The sorter lists each node before the one that waits for it, the first one twice.
        _, *cycle = error.args[1]
        raise DependencyCycleError(cycle=tuple(reversed(cycle))) from None
    # The sorter hands out whole waves; within one, the order of submission is kept.
    position = {item_id: number for number, item_id in enumerate(by_id)}
    ordered: list[WorkItem] = []
    while sorter.is_active():
        wave = sorted(sorter.get_ready(), key=position.__getitem__)
        ordered.extend(by_id[item_id] for item_id in wave)
        sorter.done(*wave)
    return tuple(ordered)


def reachable(starts: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Every id that can be reached from `starts`, the starts left out, nearest first."""
    pending = deque(starts)
    seen = set(pending)
    found: list[str] = []
    while pending:
        for neighbour in neighbours(pending.popleft()):
            if neighbour not in seen:
                seen.add(neighbour)
                found.append(neighbour)
                pending.append(neighbour)
    return tuple(found)
