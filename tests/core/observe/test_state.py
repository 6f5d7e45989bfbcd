from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStopped,
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Fact,
    FeedbackConsolidated,
    MessageDropped,
    PhaseChanged,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
    WorkBlocked,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkReviewed,
    WorkSubmitted,
)
from mnemosyne_core.observe import AgentStatus, TreeState, reduce, replay
from mnemosyne_core.work import AgentRole, Phase, WorkState
from tests.core.observe.building import (
    EPOCH,
    FAILURE,
    REVISE,
    Story,
    broken,
    done,
    every_fact,
    stories,
    work,
)

REGISTERED = AgentRegistered(role=AgentRole.EXECUTOR)
SUBMITTED = WorkSubmitted(item=work("a"))
CLAIMED = WorkClaimed(item_id="a", worker="executor")
RETURNED = WorkReturned(item_id="a", result=done("a"))


def state_after(*facts: Fact, agent: str = "executor") -> TreeState:
    return replay(Story().tell_all(*facts, agent=agent))


# --- agents ---


@pytest.mark.parametrize(
    ("facts", "status", "items"),
    [
        pytest.param([AgentHeartbeat()], "registered", (), id="a-heartbeat-registers"),
        pytest.param([REGISTERED], "registered", (), id="registered"),
        pytest.param([REGISTERED, AgentActive(item_id="a")], "active", ("a",), id="active"),
        pytest.param(
            [AgentActive(item_id="a"), AgentActive(item_id="b"), AgentActive(item_id="a")],
            "active",
            ("a", "b"),
            id="several-items-at-once",
        ),
        pytest.param([AgentActive(item_id="a"), AgentIdle()], "idle", (), id="idle"),
        pytest.param(
            [AgentDegraded(errors=3, reason="x"), AgentActive(item_id="a")],
            "degraded",
            ("a",),
            id="degraded-stays-visible-at-work",
        ),
        pytest.param(
            [AgentDegraded(errors=3, reason="x"), AgentIdle()], "degraded", (), id="and-at-rest"
        ),
        pytest.param(
            [AgentActive(item_id="a"), AgentDegraded(errors=3, reason="x"), AgentRecovered()],
            "active",
            ("a",),
            id="recovered-at-work",
        ),
        pytest.param(
            [AgentDegraded(errors=3, reason="x"), AgentRecovered()], "idle", (), id="recovered"
        ),
        pytest.param(
            [AgentActive(item_id="a"), AgentFailed(role=AgentRole.EXECUTOR, error=FAILURE)],
            "failed",
            (),
            id="failed",
        ),
        pytest.param([AgentActive(item_id="a"), AgentStopped()], "stopped", (), id="stopped"),
        pytest.param(
            [AgentDegraded(errors=5, reason="x"), AgentRestarted(errors=5, reason="x")],
            "registered",
            (),
            id="replaced",
        ),
    ],
)
def test_an_agent_has_one_status(facts: list[Fact], status: str, items: tuple[str, ...]) -> None:
    agent = state_after(*facts).agents["executor"]

    assert (agent.status, agent.items) == (AgentStatus(status), items)


def test_errors_are_those_of_the_window_and_end_with_the_agent_that_made_them() -> None:
    story = Story()
    erred = replay(
        story.tell_all(REGISTERED, *(AgentErred(error=FAILURE, errors=n) for n in (1, 2)))
    )
    replaced = replay(
        story.tell_all(
            AgentRestarted(errors=2, reason="x"),
            AgentRegistered(role=AgentRole.EXECUTOR, incarnation=2),
        ),
        start=erred,
    ).agents["executor"]

    assert (erred.agents["executor"].errors, erred.agents["executor"].restarts) == (2, 0)
    assert (replaced.errors, replaced.restarts, replaced.incarnation) == (0, 1, 2)
    assert replaced.last_error == FAILURE


