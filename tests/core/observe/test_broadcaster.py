from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import Abort, UsageError
from mnemosyne_core.events import AgentHeartbeat, Event
from mnemosyne_core.observe import EventBroadcaster, Lagged, Subscription
from tests.core.observe.building import Story


def beats(count: int) -> list[Event]:
    return Story().tell_all(*[AgentHeartbeat()] * count)


async def read_all(subscription: Subscription) -> list[Event | Lagged]:
    return [taken async for taken in subscription]


# --- subscriptions ---


async def test_a_subscriber_gets_every_event_in_order_until_it_is_closed() -> None:
    events = beats(3)
    bus = EventBroadcaster()
    with bus.subscribe() as subscription:
        reader = asyncio.create_task(read_all(subscription))
        await asyncio.sleep(0)
        bus.publish(events[0])
        await asyncio.sleep(0)
        bus.publish(events[1], events[2])

    assert await reader == events
    assert subscription.is_closed


async def test_a_reader_that_waits_is_woken_when_the_bus_closes() -> None:
    bus = EventBroadcaster()
    reader = asyncio.create_task(read_all(bus.subscribe()))
    await asyncio.sleep(0)

    bus.close()

    assert await reader == []
    assert await read_all(bus.subscribe()) == []


async def test_a_slow_reader_is_told_what_it_missed() -> None:
    events = beats(10)
    bus = EventBroadcaster()
    subscription = bus.subscribe(capacity=3)
    bus.publish(*events[:2])
    assert subscription.take_nowait() == events[0]

    bus.publish(*events[2:])
    subscription.close()

    lagged = Lagged(missed=6, after=1)
    assert await read_all(subscription) == [lagged, *events[7:]]


async def test_cancelling_a_reader_loses_nothing() -> None:
    (event,) = beats(1)
    bus = EventBroadcaster()
    subscription = bus.subscribe()
    reader = asyncio.create_task(anext(subscription))
    await asyncio.sleep(0)
    bus.publish(event)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader

    assert subscription.take_nowait() == event
    assert subscription.take_nowait() is None


def test_a_closed_subscription_takes_nothing_more() -> None:
    first, second = beats(2)
    bus = EventBroadcaster()
    subscription = bus.subscribe()
    bus.publish(first)
    subscription.close()
    subscription.close()
    bus.publish(second)

    assert subscription.take_nowait() == first
    assert subscription.take_nowait() is None


def test_one_slow_reader_costs_the_others_nothing() -> None:
    events = beats(5)
    bus = EventBroadcaster()
    slow, quick = bus.subscribe(capacity=1), bus.subscribe()
    bus.publish(*events)

    assert [quick.take_nowait() for _ in events] == events
    assert slow.take_nowait() == Lagged(missed=4, after=0)
    assert slow.take_nowait() == events[-1]


def test_a_subscription_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="capacity"):
        EventBroadcaster().subscribe(capacity=0)


@given(st.lists(st.one_of(st.integers(1, 4), st.none()), max_size=30), st.integers(1, 4))
def test_what_is_read_and_what_is_missed_is_everything(
    steps: list[int | None], capacity: int
) -> None:
    bus, story = EventBroadcaster(), Story()
    subscription = bus.subscribe(capacity=capacity)
    seen: list[int] = []

    def take() -> bool:
        taken = subscription.take_nowait()
        if isinstance(taken, Lagged):
            assert taken.after == (seen[-1] if seen else 0)
            seen.extend(range(taken.after + 1, taken.after + taken.missed + 1))
        elif taken is not None:
            seen.append(taken.seq)
        return taken is not None

    for burst in steps:
        if burst is None:
            take()
        else:
            bus.publish(*story.tell_all(*[AgentHeartbeat()] * burst))
    while take():
        pass

    assert seen == list(range(1, story.seq + 1))


# --- sinks ---


def test_sinks_are_called_in_the_order_in_which_they_were_attached() -> None:
    called: list[str] = []
    bus = EventBroadcaster()
    bus.attach(lambda event: called.append(f"first {event.seq}"))
    detach = bus.attach(lambda event: called.append(f"second {event.seq}"))
    one, two = beats(2)

    bus.publish(one)
    detach()
    detach()
    bus.publish(two)

    assert called == ["first 1", "second 1", "first 2"]


def test_a_sink_that_is_attached_twice_is_detached_once_at_a_time() -> None:
    seen: list[Event] = []
    bus = EventBroadcaster()
    detach = bus.attach(seen.append)
    bus.attach(seen.append)
    detach()
    events = beats(1)

    bus.publish(*events)

    assert seen == events


def test_a_failing_sink_is_logged_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def failing_sink(event: Event) -> None:
        raise ValueError("broken")

    seen: list[Event] = []
    bus = EventBroadcaster()
    bus.attach(failing_sink)
    bus.attach(seen.append)
    subscription = bus.subscribe()
    (event,) = beats(1)

    with caplog.at_level(logging.ERROR):
        bus.publish(event)

    assert seen == [event]
    assert subscription.take_nowait() == event
    (logged,) = caplog.records
    assert "failing_sink failed on event 1 (agent_heartbeat)" in logged.getMessage()
    assert logged.exc_info is not None


@pytest.mark.parametrize("error", [Abort, asyncio.CancelledError])
def test_what_must_not_be_absorbed_passes_when_everybody_has_the_event(
    error: type[BaseException],
) -> None:
    def aborting_sink(event: Event) -> None:
        if event.seq == 1:
            raise error("stop")

    seen: list[Event] = []
    bus = EventBroadcaster()
    bus.attach(aborting_sink)
    bus.attach(seen.append)
    events = beats(2)

    with pytest.raises(error, match="stop"):
        bus.publish(*events)

    assert seen == events


def test_an_event_that_a_sink_causes_comes_after_the_one_that_caused_it() -> None:
    first, caused, second = beats(3)
    bus = EventBroadcaster()
    seen: list[int] = []
    bus.attach(lambda event: bus.publish(caused) if event is first else None)
    bus.attach(lambda event: seen.append(event.seq))

    bus.publish(first)
    bus.publish(second)

    assert seen == [1, 2, 3]
