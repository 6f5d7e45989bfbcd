"""What a plan does to messages on their way to an actor, and to events on theirs to a reader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import pytest

from mnemosyne_core.errors import (
    ActorDownError,
    AskTimeoutError,
    MailboxFullError,
)
from mnemosyne_core.events import Event, MessageDropped
from mnemosyne_core.observe import EventBroadcaster, Lagged, Subscription
from mnemosyne_core.supervision import Actor, Context, Overflow, Ref
from pytest_mnemosyne.simulation.draws import Seeded
from pytest_mnemosyne.simulation.faults import FaultPlan, PlannedFailpoints
from tests.core.supervision.support import WHEN, Crash, Echo, Puppet, child
from tests.simulation.faults.conftest import Supervise, Supervised

pytestmark = pytest.mark.virtual_time


def now_s() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Pass:
    """Has an actor send messages to another one, without waiting in between."""

    to: Ref
    messages: tuple[str, ...]


class Sender(Actor):
    """Sends what it is told to."""

    async def receive(self, message: object, context: Context) -> object:
        assert isinstance(message, Pass)
        for each in message.messages:
            await message.to.send(each)
        return None


class Receiving:
    """An actor `to` that keeps what it gets, and senders `x` and `y`."""

    def __init__(self, supervised: Supervise, plan: str, *, draws: Seeded | None = None) -> None:
        self.got = Puppet()
        self.system: Supervised = supervised(
            plan,
            child("to", lambda: self.got),
            child("x", Sender),
            child("y", Sender),
            draws=draws,
        )
        self.supervisor = self.system.supervisor

    async def send(self, sender: str, *messages: str) -> None:
        await self.system.ref(sender).ask(Pass(self.system.ref("to"), messages))

    @property
    def seen(self) -> list[object]:
        return self.got.seen


async def settled() -> None:
    await asyncio.sleep(1_000)


async def test_a_message_that_is_lost_never_arrives(supervised: Supervise) -> None:
    told = Receiving(supervised, "lose(agent='to', call=2)")
    async with told.supervisor:
        await told.send("x", "1", "2", "3")
        await settled()

    assert told.seen == ["1", "3"]


async def test_who_asks_in_vain_waits_as_long_as_he_has_patience(supervised: Supervise) -> None:
    system = supervised("lose()", child("a"))
    async with system.supervisor:
        with pytest.raises(AskTimeoutError):
            await system.ref("a").ask(Echo(1), timeout_s=7)

        assert now_s() == 7
        assert await system.ref("a").ask(Echo(2)) == 2


async def test_who_asks_in_vain_hears_of_the_actors_end(supervised: Supervise) -> None:
    system = supervised("lose()", child("a"))
    async with system.supervisor, asyncio.TaskGroup() as group:
        first = system.ref("a")
        answer = group.create_task(_error_of(first.ask(Echo(1))))
        await asyncio.sleep(1)
        await first.send(Crash())

        assert isinstance(await answer, ActorDownError)


async def _error_of(asking: Awaitable[object]) -> BaseException | None:
    try:
        await asking
    except ActorDownError as error:
        return error
    return None


async def test_a_message_that_is_doubled_arrives_twice_and_is_answered_once(
    supervised: Supervise,
) -> None:
    puppet = Puppet()
    system = supervised("duplicate()", child("a", lambda: puppet))
    async with system.supervisor:
        assert await system.ref("a").ask(Echo(1)) == 1
        assert await system.ref("a").ask(Echo(2)) == 2

    assert puppet.seen == [Echo(1), Echo(1), Echo(2)]


async def test_what_is_sent_behind_a_late_message_is_late_too(supervised: Supervise) -> None:
    told = Receiving(supervised, "delay(5, sender='x', call=2)")
    async with told.supervisor:
        await told.send("x", "x1", "x2", "x3")
        await told.send("y", "y1")
        await asyncio.sleep(4.9)
        assert told.seen == ["x1", "y1"]

        await asyncio.sleep(0.2)
        assert told.seen == ["x1", "y1", "x2", "x3"]

        await told.send("x", "x4")
        await settled()
    assert told.seen[-1] == "x4"


async def test_messages_that_are_late_by_chance_stay_in_order(supervised: Supervise) -> None:
    told = Receiving(supervised, "delay(0, up_to_s=9, count=None)", draws=Seeded(5))
    async with told.supervisor, asyncio.TaskGroup() as group:
        numbers = range(20)
        group.create_task(told.send("x", *(f"x{each}" for each in numbers)))
        group.create_task(told.send("y", *(f"y{each}" for each in numbers)))
        await settled()

    for sender in "xy":
        assert [each for each in told.seen if str(each)[0] == sender] == [
            f"{sender}{each}" for each in numbers
        ]
    assert told.seen != sorted(told.seen, key=lambda each: str(each)[0]), "the two are mixed"


async def test_a_message_is_overtaken_by_the_next_of_another_sender(supervised: Supervise) -> None:
    told = Receiving(supervised, "reorder(60, sender='x', call=1)")
    async with told.supervisor:
        await told.send("x", "x1", "x2")
        await asyncio.sleep(1)
        assert told.seen == []

        await told.send("y", "y1", "y2")
        await asyncio.sleep(1)

    assert told.seen == ["y1", "x1", "x2", "y2"]


async def test_a_message_that_nobody_overtakes_arrives_all_the_same(supervised: Supervise) -> None:
    told = Receiving(supervised, "reorder(60, agent='to')")
    async with told.supervisor:
        await told.send("x", "x1", "x2")
        await asyncio.sleep(59.9)
        assert told.seen == []

        await asyncio.sleep(0.2)
        assert told.seen == ["x1", "x2"]


async def test_messages_of_one_sender_never_overtake_each_other(supervised: Supervise) -> None:
    told = Receiving(supervised, "reorder(1, count=None, agent='to')")
    async with told.supervisor, asyncio.TaskGroup() as group:
        for sender in "xy":
            group.create_task(told.send(sender, *(f"{sender}{each}" for each in range(5))))
        await settled()

    for sender in "xy":
        assert [each for each in told.seen if str(each)[0] == sender] == [
            f"{sender}{each}" for each in range(5)
        ]


async def test_without_room_a_sender_that_does_not_wait_is_refused(supervised: Supervise) -> None:
    system = supervised("overflow()", child("a"))
    async with system.supervisor:
        with pytest.raises(MailboxFullError):
            system.ref("a").send_nowait(Echo(1))

        system.ref("a").send_nowait(Echo(1))


async def test_without_room_an_actor_that_rejects_lets_nobody_wait(supervised: Supervise) -> None:
    class Strict(Puppet):
        mailbox_overflow = Overflow.REJECT

    system = supervised("overflow(3)", child("a", Strict))
    async with system.supervisor:
        with pytest.raises(MailboxFullError):
            await system.ref("a").ask(Echo(1))

        assert await system.ref("a").ask(Echo(1)) == 1
        assert now_s() == 0


async def test_without_room_a_sender_that_waits_gets_one_later(supervised: Supervise) -> None:
    system = supervised("overflow(3)", child("a"))
    async with system.supervisor:
        assert await system.ref("a").ask(Echo(1)) == 1

        assert now_s() == 3


async def test_what_is_late_when_the_actor_ends_is_dropped_like_what_waited(
    supervised: Supervise,
) -> None:
    system = supervised("delay(9, message='Echo')", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        await first.send(Echo(1))
        await system.supervisor.terminate_child("a")

    (dropped,) = system.recorder.of("message_dropped")
    assert isinstance(dropped.fact, MessageDropped)
    assert dropped.fact.message == "Echo"


async def test_what_is_late_waits_for_room(supervised: Supervise) -> None:
    class Narrow(Puppet):
        mailbox_capacity = 1

        async def receive(self, message: object, context: Context) -> object:
            await asyncio.sleep(10)
            return await super().receive(message, context)

    puppet = Narrow()
    system = supervised("delay(1, call=1)", child("a", lambda: puppet))
    async with system.supervisor, asyncio.TaskGroup() as group:
        a = system.ref("a")
        await a.send("late")
        await asyncio.sleep(0.5)
        # Nobody overtakes: these are of the same sender.
        for number in range(3):
            group.create_task(a.send(number))
        await settled()

    assert puppet.seen == ["late", 0, 1, 2]


# --- events ----------------------------------------------------------------------------


def event(seq: int) -> Event:
    fact = MessageDropped(message="x", reason="y")
    return Event(seq=seq, at=WHEN, agent="a", attempt=1, by=None, fact=fact)


def seqs(taken: list[Event | Lagged]) -> list[object]:
    return [each if isinstance(each, Lagged) else each.seq for each in taken]


async def test_a_reader_misses_an_event_and_is_told() -> None:
    failpoints = PlannedFailpoints(FaultPlan.parse("lag(call=2, count=2)"))
    broadcaster = EventBroadcaster(failpoints=failpoints)
    with broadcaster.subscribe() as subscription:
        broadcaster.publish(*map(event, range(1, 6)))
        broadcaster.close()

        taken = [each async for each in subscription]

    assert seqs(taken) == [Lagged(missed=2, after=0), 3, 4, 5], "the oldest ones go"


async def test_for_a_slow_reader_events_pile_up() -> None:
    failpoints = PlannedFailpoints(
        FaultPlan.parse("slow_subscriber(10, message='message_dropped')")
    )
    broadcaster = EventBroadcaster(failpoints=failpoints)
    with broadcaster.subscribe(capacity=2) as subscription:
        broadcaster.publish(event(1))
        reading = asyncio.ensure_future(_read(subscription, 3))
        await asyncio.sleep(5)
        assert not reading.done()
        broadcaster.publish(*map(event, range(2, 6)))
        taken = await reading

    assert now_s() == 10
    assert seqs(taken) == [Lagged(missed=3, after=0), 4, 5]


async def _read(subscription: Subscription, number: int) -> list[Event | Lagged]:
    taken = []
    async for each in subscription:
        taken.append(each)
        if len(taken) == number:
            break
    return taken


async def test_only_the_reader_that_is_named_is_slow(supervised: Supervise) -> None:
    class Reader(Actor):
        async def started(self, context: Context) -> None:
            self.subscription = broadcaster.subscribe()

        async def receive(self, message: object, context: Context) -> object:
            return self.subscription.take_nowait()

    system = supervised("lag(agent='reader')", child("reader", Reader))
    broadcaster = EventBroadcaster(failpoints=system.failpoints)
    async with system.supervisor:
        with broadcaster.subscribe() as outside:
            broadcaster.publish(event(1), event(2))

            assert outside.take_nowait() == event(1)
            assert await system.ref("reader").ask("next") == Lagged(missed=1, after=0)
