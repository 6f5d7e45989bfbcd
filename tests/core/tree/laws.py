"""What must be true of a tree's story, whatever happened in it."""

from __future__ import annotations

from collections import Counter

from mnemosyne_core.events import (
    Event,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReturned,
    WorkSubmitted,
)
from mnemosyne_core.observe import replay
from mnemosyne_core.tree import SupervisionTree


def assert_lawful(tree: SupervisionTree) -> None:
    """Hold the whole story so far against the laws; the tree must not have been stopped."""
    events = tree.journal.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.by is None or event.by < event.seq for event in events)
    assert replay(events) == tree.state.snapshot()
    _assert_each_item_ends_once(events)
    _assert_attempts_are_counted(events)
    _assert_dependencies_come_first(events)
    rows = tree.journal.items()
    tree.journal.rebuild()
    assert tree.journal.items() == rows
    assert {row.item.id: row for row in rows} == tree.state.snapshot().items


def _assert_each_item_ends_once(events: tuple[Event, ...]) -> None:
    ends: Counter[str] = Counter()
    for event in events:
        fact = event.fact
        if isinstance(fact, WorkCompleted | WorkFailed | WorkCancelled):
            ends[fact.item_id] += 1
        elif isinstance(fact, WorkClaimed | WorkReturned):
            assert not ends[fact.item_id], f"{event} comes after the item's end"
    assert not {item_id: n for item_id, n in ends.items() if n > 1}


def _assert_attempts_are_counted(events: tuple[Event, ...]) -> None:
    most = {e.fact.item.id: e.fact.item.max_attempts for e in events if _submits(e)}  # type: ignore[union-attr]
    claimed: Counter[str] = Counter()
    for event in events:
        if isinstance(event.fact, WorkClaimed):
            claimed[event.fact.item_id] += 1
            assert event.attempt == claimed[event.fact.item_id], "attempts count up by one"
    assert all(n <= most[item_id] for item_id, n in claimed.items())


def _assert_dependencies_come_first(events: tuple[Event, ...]) -> None:
    needs = {e.fact.item.id: e.fact.item.dependencies for e in events if _submits(e)}  # type: ignore[union-attr]
    completed: set[str] = set()
    for event in events:
        if isinstance(event.fact, WorkCompleted):
            completed.add(event.fact.item_id)
        elif isinstance(event.fact, WorkClaimed):
            assert completed.issuperset(needs[event.fact.item_id])


def _submits(event: Event) -> bool:
    return isinstance(event.fact, WorkSubmitted)
