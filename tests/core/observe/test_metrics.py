from __future__ import annotations

import pytest
from hypothesis import given

from mnemosyne_core.events import (
    AgentErred,
    AgentRestarted,
    Event,
    Fact,
    FeedbackConsolidated,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkReviewed,
    WorkSubmitted,
)
from mnemosyne_core.observe import EventBroadcaster, Metrics, MetricsSnapshot, TreeState, reduce
from mnemosyne_core.work import Decision, Usage
from tests.core.observe.building import (
    APPROVE,
    FAILURE,
    REVISE,
    Story,
    broken,
    done,
    every_fact,
    stories,
    work,
)


def metrics_after(*facts: Fact) -> MetricsSnapshot:
    return Metrics(Story().tell_all(*facts)).snapshot()


def test_a_round_with_a_review_and_a_second_attempt_adds_up() -> None:
    first = done("a", duration_s=2.0, tokens=10, turns=3, tool_calls=4)
    second = done("a", attempt=2, duration_s=4.0, tokens=7, memory_ids=("m1", "m2"), turns=1)
    snapshot = metrics_after(
        WorkSubmitted(item=work("a")),
        WorkClaimed(item_id="a", worker="executor"),
        WorkReturned(item_id="a", result=first),
        WorkReviewed(item_id="a", verdict=REVISE, usage=Usage(input_tokens=5)),
        FeedbackConsolidated(item_id="a", guidance=("x",), usage=Usage(output_tokens=3)),
        WorkReleased(item_id="a", reason="revise"),
        WorkClaimed(item_id="a", worker="executor"),
        WorkReturned(item_id="a", result=second),
        WorkReviewed(item_id="a", verdict=APPROVE),
        WorkCompleted(item_id="a", result=second),
    )

    assert (snapshot.submitted, snapshot.claimed, snapshot.completed) == (1, 2, 1)
    assert snapshot.usage == Usage(input_tokens=22, output_tokens=3)
    assert snapshot.counted == {"turns": 4, "tool_calls": 4}
    assert snapshot.reviews == {Decision.REVISE: 1, Decision.APPROVE: 1}
    assert snapshot.memories == 2
    assert (snapshot.attempts.count, snapshot.attempts.mean_s) == (2, 3.0)
    assert snapshot.attempts.longest_s == 4.0
    # Events are a second apart: submitted first, completed tenth.
    assert (snapshot.items.count, snapshot.items.total_s) == (1, 9.0)


@pytest.mark.parametrize(
    "end", [WorkCompleted(item_id="a", result=done("a")), WorkFailed(item_id="a", result=done("a"))]
)
def test_a_result_that_nobody_returned_counts_at_the_end(end: Fact) -> None:
    snapshot = metrics_after(WorkSubmitted(item=work("a")), end)

    assert snapshot.usage == Usage(input_tokens=10)
    assert snapshot.attempts.count == 1


def test_items_are_counted_by_how_they_ended() -> None:
    snapshot = metrics_after(
        *(WorkSubmitted(item=work(name)) for name in "abc"),
        WorkCompleted(item_id="a", result=done("a")),
        WorkFailed(item_id="b", result=broken("b")),
        WorkCancelled(item_id="c", reason="x"),
    )

    assert (snapshot.completed, snapshot.failed, snapshot.cancelled) == (1, 1, 1)
    assert snapshot.items.count == 3


def test_trouble_is_counted() -> None:
    snapshot = metrics_after(
        AgentErred(error=FAILURE, errors=1),
        AgentErred(error=FAILURE, errors=2),
        AgentRestarted(errors=2, reason="x"),
    )

    assert (snapshot.agent_errors, snapshot.agent_restarts) == (2, 1)


def test_nothing_has_happened_yet() -> None:
    assert Metrics().snapshot() == MetricsSnapshot()
    assert MetricsSnapshot().attempts.mean_s == 0.0


def test_every_fact_is_counted_by_its_kind() -> None:
    facts = every_fact()

    counted = metrics_after(*facts).facts

    assert sum(counted.values()) == len(facts)
    assert set(counted) == {fact.kind for fact in facts}


@given(stories())
def test_counting_along_and_counting_afterwards_come_to_the_same(events: list[Event]) -> None:
    bus = EventBroadcaster()
    metrics = Metrics()
    bus.attach(metrics.apply)
    for event in events:
        bus.publish(event)
        metrics.apply(event)

    assert metrics.snapshot() == Metrics(events).snapshot()


@given(stories())
def test_every_item_ends_once_in_the_numbers_too(events: list[Event]) -> None:
    submitted: set[str] = set()
    counting = Metrics()
    state = TreeState()
    for event in events:
        if isinstance(event.fact, WorkSubmitted):
            if event.fact.item.id in submitted:
                continue  # the journal refuses it
            submitted.add(event.fact.item.id)
        counting.apply(event)
        state = reduce(state, event)
    ended = sum(n for kind, n in state.item_counts().items() if kind.is_final)

    assert counting.snapshot().items.count == ended