def test_a_heartbeat_is_dated_and_revives_nobody() -> None:
    agent = state_after(REGISTERED, AgentStopped(), AgentHeartbeat()).agents["executor"]

    assert agent.last_heartbeat == EPOCH + timedelta(seconds=3)
    assert agent.status is AgentStatus.STOPPED
    assert not agent.status.is_there


@pytest.mark.parametrize(
    "ended_by",
    [
        RETURNED,
        WorkReleased(item_id="a", reason="x"),
        WorkFailed(item_id="a", result=broken("a")),
        WorkCancelled(item_id="a", reason="x"),
    ],
    ids=lambda fact: fact.kind,
)
def test_an_item_leaves_its_agent_when_its_turn_ends(ended_by: Fact) -> None:
    state = state_after(
        SUBMITTED, CLAIMED, AgentActive(item_id="a"), AgentActive(item_id="b"), ended_by
    )

    assert state.agents["executor"].items == ("b",)


# --- items ---


@pytest.mark.parametrize(
    ("facts", "state", "attempt"),
    [
        pytest.param([], WorkState.WAITING, 1, id="submitted"),
        pytest.param([WorkBlocked(item_id="a", reason="x")], WorkState.WAITING, 1, id="blocked"),
        pytest.param([CLAIMED], WorkState.ACTIVE, 1, id="claimed"),
        pytest.param([CLAIMED, RETURNED], WorkState.REVIEWING, 1, id="returned"),
        pytest.param(
            [CLAIMED, WorkReturned(item_id="a", result=broken("a"))],
            WorkState.ACTIVE,
            1,
            id="a-failure-is-not-reviewed",
        ),
        pytest.param(
            [CLAIMED, RETURNED, WorkReviewed(item_id="a", verdict=REVISE)],
            WorkState.REVIEWING,
            1,
            id="reviewed",
        ),
        pytest.param(
            [CLAIMED, RETURNED, WorkReleased(item_id="a", reason="x")],
            WorkState.WAITING,
            2,
            id="released",
        ),
        pytest.param(
            [WorkReleased(item_id="a", reason="x")],
            WorkState.WAITING,
            1,
            id="releasing-what-nobody-has-is-no-attempt",
        ),
        pytest.param(
            [CLAIMED, RETURNED, WorkCompleted(item_id="a", result=done("a"))],
            WorkState.COMPLETED,
            1,
            id="completed",
        ),
        pytest.param(
            [WorkCancelled(item_id="a", reason="x"), CLAIMED, RETURNED],
            WorkState.CANCELLED,
            1,
            id="final-is-final",
        ),
    ],
)
def test_an_item_is_in_one_state(facts: list[Fact], state: WorkState, attempt: int) -> None:
    item = state_after(SUBMITTED, *facts).items["a"]

    assert (item.state, item.attempt) == (state, attempt)


def test_an_unreviewed_item_stays_active_until_it_is_complete() -> None:
    story = state_after(WorkSubmitted(item=work("a", review=False)), CLAIMED, RETURNED)

    assert story.items["a"].state is WorkState.ACTIVE
    assert story.items["a"].result == done("a")


def test_an_item_carries_what_was_learnt_and_who_has_it() -> None:
    guided = FeedbackConsolidated(item_id="a", guidance=("add tests",))
    reviewed = WorkReviewed(item_id="a", verdict=REVISE)
    released = WorkReleased(item_id="a", reason="x")
    blocked = WorkBlocked(item_id="a", reason="no agent")
    facts = (SUBMITTED, blocked, CLAIMED, RETURNED, reviewed, guided)

    waiting = state_after(SUBMITTED, blocked).items["a"]
    held = state_after(*facts).items["a"]
    again = state_after(*facts, released).items["a"]

    assert (waiting.blocked, waiting.worker) == ("no agent", None)
    assert (held.blocked, held.worker, held.reviews) == (None, "executor", 1)
    assert (again.guidance, again.worker) == (("add tests",), None)


