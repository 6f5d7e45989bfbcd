from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from mnemosyne_core.errors import (
    Abort,
    DuplicateWorkItemError,
    MnemosyneError,
    StorageError,
    UnknownWorkItemError,
    UsageError,
)
from mnemosyne_core.events import (
    AgentHeartbeat,
    Event,
    Fact,
    FeedbackConsolidated,
    PhaseChanged,
    Recorder,
    TreeStarted,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkSubmitted,
)
from mnemosyne_core.observe import EventBroadcaster, StateManager
from mnemosyne_core.storage import Database, Journal
from mnemosyne_core.work import Phase, WorkQueue, WorkState
from tests.core.observe.building import EPOCH, broken, done, every_fact, work
from tests.core.storage.building import TickingClock, journal_at, published_by

SUBMITTED = WorkSubmitted(item=work("a"))
CLAIMED = WorkClaimed(item_id="a", worker="executor")
BEAT = AgentHeartbeat()


@pytest.fixture
def bus() -> EventBroadcaster:
    return EventBroadcaster()


@pytest.fixture
def journal(bus: EventBroadcaster) -> Iterator[Journal]:
    with journal_at(broadcaster=bus) as journal:
        yield journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


def record(journal: Journal, *facts: Fact) -> list[Event]:
    return [journal.record(fact, agent="executor") for fact in facts]


# --- writing ---


def test_an_event_is_stored_before_it_is_published(journal: Journal, bus: EventBroadcaster) -> None:
    stored_when_published: list[tuple[Event, ...]] = []
    bus.attach(lambda event: stored_when_published.append(journal.events()))

    event = journal.record(SUBMITTED, agent="orchestrator", attempt=2)

    assert stored_when_published == [(event,)]
    assert (event.seq, event.agent, event.attempt, event.by) == (1, "orchestrator", 2, None)
    assert journal.item("a").submitted_seq == 1


def test_every_kind_of_fact_comes_back_as_it_was_told(file: Path) -> None:
    with journal_at(file) as journal:
        told = record(journal, *every_fact())

    with journal_at(file) as journal:
        assert list(journal.events()) == told


def test_an_event_names_its_cause(journal: Journal) -> None:
    first = journal.record(SUBMITTED, agent="orchestrator")
    second = journal.record(CLAIMED, agent="orchestrator", by=first.seq)

    assert journal.events(after=1) == (second,)
    assert second.by == 1


def test_sequence_numbers_go_on_without_a_gap_when_the_file_is_opened_again(file: Path) -> None:
    for _ in range(3):
        with journal_at(file) as journal:
            record(journal, BEAT, BEAT)

    with journal_at(file) as journal:
        assert [event.seq for event in journal.events()] == [1, 2, 3, 4, 5, 6]
        assert journal.last_seq == 6


def test_several_facts_are_stored_together(journal: Journal, bus: EventBroadcaster) -> None:
    published = published_by(bus)

    events = journal.record_all([SUBMITTED, WorkSubmitted(item=work("b"))], agent="orchestrator")

    assert [event.seq for event in events] == [1, 2]
    assert tuple(published) == events
    assert journal.record_all([], agent="orchestrator") == ()


def test_of_several_facts_with_a_bad_one_none_is_stored(
    journal: Journal, bus: EventBroadcaster
) -> None:
    published = published_by(bus)

    with pytest.raises(UnknownWorkItemError):
        journal.record_all([SUBMITTED, WorkReleased(item_id="b", reason="x")], agent="x")

    assert (journal.events(), journal.items(), published) == ((), (), [])
    assert journal.record(BEAT, agent="executor").seq == 1


def test_a_sink_may_record_what_it_sees(journal: Journal, bus: EventBroadcaster) -> None:
    def claim_at_once(event: Event) -> None:
        if event.kind == "work_submitted":
            journal.record(CLAIMED, agent="orchestrator", by=event.seq)

    bus.attach(claim_at_once)
    published = published_by(bus)

    journal.record_all([SUBMITTED, BEAT], agent="orchestrator")

    assert [(event.seq, event.kind) for event in published] == [
        (1, "work_submitted"),
        (2, "agent_heartbeat"),
        (3, "work_claimed"),
    ]
    assert tuple(published) == journal.events()


