"""Invariants of work: each item ends once, and everything on its way has its turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mnemosyne_core.events import (
    Event,
    TreeStarted,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkSubmitted,
)
from mnemosyne_core.observe import WorkFact, item_id_of
from mnemosyne_core.work import WorkItem
from pytest_mnemosyne.simulation.invariants._history import Finding, History

_Final = WorkCompleted | WorkFailed | WorkCancelled


def each_item_ends_once(history: History) -> Iterator[Finding]:
    """An item is completed, failed or cancelled once, and nothing happens to it afterwards."""
    ends: dict[str, Event] = {}
    for event in history.events:
        if not isinstance(event.fact, WorkFact):
            continue
        item_id = item_id_of(event.fact)
        if (end := ends.get(item_id)) is not None:
            again = "ends again" if isinstance(event.fact, _Final) else "goes on after its end"
            yield f"item {item_id} {again}", (end, event)
        elif isinstance(event.fact, _Final):
            ends[item_id] = event


def each_item_is_submitted_first(history: History) -> Iterator[Finding]:
    """An item is submitted once, before anything else happens to it."""
    submitted: dict[str, Event] = {}
    for event in history.events:
        if not isinstance(event.fact, WorkFact):
            continue
        item_id = item_id_of(event.fact)
        before = submitted.get(item_id)
        if not isinstance(event.fact, WorkSubmitted):
            if before is None:
                yield f"item {item_id} was never submitted", (event,)
        elif before is not None:
            yield f"item {item_id} is submitted again", (before, event)
        else:
            submitted[item_id] = event


def attempts_count_up_by_one(history: History) -> Iterator[Finding]:
    """Attempts at an item follow each other, are numbered from 1, and are not too many."""
    items = _items(history)
    claims: Counter[str] = Counter()
    under_way: dict[str, Event] = {}
    for event in history.events:
        match event.fact:
            case WorkClaimed(item_id=item_id):
                claims[item_id] += 1
                if (before := under_way.get(item_id)) is not None:
                    yield f"item {item_id} is claimed during an attempt at it", (before, event)
                under_way[item_id] = event
                if event.attempt != claims[item_id]:
                    yield (
                        f"attempt {claims[item_id]} at item {item_id} has another number",
                        (event,),
                    )
                if item_id in items and claims[item_id] > items[item_id].max_attempts:
                    most = items[item_id].max_attempts
                    yield f"item {item_id} may be tried {most} times, not more", (event,)
            case (
                WorkReleased(item_id=item_id)
                | WorkCompleted(item_id=item_id)
                | WorkFailed(item_id=item_id)
                | WorkCancelled(item_id=item_id)
            ):
                under_way.pop(item_id, None)
            case _:
                pass


def dependencies_are_completed_first(history: History) -> Iterator[Finding]:
    """No attempt at an item begins before everything that it depends on is completed."""
    items = _items(history)
    completed: set[str] = set()
    for event in history.events:
        if isinstance(event.fact, WorkCompleted):
            completed.add(event.fact.item_id)
        elif isinstance(event.fact, WorkClaimed) and event.fact.item_id in items:
            item = items[event.fact.item_id]
            missing = [needed for needed in item.dependencies if needed not in completed]
            if missing:
                yield f"item {item.id} starts before {', '.join(missing)}", (event,)


def concurrency_is_bounded(history: History) -> Iterator[Finding]:
    """Agents never work on more items at the same time than the tree allows."""
    if history.max_concurrent is None:
        return
    at_work: dict[str, Event] = {}
    for event in history.events:
        match event.fact:
            case TreeStarted():
                # Whoever worked in the run before is gone; its items are released.
                at_work.clear()
            case WorkClaimed(item_id=item_id):
                at_work[item_id] = event
                if len(at_work) > history.max_concurrent:
                    yield (
                        f"{len(at_work)} items are worked on, {history.max_concurrent} may be",
                        tuple(at_work.values()),
                    )
            case (
                WorkReturned(item_id=item_id)
                | WorkReleased(item_id=item_id)
                | WorkCompleted(item_id=item_id)
                | WorkFailed(item_id=item_id)
                | WorkCancelled(item_id=item_id)
            ):
                at_work.pop(item_id, None)
            case _:
                pass


def _items(history: History) -> dict[str, WorkItem]:
    return {
        event.fact.item.id: event.fact.item
        for event in history.events
        if isinstance(event.fact, WorkSubmitted)
    }


WORK = (
    each_item_is_submitted_first,
    each_item_ends_once,
    attempts_count_up_by_one,
    dependencies_are_completed_first,
)
"""The invariants here that need to know of nothing but the events."""
