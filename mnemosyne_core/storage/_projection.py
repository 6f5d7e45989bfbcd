"""Which rows an event changes.

The events are the truth; the rows are what they come to, kept so that an item can
be found without reading the whole story. The same rule writes the rows with each
event and makes them anew from all events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mnemosyne_core.events import Event, Fact, WorkCompleted, WorkFailed, WorkReturned
from mnemosyne_core.observe import (
    AgentFact,
    ChildFact,
    ClaudeFact,
    ItemState,
    TreeFact,
    item_after,
    item_id_of,
)
from mnemosyne_core.work import WorkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What one event does to the rows."""

    item: ItemState
    """The item's row from now on."""

    result: WorkResult | None
    """The last word on one of its attempts, if the event has one."""


def item_concerned(fact: Fact) -> str | None:
    """The id of the item whose rows a fact may change; `None` if it is about no item."""
    if isinstance(fact, TreeFact | ChildFact | AgentFact | ClaudeFact):
        return None
    return item_id_of(fact)


def project(before: ItemState | None, event: Event) -> RowChange | None:
    """The rows after `event`.

    Args:
        before: The item that the event is about, as it was; `None` if it did not exist.
        event: What happened.

    Returns:
        `None` if no row changes: the event is about no item, about one that was never
        submitted, or about one that had already ended.
    """
    fact = event.fact
    if isinstance(fact, TreeFact | ChildFact | AgentFact | ClaudeFact):
        return None
    after = item_after(before, fact, event)
    if after is None or after is before:
        return None
    told = fact.result if isinstance(fact, WorkReturned | WorkCompleted | WorkFailed) else None
    return RowChange(item=after, result=told)


@dataclass(slots=True)
class Projection:
    """The rows of a whole story."""

    items: dict[str, ItemState] = field(default_factory=dict)
    results: dict[tuple[str, int], tuple[int, WorkResult]] = field(default_factory=dict)
    """By item and attempt: the last word, and the number of the event that said it."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Projection:
        """The rows that `events` come to, in their order."""
        rows = cls()
        for event in events:
            item_id = item_concerned(event.fact)
            if item_id is None:
                continue
            change = project(rows.items.get(item_id), event)
            if change is None:
                continue
            rows.items[item_id] = change.item
            if change.result is not None:
                rows.results[item_id, change.result.attempt] = (event.seq, change.result)
        return rows