def test_an_abort_from_a_sink_passes_and_the_event_is_stored(
    journal: Journal, bus: EventBroadcaster
) -> None:
    def abort(event: Event) -> None:
        raise Abort("stop")

    detach = bus.attach(abort)
    with pytest.raises(Abort):
        journal.record(BEAT, agent="executor")
    detach()

    assert journal.record(BEAT, agent="executor").seq == 2
    assert len(journal.events()) == 2


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        pytest.param(lambda j: record(j, SUBMITTED), DuplicateWorkItemError, id="id-taken"),
        pytest.param(
            lambda j: record(j, WorkCancelled(item_id="b", reason="x")),
            UnknownWorkItemError,
            id="unknown-item",
        ),
        pytest.param(lambda j: j.record(BEAT, agent="x", by=99), UsageError, id="cause-to-come"),
        pytest.param(lambda j: j.record(BEAT, agent="x", by=0), UsageError, id="cause-zero"),
        pytest.param(lambda j: j.record(BEAT, agent="x", attempt=0), UsageError, id="attempt-zero"),
        pytest.param(lambda j: j.record(None, agent="x"), UsageError, id="no-fact"),
        pytest.param(
            lambda j: record(j, WorkReleased(item_id="a", reason="\ud800")),
            StorageError,
            id="no-text",
        ),
        pytest.param(lambda j: j.record(BEAT, agent="\ud800"), StorageError, id="no-path"),
    ],
)
def test_what_is_refused_is_neither_stored_nor_published(
    journal: Journal,
    bus: EventBroadcaster,
    refused: Callable[[Journal], object],
    error: type[MnemosyneError],
) -> None:
    record(journal, SUBMITTED)
    before = (journal.events(), journal.items())
    published = published_by(bus)

    with pytest.raises(error):
        refused(journal)

    assert (journal.events(), journal.items()) == before
    assert published == []
    assert journal.record(BEAT, agent="executor").seq == 2


# --- writes that fail ---


def test_a_full_disk_loses_nothing_and_leaves_no_gap(file: Path) -> None:
    bus = EventBroadcaster()
    database = Database(file)
    with Journal(database, clock=TickingClock(), broadcaster=bus) as journal:
        record(journal, SUBMITTED)
        ((pages,),) = database.query("PRAGMA page_count")
        database.query(f"PRAGMA max_page_count = {pages}")
        published = published_by(bus)
        big = WorkSubmitted(item=work("b").model_copy(update={"description": "x" * 100_000}))

        with pytest.raises(StorageError, match="no room") as caught:
            journal.record(big, agent="orchestrator")

        assert caught.value.path == str(file)
        assert published == []
        assert [each.item.id for each in journal.items()] == ["a"]
        database.query("PRAGMA max_page_count = 100000")
        assert journal.record(big, agent="orchestrator").seq == 2
        assert [event.seq for event in journal.events()] == [1, 2]


def test_a_locked_file_leaves_no_gap(file: Path) -> None:
    with journal_at(file) as journal:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="another process"):
                record(journal, BEAT)

        assert journal.record(BEAT, agent="executor").seq == 1


def test_two_trees_on_one_file_are_noticed(file: Path) -> None:
    with journal_at(file) as one, journal_at(file) as other:
        record(one, SUBMITTED)

        with pytest.raises(StorageError, match="one tree on it at a time"):
            record(other, BEAT)

        assert len(one.events()) == 1
        record(one, BEAT)


def test_a_closed_journal_takes_nothing(bus: EventBroadcaster) -> None:
    published = published_by(bus)
    journal = journal_at(broadcaster=bus)
    journal.close()
    journal.close()

    with pytest.raises(StorageError, match="closed"):
        record(journal, BEAT)

    assert published == []


