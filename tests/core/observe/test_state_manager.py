from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import StateTimeoutError, UsageError
from mnemosyne_core.events import AgentHeartbeat, Event, TreeStarted, WorkClaimed, WorkSubmitted
from mnemosyne_core.observe import (
    EventBroadcaster,
    Lagged,
    StateManager,
    Subscription,
    TreeState,
    replay,
)
from mnemosyne_core.work import WorkState
from tests.core.observe.building import Story, every_fact, stories, work


def managed() -> tuple[EventBroadcaster, StateManager]:
    bus = EventBroadcaster()
    return bus, StateManager(bus)


@given(stories())
def test_the_living_state_is_a_replay_of_its_events(events: list[Event]) -> None:
    bus, manager = managed()
    for event in events:
        bus.publish(event)

    assert manager.snapshot() == replay(events)


def test_a_snapshot_does_not_change_afterwards() -> None:
    bus, manager = managed()
    story = Story()
    bus.publish(story.tell(WorkSubmitted(item=work("a"))))
    before = manager.snapshot()

    bus.publish(story.tell(WorkClaimed(item_id="a", worker="executor")))

    assert before.items["a"].state is WorkState.WAITING
    assert manager.snapshot().items["a"].state is WorkState.ACTIVE


def test_a_manager_goes_on_from_an_earlier_run() -> None:
    story = Story()
    earlier = story.tell_all(*every_fact())
    bus = EventBroadcaster()
    manager = StateManager(bus, start=replay(earlier))
    later = story.tell(TreeStarted())
    bus.publish(later)

    assert manager.snapshot() == replay([*earlier, later])


# --- waiting ---


async def test_a_state_that_is_there_already_is_not_waited_for() -> None:
    bus, manager = managed()
    bus.publish(Story().tell(TreeStarted()))

    assert (await manager.wait_until(lambda state: state.running, timeout_s=0)).running


async def test_a_state_that_lasts_for_one_event_is_caught() -> None:
    bus, manager = managed()
    story = Story()

    def is_active(state: TreeState) -> bool:
        item = state.items.get("a")
        return item is not None and item.state is WorkState.ACTIVE

    waiting = asyncio.create_task(manager.wait_until(is_active, timeout_s=5))
    await asyncio.sleep(0)
    bus.publish(*story.tell_all(*every_fact()))

    caught = await waiting
    assert caught.items["a"].state is WorkState.ACTIVE
    assert manager.snapshot().items["a"].state is WorkState.FAILED


async def test_patience_ends_with_a_picture_of_the_state() -> None:
    bus, manager = managed()
    story = Story()
    bus.publish(*story.tell_all(WorkSubmitted(item=work("a")), AgentHeartbeat()))

    with pytest.raises(StateTimeoutError) as caught:
        await manager.wait_until(lambda state: state.running, timeout_s=0.001)

    assert "within 0.001 s" in str(caught.value)
    assert "items: 1 waiting; agents: executor registered" in caught.value.found


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
async def test_an_error_of_the_predicate_reaches_whoever_waits(error: type[Exception]) -> None:
    bus, manager = managed()
    story = Story()

    def faulty(state: TreeState) -> bool:
        if state.seq:
            raise error("faulty")
        return False

    waiting = asyncio.create_task(manager.wait_until(faulty, timeout_s=5))
    await asyncio.sleep(0)
    bus.publish(story.tell(TreeStarted()))

    with pytest.raises(error, match="faulty"):
        await waiting


async def test_a_cancelled_waiter_is_forgotten() -> None:
    bus, manager = managed()
    looked: list[int] = []
    waiting = asyncio.create_task(manager.wait_until(lambda state: looked.append(state.seq)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    bus.publish(Story().tell(TreeStarted()))

    assert looked == [0]


# --- following ---


def take_all(subscription: Subscription) -> list[Event | Lagged]:
    taken: list[Event | Lagged] = []
    while (next_one := subscription.take_nowait()) is not None:
        taken.append(next_one)
    return taken


@given(stories(), st.data())
def test_a_snapshot_and_what_follows_are_the_whole_story(
    events: list[Event], data: st.DataObject
) -> None:
    joined = data.draw(st.integers(0, len(events)))
    bus, manager = managed()
    bus.publish(*events[:joined])

    state, subscription = manager.follow()
    bus.publish(*events[joined:])

    assert state == replay(events[:joined])
    assert take_all(subscription) == events[joined:]


@pytest.mark.parametrize("order", ["before", "after"])
def test_following_from_within_a_sink_has_no_gap_and_no_duplicate(order: str) -> None:
    bus = EventBroadcaster()
    followed: list[tuple[TreeState, Subscription]] = []

    def follow_at_two(event: Event) -> None:
        if event.seq == 2:
            followed.append(manager.follow())

    if order == "before":
        bus.attach(follow_at_two)
    manager = StateManager(bus)
    if order == "after":
        bus.attach(follow_at_two)
    events = Story().tell_all(*every_fact()[:4])
    for event in events:
        bus.publish(event)

    ((state, subscription),) = followed
    assert state.seq == (1 if order == "before" else 2)
    assert take_all(subscription) == events[state.seq :]


def test_following_needs_room() -> None:
    _, manager = managed()

    with pytest.raises(UsageError):
        manager.follow(capacity=0)
