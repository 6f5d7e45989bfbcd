"""Between values and rows: nothing here decides anything."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from mnemosyne_core.events import Event, Fact
from mnemosyne_core.observe import ItemState
from mnemosyne_core.work import WorkItem, WorkResult, WorkState

EVENT_COLUMNS = "seq, at, agent, attempt, by_seq, fact"
ITEM_COLUMNS = (
    "id, submitted_seq, item, state, attempt, guidance, worker, blocked, reviews, not_before, "
    "(SELECT result FROM results WHERE item_id = id ORDER BY seq DESC LIMIT 1)"
)

_FACT: TypeAdapter[Fact] = TypeAdapter(Fact)
_GUIDANCE: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])


def insert_event(connection: sqlite3.Connection, event: Event) -> None:
    """Append an event."""
    connection.execute(
        "INSERT INTO events (seq, at, agent, attempt, by_seq, kind, fact) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            event.seq,
            event.at.isoformat(),
            event.agent,
            event.attempt,
            event.by,
            event.kind,
            event.fact.model_dump_json(),
        ),
    )


def event_of(row: tuple[Any, ...]) -> Event:
    """The event in a row of `EVENT_COLUMNS`.

    Raises:
        ValueError: The row holds no event that this release knows.
    """
    seq, at, agent, attempt, by_seq, fact = row
    return Event(
        seq=seq,
        at=datetime.fromisoformat(at),
        agent=agent,
        attempt=attempt,
        by=by_seq,
        fact=_FACT.validate_json(fact),
    )


def put_item(connection: sqlite3.Connection, state: ItemState) -> None:
    """Write an item's row; its results have rows of their own."""
    connection.execute(
        "INSERT INTO work_items "
        "(id, submitted_seq, item, state, attempt, guidance, worker, blocked, reviews, not_before) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "state = excluded.state, attempt = excluded.attempt, guidance = excluded.guidance, "
        "worker = excluded.worker, blocked = excluded.blocked, reviews = excluded.reviews, "
        "not_before = excluded.not_before",
        (
            state.item.id,
            state.submitted_seq,
            state.item.model_dump_json(),
            state.state.value,
            state.attempt,
            _GUIDANCE.dump_json(state.guidance).decode(),
            state.worker,
            state.blocked,
            state.reviews,
            None if state.not_before is None else state.not_before.isoformat(),
        ),
    )


def item_of(row: tuple[Any, ...]) -> ItemState:
    """The item in a row of `ITEM_COLUMNS`.

    Raises:
        ValueError: The row holds no item that this release knows.
    """
    _, submitted_seq, item, state, attempt, guidance, *rest = row
    worker, blocked, reviews, not_before, result = rest
    return ItemState(
        item=WorkItem.model_validate_json(item),
        submitted_seq=submitted_seq,
        state=WorkState(state),
        attempt=attempt,
        guidance=_GUIDANCE.validate_json(guidance),
        worker=worker,
        blocked=blocked,
        reviews=reviews,
        not_before=None if not_before is None else datetime.fromisoformat(not_before),
        result=None if result is None else result_of(result),
    )


def put_result(
    connection: sqlite3.Connection, item_id: str, result: WorkResult, *, seq: int
) -> None:
    """Write the last word on an attempt, said by the event `seq`."""
    connection.execute(
        "INSERT INTO results (item_id, attempt, seq, success, result) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (item_id, attempt) DO UPDATE SET "
        "seq = excluded.seq, success = excluded.success, result = excluded.result",
        (item_id, result.attempt, seq, result.success, result.model_dump_json()),
    )


def result_of(text: str) -> WorkResult:
    """The result in a `result` column.

    Raises:
        ValueError: It holds no result.
    """
    return WorkResult.model_validate_json(text)