def test_an_item_that_was_released_with_a_moment_shows_it_until_its_next_attempt() -> None:
    moment = EPOCH + timedelta(hours=1)
    released = WorkReleased(item_id="a", reason="x", not_before=moment)
    facts = (SUBMITTED, CLAIMED, released)

    assert state_after(*facts).items["a"].not_before == moment
    assert state_after(*facts, CLAIMED).items["a"].not_before is None
    cancelled = WorkCancelled(item_id="a", reason="x")
    assert state_after(*facts, cancelled).items["a"].not_before is None
    assert state_after(SUBMITTED, released).items["a"].not_before is None, "nobody had it"


def test_items_are_counted_by_state() -> None:
    state = state_after(
        SUBMITTED, WorkSubmitted(item=work("b")), WorkSubmitted(item=work("c")), CLAIMED
    )

    assert {k: n for k, n in state.item_counts().items() if n} == {
        WorkState.WAITING: 2,
        WorkState.ACTIVE: 1,
    }
    assert "items: 2 waiting, 1 active" in state.describe()


# --- children and tree ---


def test_a_child_that_is_restarted_says_how_often_and_why() -> None:
    child = state_after(
        ChildStarted(child="executor", incarnation=1),
        ChildTerminated(child="executor", incarnation=1, reason="ValueError: x", abnormal=True),
        ChildStarted(child="executor", incarnation=2),
        MessageDropped(message="Delegate", reason="restarted"),
        agent="executor",
    ).children["executor"]

    assert (child.alive, child.restarts, child.reason) == (True, 1, "ValueError: x")
    assert child.dropped_messages == 1


@pytest.mark.parametrize(
    "ended_by",
    [
        ChildStartFailed(child="executor", reason="no"),
        ChildTerminated(child="executor", incarnation=1, reason="no", abnormal=True),
        ChildLeaked(child="executor", shutdown_s=1.0),
    ],
    ids=lambda fact: fact.kind,
)
def test_a_child_that_ended_is_not_alive(ended_by: Fact) -> None:
    started = ChildStarted(child="executor", incarnation=1)

    assert not state_after(started, ended_by).children["executor"].alive


def test_a_supervisor_that_gave_up_is_seen() -> None:
    reached = RestartIntensityReached(supervisor="root", max_restarts=1, period_s=1.0)

    assert state_after(reached, agent="root").children["root"].gave_up


def test_the_tree_starts_changes_phase_and_stops() -> None:
    story = Story()
    phase = PhaseChanged(previous=Phase.PROMPT_TO_SPEC, phase=Phase.SPEC_TO_FULL_SPEC)
    running = replay(story.tell_all(TreeStarted(), phase))
    stopped = reduce(running, story.tell(TreeStopped(reason="shutdown")))

    assert (running.running, running.phase) == (True, Phase.SPEC_TO_FULL_SPEC)
    assert (stopped.running, stopped.stop_reason) == (False, "shutdown")


# --- what holds for every story ---


@given(stories())
def test_one_event_at_a_time_and_all_at_once_come_to_the_same(events: list[Event]) -> None:
    state = TreeState()
    for event in events:
        state = reduce(state, event)

    assert replay(events) == state


@given(stories(), st.data())
def test_events_that_are_told_twice_count_once(events: list[Event], data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(events)))
    again = data.draw(st.integers(0, seen))

    assert replay(events[again:], start=replay(events[:seen])) == replay(events)


@given(stories())
def test_a_final_state_is_never_left(events: list[Event]) -> None:
    state = TreeState()
    ended: dict[str, WorkState] = {}
    for event in events:
        state = reduce(state, event)
        now_ended = {k: item.state for k, item in state.items.items() if item.state.is_final}
        assert ended.items() <= now_ended.items()
        ended = now_ended


def test_reducing_leaves_the_state_before_as_it_was() -> None:
    story = Story()
    before = replay(story.tell_all(*every_fact()[:20]))
    kept = replay(Story().tell_all(*every_fact()[:20]))

    reduce(before, story.tell(CLAIMED))

    assert before == kept
