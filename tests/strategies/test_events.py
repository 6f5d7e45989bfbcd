from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemosyne_core.events import (
    Event,
    Fact,
    WorkCancelled,
    WorkClaimed,
    WorkReturned,
    WorkSubmitted,
)
from mnemosyne_core.observe import ClaudeFact, EventBroadcaster, StateManager, TreeState, replay
from mnemosyne_core.tree import SupervisionConfig
from mnemosyne_core.work import WorkState
from pytest_mnemosyne.simulation.invariants import check_history
from pytest_mnemosyne.strategies import event_streams, events, facts
from tests.core.storage.building import journal_at
from tests.strategies.finding import check_reach, simplest

some = settings(max_examples=30)

KINDS = {kind.model_fields["kind"].default for kind in get_args(get_args(Fact)[0])}

ENDS = {"child_terminated", "child_start_failed"}
CAUSES = {
    "message_dropped": {"child_terminated"},
    "child_shutdown_failed": {"child_terminated"},
    "child_leaked": {"child_terminated"},
    "leak_ended": {"child_leaked"},
    "restart_delayed": ENDS,
    "child_ignored": ENDS | {"restart_delayed"},
    "restart_intensity_reached": ENDS,
    "agent_stale": {"agent_heartbeat"},
    "agent_died": {"agent_stale"},
    "agent_restarted": {"agent_erred", "agent_died"},
    "agent_heartbeat": {"agent_registered"},
}
"""What leads to what happens to a child or to its agent."""


@some
@given(events())
def test_an_event_is_stored_and_read_back(event: Event) -> None:
    assert Event.model_validate_json(event.model_dump_json()) == event
    assert event.by is None or event.by < event.seq


def test_there_are_facts_of_every_kind() -> None:
    check_reach(facts(), KINDS, lambda fact: [fact.kind])
    assert simplest(facts()).kind == "tree_started"


@some
@given(event_streams())
def test_a_history_counts_without_a_gap_and_never_goes_back(history: list[Event]) -> None:
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    assert all(event.by is None or event.by < event.seq for event in history)
    assert all(before.at <= after.at for before, after in pairwise(history))


@some
@given(event_streams())
def test_a_journal_takes_a_history_as_it_is(history: list[Event]) -> None:
    manager = StateManager(bus := EventBroadcaster())

    with journal_at(broadcaster=bus) as journal:
        for event in history:
            journal.record(event.fact, agent=event.agent, attempt=event.attempt, by=event.by)
        stored, items = journal.events(), journal.items()

    assert [(each.fact, each.by) for each in stored] == [(each.fact, each.by) for each in history]
    assert {each.item.id: each for each in items} == manager.snapshot().items


@some
@given(event_streams(), st.data())
def test_a_history_can_be_folded_in_two_parts(history: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(history)))

    so_far = replay(history[:cut])

    assert replay(history[cut:], start=so_far) == replay(history)
    # Whoever hears a part of it again is none the wiser.
    assert replay(history, start=so_far) == replay(history)


@some
@given(event_streams())
def test_a_history_claims_what_is_ready_and_ends_an_item_once(history: list[Event]) -> None:
    state = TreeState()
    for event in history:
        before = state.items
        state = replay([event], start=state)
        match event.fact:
            case WorkSubmitted(item=item):
                assert item.id not in before
                assert before.keys() >= set(item.dependencies)
            case WorkClaimed(item_id=item_id):
                claimed = before[item_id]
                assert claimed.state is WorkState.WAITING
                assert event.attempt == claimed.attempt <= claimed.item.max_attempts
                awaited = (before[each].state for each in claimed.item.dependencies)
                assert set(awaited) <= {WorkState.COMPLETED}
        changed = [name for name in before if before[name] is not state.items[name]]
        assert not any(before[name].state.is_final for name in changed)


def keeps_within_the_bounds_of_a_tree(history: list[Event]) -> None:
    check_history(history, config=SupervisionConfig(), leaks={event.agent for event in history})


def follows_from_what_has_happened_to_the_same_actor(history: list[Event]) -> None:
    for event in history:
        if event.kind in CAUSES:
            assert event.by is not None
            cause = history[event.by - 1]
            assert cause.kind in CAUSES[event.kind]
            assert event.agent in (cause.agent, "tree")


def asks_claude_in_attempts_under_way(history: list[Event]) -> None:
    at_work: dict[str, tuple[str, int]] = {}
    for event in history:
        match event.fact:
            case WorkClaimed(item_id=item_id, worker=worker):
                at_work[item_id] = worker, event.attempt
            case WorkReturned(item_id=item_id) | WorkCancelled(item_id=item_id):
                at_work.pop(item_id, None)
            case fact if isinstance(fact, ClaudeFact):
                assert (event.agent, event.attempt) in at_work.values()


def has_one_circuit_and_one_budget(history: list[Event]) -> None:
    circuit = ["circuit_closed"]
    circuit += [event.kind for event in history if event.kind.startswith("circuit_")]
    budget = [event.kind for event in history if event.kind.startswith("budget_")]

    assert set(pairwise(circuit)) <= {
        ("circuit_closed", "circuit_opened"),
        ("circuit_opened", "circuit_half_opened"),
        ("circuit_half_opened", "circuit_closed"),
        ("circuit_half_opened", "circuit_opened"),
    }
    assert budget == ["budget_warned", "budget_exhausted"][: len(budget)]


# Some of what it is about takes several moves, so few histories tell of it.
@pytest.mark.slow
@settings(max_examples=800)
@given(event_streams())
def test_a_history_keeps_the_laws_of_a_tree(history: list[Event]) -> None:
    keeps_within_the_bounds_of_a_tree(history)
    follows_from_what_has_happened_to_the_same_actor(history)
    asks_claude_in_attempts_under_way(history)
    has_one_circuit_and_one_budget(history)


@pytest.mark.slow
def test_every_kind_of_fact_occurs_in_histories() -> None:
    check_reach(event_streams(), KINDS, lambda history: [event.kind for event in history])


def test_the_simplest_history_is_a_start() -> None:
    history = simplest(event_streams())

    assert {event.kind for event in history} == {
        *("tree_started", "child_started", "agent_registered"),
    }


@pytest.mark.slow
def test_a_history_shrinks_to_the_moves_that_matter() -> None:
    history = simplest(
        event_streams(), lambda told: any(event.kind == "work_completed" for event in told)
    )

    kinds = [event.kind for event in history]
    assert kinds.count("work_claimed") == kinds.count("work_returned") == 1
    assert len(kinds) < 20, kinds