def test_an_error_of_the_store_survives_the_way_to_another_process(file: Path) -> None:
    error = pickle.loads(pickle.dumps(StorageError(path=str(file), reason="broken")))

    assert (error.path, error.reason, str(error)) == (
        str(file),
        "broken",
        f"database {file}: broken",
    )


# --- events ---


@pytest.mark.parametrize(
    ("asked", "seqs"),
    [
        pytest.param({}, [1, 2, 3, 4], id="all"),
        pytest.param({"after": 2}, [3, 4], id="after"),
        pytest.param({"kind": "agent_heartbeat"}, [2, 4], id="kind"),
        pytest.param({"agent": "reviewer"}, [3, 4], id="agent"),
        pytest.param({"kind": "agent_heartbeat", "agent": "reviewer"}, [4], id="both"),
        pytest.param({"limit": 2}, [1, 2], id="limit"),
        pytest.param({"limit": 0}, [], id="limit-zero"),
        pytest.param({"after": 99}, [], id="after-the-end"),
    ],
)
def test_events_are_found(journal: Journal, asked: dict[str, object], seqs: list[int]) -> None:
    journal.record(TreeStarted(), agent="executor")
    journal.record(BEAT, agent="executor")
    journal.record(TreeStarted(), agent="reviewer")
    journal.record(BEAT, agent="reviewer")

    assert [event.seq for event in journal.events(**asked)] == seqs  # type: ignore[arg-type]


def test_a_misspelt_kind_is_no_empty_answer(journal: Journal) -> None:
    with pytest.raises(UsageError, match=r"'work_complete'.*work_completed"):
        journal.events(kind="work_complete")


