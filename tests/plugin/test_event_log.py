from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from mnemosyne_core.events import AgentHeartbeat, AgentIdle, Event, TreeStarted, TreeStopped
from pytest_mnemosyne.plugin._event_log import EventLog


def _event(seq: int, fact: AgentHeartbeat | AgentIdle | TreeStarted | TreeStopped) -> Event:
    return Event(seq=seq, at=datetime(2026, 11, 22, tzinfo=UTC), agent="executor", fact=fact)


STORY = (
    _event(1, TreeStarted()),
    _event(2, AgentHeartbeat()),
    _event(3, AgentIdle()),
    _event(4, AgentHeartbeat()),
    _event(5, TreeStopped(reason="asked")),
)


@pytest.fixture
def log() -> EventLog:
    log = EventLog()
    for event in STORY:
        log.feed(event)
    return log


async def test_an_event_that_has_happened_is_found_at_once(log: EventLog) -> None:
    assert await log.wait_for("agent_idle", within_s=0) is STORY[2]


async def test_an_event_that_is_yet_to_come_is_waited_for() -> None:
    log = EventLog()
    waiting = asyncio.create_task(log.wait_for("agent_idle"))
    await asyncio.sleep(0)

    log.feed(STORY[1])
    log.feed(STORY[2])

    assert await waiting is STORY[2]


async def test_only_what_is_later_counts_after_an_event(log: EventLog) -> None:
    assert await log.wait_for("agent_heartbeat", after=STORY[1]) is STORY[3]


async def test_waiting_in_vain_tells_what_happened_instead(log: EventLog) -> None:
    with pytest.raises(AssertionError, match=r"no work_completed within 0\.01 s(.|\n)*1: tree_st"):
        await log.wait_for("work_completed", within_s=0.01)


async def test_a_cancelled_wait_is_forgotten(log: EventLog) -> None:
    waiting = asyncio.create_task(log.wait_for("work_completed"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    log.feed(STORY[0])

    assert len(log) == 6


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("agent_heartbeat", id="kind"),
        pytest.param(AgentHeartbeat, id="class"),
        pytest.param(lambda event: event.seq in (2, 4), id="function"),
    ],
)
def test_events_are_named_in_three_ways(log: EventLog, what: object) -> None:
    assert log.of(what) == [STORY[1], STORY[3]]  # type: ignore[arg-type]


def test_none_of_a_kind_passes_and_one_is_told(log: EventLog) -> None:
    log.none("work_failed")

    with pytest.raises(AssertionError, match="expected no agent_idle, but there is 3: agent_idle"):
        log.none("agent_idle")


def test_a_partial_order_passes_over_what_is_between(log: EventLog) -> None:
    assert log.assert_order("tree_started", AgentIdle, "tree_stopped") == [
        STORY[0],
        STORY[2],
        STORY[4],
    ]


@pytest.mark.parametrize(
    ("whats", "problem"),
    [
        pytest.param(("agent_idle", "tree_started"), "no tree_started after 3:", id="swapped"),
        pytest.param(("agent_idle", "agent_idle"), "no agent_idle after 3:", id="only-once"),
        pytest.param(("work_failed",), "no work_failed at all", id="never"),
    ],
)
def test_a_wrong_order_says_where_it_breaks(
    log: EventLog, whats: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(AssertionError, match=problem):
        log.assert_order(*whats)


def test_an_exact_order_allows_nothing_else(log: EventLog) -> None:
    log.assert_order(*(event.kind for event in STORY), exact=True)

    with pytest.raises(AssertionError, match="event 2 should be agent_idle, but is 2: agent_hea"):
        log.assert_order("tree_started", "agent_idle", exact=True)
    with pytest.raises(AssertionError, match="expected 1 events, there are 5"):
        log.assert_order("tree_started", exact=True)


def test_an_empty_log_says_so() -> None:
    with pytest.raises(AssertionError, match="nothing has happened yet"):
        EventLog().assert_order("tree_started")
