"""Whatever happens, the rows are what the events come to."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemosyne_core.errors import DuplicateWorkItemError, UnknownWorkItemError
from mnemosyne_core.events import Event, WorkSubmitted
from mnemosyne_core.observe import EventBroadcaster, StateManager, replay
from mnemosyne_core.storage import Database, Journal
from tests.core.observe.building import stories, work
from tests.core.storage.building import TickingClock, journal_at

some_stories = settings(max_examples=50, deadline=None)


def tell(journal: Journal, story: list[Event]) -> None:
    """Record what the journal takes of a story."""
    for event in story:
        with suppress(DuplicateWorkItemError, UnknownWorkItemError):
            journal.record(event.fact, agent=event.agent, attempt=event.attempt)


@some_stories
@given(stories())
def test_the_rows_are_a_fold_over_the_events(story: list[Event]) -> None:
    bus = EventBroadcaster()
    manager = StateManager(bus)
    with journal_at(broadcaster=bus) as journal:
        tell(journal, story)
        events, items = journal.events(), journal.items()

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {each.item.id: each for each in items} == replay(events).items
    assert manager.snapshot() == replay(events)


@some_stories
@given(stories(), st.booleans())
def test_rebuilt_rows_are_the_rows(story: list[Event], damage: bool) -> None:
    database = Database()
    with Journal(database, clock=TickingClock(), broadcaster=EventBroadcaster()) as journal:
        tell(journal, story)

        def rows() -> object:
            tables = ("work_items ORDER BY id", "results ORDER BY item_id, attempt", "events")
            return [database.query(f"SELECT * FROM {table}") for table in tables]

        before = rows()
        if damage:
            with database.transaction() as connection:
                connection.execute("DELETE FROM results")
                connection.execute("UPDATE work_items SET state = 'failed', attempt = 7")
        journal.rebuild()

        assert rows() == before


def test_rebuilding_reads_a_story_of_any_length() -> None:
    with journal_at() as journal:
        submitted = [WorkSubmitted(item=work(f"i{n}")) for n in range(1201)]
        journal.record_all(submitted, agent="orchestrator")
        before = journal.items()

        journal.rebuild()

        assert journal.items() == before


def test_a_rebuild_that_fails_leaves_the_rows() -> None:
    database = Database()
    with Journal(database, clock=TickingClock(), broadcaster=EventBroadcaster()) as journal:
        journal.record(WorkSubmitted(item=work("a")), agent="orchestrator")
        before = journal.items()
        with database.transaction() as connection:
            connection.execute("UPDATE events SET fact = '{}'")

        with pytest.raises(Exception, match="event 1 cannot be read"):
            journal.rebuild()

        assert journal.items() == before