@pytest.mark.parametrize(
    ("statement", "read", "named"),
    [
        pytest.param(
            'UPDATE events SET fact = \'{"kind": "unheard_of"}\'',
            lambda j: j.events(),
            "event 1",
            id="fact",
        ),
        pytest.param("UPDATE events SET at = 'noon'", lambda j: j.events(), "event 1", id="date"),
        pytest.param(
            "UPDATE work_items SET state = 'lost'", lambda j: j.item("a"), "'a'", id="state"
        ),
        pytest.param("UPDATE work_items SET item = '{}'", lambda j: j.items(), "'a'", id="item"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(
    file: Path, statement: str, read: Callable[[Journal], object], named: str
) -> None:
    with journal_at(file) as journal:
        record(journal, SUBMITTED)
        with closing(sqlite3.connect(file)) as other, other:
            other.execute(statement)

        with pytest.raises(StorageError, match=f"{named} cannot be read"):
            read(journal)


# --- items and results ---


def test_an_item_is_what_its_events_come_to(journal: Journal, bus: EventBroadcaster) -> None:
    manager = StateManager(bus)
    record(
        journal,
        SUBMITTED,
        WorkSubmitted(item=work("b")),
        CLAIMED,
        WorkReturned(item_id="a", result=done("a")),
        FeedbackConsolidated(item_id="a", guidance=("add tests", "be brief")),
        WorkReleased(item_id="a", reason="revise"),
    )

    a, b = journal.items()
    assert (a.state, a.attempt, a.guidance) == (WorkState.WAITING, 2, ("add tests", "be brief"))
    assert a.result == done("a")
    assert b.result is None
    assert {"a": a, "b": b} == manager.snapshot().items


def test_an_item_that_rests_is_stored_with_its_moment(file: Path) -> None:
    moment = EPOCH + timedelta(hours=1, microseconds=7)
    with journal_at(file) as journal:
        released = WorkReleased(item_id="a", reason="busy", not_before=moment)
        record(journal, SUBMITTED, CLAIMED, released)

    with journal_at(file) as journal:
        assert journal.item("a").not_before == moment
        before = journal.items()
        journal.rebuild()
        assert journal.items() == before
        record(journal, CLAIMED)
        assert journal.item("a").not_before is None


def test_a_file_from_before_items_could_rest_is_brought_up_to_date(file: Path) -> None:
    with journal_at(file) as journal:
        record(journal, SUBMITTED, CLAIMED)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE work_items DROP COLUMN not_before")
        connection.execute("PRAGMA user_version = 1")

    with journal_at(file) as journal:
        item = journal.item("a")
        assert (item.state, item.not_before) == (WorkState.ACTIVE, None)
        record(journal, WorkReleased(item_id="a", reason="busy", not_before=EPOCH))
        assert journal.item("a").not_before == EPOCH


def test_an_event_from_before_items_could_rest_is_read() -> None:
    stored = {"kind": "work_released", "item_id": "a", "reason": "busy"}

    assert WorkReleased.model_validate(stored).not_before is None


def test_items_are_found_by_state_and_id(journal: Journal) -> None:
    record(
        journal,
        *(WorkSubmitted(item=work(name)) for name in ("c", "a", "b")),
        CLAIMED,
        WorkCancelled(item_id="b", reason="x"),
    )

    assert [each.item.id for each in journal.items()] == ["c", "a", "b"]
    assert [each.item.id for each in journal.items(state=WorkState.ACTIVE)] == ["a"]
    assert [each.item.id for each in journal.live_items()] == ["c", "a"]
    assert journal.finished() == {"b": WorkState.CANCELLED}
    assert journal.item("c").item == work("c")
    with pytest.raises(UnknownWorkItemError):
        journal.item("nobody")


def test_the_last_word_on_each_attempt_is_kept(journal: Journal) -> None:
    failed = broken("a", attempt=2)
    record(
        journal,
        SUBMITTED,
        CLAIMED,
        WorkReturned(item_id="a", result=done("a")),
        WorkReleased(item_id="a", reason="revise"),
        CLAIMED,
        WorkReturned(item_id="a", result=done("a", attempt=2)),
        WorkFailed(item_id="a", result=failed),
        WorkReturned(item_id="a", result=done("a", attempt=2)),
    )

    assert journal.results("a") == (done("a"), failed)
    assert journal.item("a").result == failed


def test_results_of_nothing_and_of_nobody(journal: Journal) -> None:
    record(journal, SUBMITTED)

    assert journal.results("a") == ()
    with pytest.raises(UnknownWorkItemError):
        journal.results("nobody")


def test_the_phase_is_the_last_one_entered(journal: Journal) -> None:
    assert journal.phase() is Phase.PROMPT_TO_SPEC
    for previous, phase in pairwise(list(Phase)[:3]):
        record(journal, PhaseChanged(previous=previous, phase=phase))

    assert journal.phase() is Phase.FULL_SPEC_TO_PLAN


def test_a_queue_goes_on_from_the_journal(file: Path) -> None:
    with journal_at(file) as journal:
        record(
            journal,
            SUBMITTED,
            WorkSubmitted(item=work("b").model_copy(update={"dependencies": ("a",)})),
            CLAIMED,
            WorkCompleted(item_id="a", result=done("a")),
        )

    queue = WorkQueue()
    with journal_at(file) as journal:
        queue.restore(journal.live_items(), finished=journal.finished())

    assert [each.id for each in queue.ready(now_s=0.0)] == ["b"]


def test_a_journal_can_be_opened_by_its_path_alone(file: Path) -> None:
    with journal_at(file) as journal:
        record(journal, BEAT)

    with Journal.open(file, create=False) as reader:
        assert len(reader.events()) == 1
        assert reader.path == str(file)


async def test_by_default_events_are_dated_by_the_running_loop() -> None:
    with Journal.open() as journal:
        first, second = record(journal, BEAT, BEAT)

    assert first.at <= second.at


def test_the_journal_is_a_recorder(journal: Journal) -> None:
    recorder: Recorder = journal

    assert recorder.record(BEAT, agent="executor") == journal.events()[0]
