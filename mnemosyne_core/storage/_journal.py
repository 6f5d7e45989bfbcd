"""The journal: stores what happens, then tells everybody.

One transaction writes the event and the rows that it changes. Only then is the
event published, with no `await` in between, so no task ever sees an event that is
not stored, or a row whose event is yet to come. If the transaction fails, nothing
has happened: no row, no event, and its sequence number goes to the next one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import (
    DuplicateWorkItemError,
    StorageError,
    UnknownWorkItemError,
    UsageError,
)
from mnemosyne_core.events import Event, Fact, PhaseChanged, WorkSubmitted
from mnemosyne_core.observe import EventBroadcaster, ItemState
from mnemosyne_core.storage._database import MEMORY, Database
from mnemosyne_core.storage._projection import Projection, item_concerned, project
from mnemosyne_core.storage._rows import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    event_of,
    insert_event,
    item_of,
    put_item,
    put_result,
    result_of,
)
from mnemosyne_core.work import Phase, WorkResult, WorkState, problems_of

KINDS = frozenset(kind.model_fields["kind"].default for kind in get_args(get_args(Fact)[0]))
"""The kinds of facts that there are."""

_FINAL = tuple(state for state in WorkState if state.is_final)
_LIVE = tuple(state for state in WorkState if not state.is_final)
_PAGE = 500

T = TypeVar("T")

Redact = Callable[[Fact], Fact]
"""Makes of a fact one without secrets, of the same kind and about the same item."""


class Journal:
    """All that ever happened in a tree, and the rows that it comes to; a `Recorder`."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        broadcaster: EventBroadcaster,
        redact: Redact | None = None,
    ) -> None:
        """Go on with the story that `database` holds.

        Args:
            database: Where it is kept; the journal owns it and closes it.
            clock: Dates the events.
            broadcaster: Where they are published.
            redact: Takes out of each fact what is not to be stored or told.
        """
        self._database = database
        self._clock = clock
        self._broadcaster = broadcaster
        self._redact = redact
        self._last_seq = self._stored_seq()

    @classmethod
    def open(
        cls,
        path: Path | str = MEMORY,
        *,
        create: bool = True,
        clock: Clock | None = None,
        broadcaster: EventBroadcaster | None = None,
        redact: Redact | None = None,
    ) -> Journal:
        """A journal over the file at `path`.

        Args:
            path: The file; `:memory:` for one that lives as long as the journal.
            create: Whether to make the file if there is none.
            clock: Dates the events; by default the running loop's.
            broadcaster: Where they are published; by default one of its own.
            redact: Takes out of each fact what is not to be stored or told.

        Raises:
            StorageError: The file cannot be used.
        """
        database = Database(path, create=create)
        try:
            return cls(
                database,
                clock=clock or LoopClock(),
                broadcaster=broadcaster or EventBroadcaster(),
                redact=redact,
            )
        except BaseException:
            database.close()
            raise

    @property
    def path(self) -> str:
        """The file, or `:memory:`."""
        return self._database.path

    @property
    def last_seq(self) -> int:
        """Sequence number of the newest event; 0 before the first."""
        return self._last_seq

    # --- writing ---

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        """Store `fact` as the next event with the rows that it changes, then publish it.

        Raises:
            DuplicateWorkItemError: It submits an item whose id is taken.
            UnknownWorkItemError: It is about an item that was never submitted.
            UsageError: `attempt` or `by` makes no sense.
            StorageError: It could not be stored. Nothing is published in any of these cases.
        """
        (event,) = self.record_all((fact,), agent=agent, attempt=attempt, by=by)
        return event

    def record_all(
        self, facts: Sequence[Fact], *, agent: str, attempt: int = 1, by: int | None = None
    ) -> tuple[Event, ...]:
        """As `record`, for several facts that are stored together or not at all."""
        events = self._next_events(facts, agent=agent, attempt=attempt, by=by)
        if not events:
            return ()
        try:
            with self._database.transaction() as connection:
                self._check_sole_writer()
                for event in events:
                    insert_event(connection, event)
                    self._change_rows(connection, event)
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            raise StorageError(
                path=self.path, reason=f"the fact cannot be written as text: {error}"
            ) from error
        self._last_seq = events[-1].seq
        self._broadcaster.publish(*events)
        return events

    def rebuild(self) -> None:
        """Make all rows anew from the events.

        Raises:
            StorageError: An event cannot be read, or the rows cannot be written; then they
                are what they were.
        """
        with self._database.transaction() as connection:
            rows = Projection.of(self._each_event())
            connection.execute("DELETE FROM results")
            connection.execute("DELETE FROM work_items")
            for item in rows.items.values():
                put_item(connection, item)
            for (item_id, _), (seq, result) in rows.results.items():
                put_result(connection, item_id, result, seq=seq)

    # --- reading ---

    def events(
        self,
        *,
        after: int = 0,
        kind: str | None = None,
        agent: str | None = None,
        limit: int | None = None,
    ) -> tuple[Event, ...]:
        """Events in their order.

        Args:
            after: Only those with a higher sequence number.
            kind: Only those of this kind, such as `work_completed`.
            agent: Only those of the agent at this path.
            limit: At most so many.

        Raises:
            UsageError: There is no such kind of event.
            StorageError: They cannot be read.
        """
        if kind is not None and kind not in KINDS:
            raise UsageError(
                f"there are no events of kind {kind!r}; the kinds are {', '.join(sorted(KINDS))}"
            )
        conditions, parameters = ["seq > ?"], [after, kind, agent]
        conditions += [
            f"{column} = ?"
            for column, wanted in (("kind", kind), ("agent", agent))
            if wanted is not None
        ]
        rows = self._database.query(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE {' AND '.join(conditions)} "  # noqa: S608
            "ORDER BY seq LIMIT ?",
            [
                *(value for value in parameters if value is not None),
                -1 if limit is None else limit,
            ],
        )
        return tuple(self._understood(event_of, row, f"event {row[0]}") for row in rows)

    def items(self, *, state: WorkState | None = None) -> tuple[ItemState, ...]:
        """Items in order of submission; only those in `state`, if given."""
        return self._items_in(tuple(WorkState) if state is None else (state,))

    def live_items(self) -> tuple[ItemState, ...]:
        """The items that are not finished, in order of submission."""
        return self._items_in(_LIVE)

    def item(self, item_id: str) -> ItemState:
        """One item.

        Raises:
            UnknownWorkItemError: It was never submitted.
        """
        found = self._find_item(item_id)
        if found is None:
            raise UnknownWorkItemError(item_id=item_id)
        return found

    def finished(self) -> dict[str, WorkState]:
        """The final state of every finished item, by id."""
        rows = self._database.query(
            f"SELECT id, state FROM work_items WHERE state IN ({_marks(_FINAL)}) "  # noqa: S608
            "ORDER BY submitted_seq",
            _FINAL,
        )
        return {item_id: WorkState(state) for item_id, state in rows}

    def results(self, item_id: str) -> tuple[WorkResult, ...]:
        """The last word on each attempt at an item, by attempt.

        Raises:
            UnknownWorkItemError: The item was never submitted.
        """
        rows = self._database.query(
            "SELECT result FROM results WHERE item_id = ? ORDER BY attempt", (item_id,)
        )
        if not rows:
            self.item(item_id)
        return tuple(
            self._understood(result_of, text, f"a result of {item_id!r}") for (text,) in rows
        )

    def phase(self) -> Phase:
        """The phase that the project is in."""
        rows = self._database.query(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE kind = 'phase_changed' "  # noqa: S608
            "ORDER BY seq DESC LIMIT 1"
        )
        for row in rows:
            fact = self._understood(event_of, row, f"event {row[0]}").fact
            assert isinstance(fact, PhaseChanged)
            return fact.phase
        return Phase.PROMPT_TO_SPEC

    # --- the end ---

    def close(self) -> None:
        """Give the file back; may be called again."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- within ---

    def _next_events(
        self, facts: Sequence[Fact], *, agent: str, attempt: int, by: int | None
    ) -> tuple[Event, ...]:
        if by is not None and by > self._last_seq:
            raise UsageError(f"by={by} names no event; the newest one so far is {self._last_seq}")
        at = self._clock.now()
        if self._redact is not None:
            facts = [self._redact(fact) for fact in facts]
        try:
            return tuple(
                Event(seq=seq, at=at, agent=agent, attempt=attempt, by=by, fact=fact)
                for seq, fact in enumerate(facts, start=self._last_seq + 1)
            )
        except ValidationError as error:
            problems = "; ".join(f"{field}: {problem}" for field, problem in problems_of(error))
            raise UsageError(f"not an event: {problems}") from error

    def _change_rows(self, connection: sqlite3.Connection, event: Event) -> None:
        item_id = item_concerned(event.fact)
        if item_id is None:
            return
        before = self._find_item(item_id)
        is_submission = isinstance(event.fact, WorkSubmitted)
        if before is None and not is_submission:
            raise UnknownWorkItemError(item_id=item_id)
        if before is not None and is_submission:
            raise DuplicateWorkItemError(item_id=item_id)
        change = project(before, event)
        if change is None:
            return
        put_item(connection, change.item)
        if change.result is not None:
            put_result(connection, item_id, change.result, seq=event.seq)

    def _check_sole_writer(self) -> None:
        if self._database.is_private:
            return
        stored_seq = self._stored_seq()
        if stored_seq != self._last_seq:
            raise StorageError(
                path=self.path,
                reason=f"it holds {stored_seq} events, this process knows of {self._last_seq}: "
                "another one writes to it too; run one tree on it at a time",
            )

    def _stored_seq(self) -> int:
        ((seq,),) = self._database.query("SELECT coalesce(max(seq), 0) FROM events")
        return int(seq)

    def _each_event(self) -> Iterator[Event]:
        after = 0
        while page := self.events(after=after, limit=_PAGE):
            yield from page
            after = page[-1].seq

    def _items_in(self, states: tuple[WorkState, ...]) -> tuple[ItemState, ...]:
        rows = self._database.query(
            f"SELECT {ITEM_COLUMNS} FROM work_items WHERE state IN ({_marks(states)}) "  # noqa: S608
            "ORDER BY submitted_seq",
            states,
        )
        return tuple(self._understood(item_of, row, f"work item {row[0]!r}") for row in rows)

    def _find_item(self, item_id: str) -> ItemState | None:
        rows = self._database.query(
            f"SELECT {ITEM_COLUMNS} FROM work_items WHERE id = ?",  # noqa: S608
            (item_id,),
        )
        for row in rows:
            return self._understood(item_of, row, f"work item {item_id!r}")
        return None

    def _understood(self, read: Callable[[Any], T], stored: object, name: str) -> T:
        try:
            return read(stored)
        except ValueError as error:
            problem = (
                "; ".join(f"{field}: {what}" for field, what in problems_of(error))
                if isinstance(error, ValidationError)
                else str(error)
            )
            raise StorageError(
                path=self.path,
                reason=f"{name} cannot be read ({problem}); was the file edited by hand?",
            ) from error


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
