"""What a plan does to actors, seen from outside: every fault on a real supervisor."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import ActorDownError, StartError
from mnemosyne_core.supervision import Actor, ChildSpec, Context, Ref, Restart
from pytest_mnemosyne.simulation.draws import Seeded
from pytest_mnemosyne.simulation.faults import FaultPlan
from tests.core.supervision.support import Crash, Echo, Gate, Puppet, child
from tests.simulation.faults.conftest import Supervise

pytestmark = pytest.mark.virtual_time


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


# --- crash -----------------------------------------------------------------------------


async def test_an_actor_crashes_on_its_nth_message(supervised: Supervise) -> None:
    system = supervised("crash(agent='a', call=2)", child("a"), child("b"))
    async with system.supervisor:
        a, b = system.ref("a"), system.ref("b")
        assert [await a.ask(Echo(1)), await b.ask(Echo(2)), await b.ask(Echo(3))] == [1, 2, 3]

        with pytest.raises(ActorDownError, match="InjectedCrashError: a crashes at a message"):
            await a.ask(Echo(4))

        assert await (await system.supervisor.wait_restarted("a", a)).ask(Echo(5)) == 5
    assert system.struck == ["message 4 of a (attempt 1), 0 s: crash(agent='a', call=2)"]


async def test_messages_of_a_type_are_counted_by_themselves(supervised: Supervise) -> None:
    system = supervised("crash(message='Ech*', call=2)", child("a"))
    async with system.supervisor:
        a = system.ref("a")
        await a.ask("text")
        await a.ask(Echo(1))
        await a.ask("text")

        with pytest.raises(ActorDownError):
            await a.ask(Echo(2))


async def test_a_message_in_one_incarnation_only(supervised: Supervise) -> None:
    system = supervised("crash(agent='a', attempt=2, count=None)", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        assert await first.ask(Echo(1)) == 1
        with pytest.raises(ActorDownError, match="Boom"):
            await first.ask(Crash())
        second = await system.supervisor.wait_restarted("a", first)
        with pytest.raises(ActorDownError, match="InjectedCrashError"):
            await second.ask(Echo(2))
        third = await system.supervisor.wait_restarted("a", second)

        assert await third.ask(Echo(3)) == 3


async def test_a_start_fails_so_many_times(supervised: Supervise) -> None:
    system = supervised("crash(call=1); crash(at='start', call=2, count=2)", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        with pytest.raises(ActorDownError):
            await first.ask(Echo(1))
        again = await system.supervisor.wait_restarted("a", first)

        assert again.incarnation == 4
    assert [each.split(" (")[0] for each in system.story] == [
        "started a#1",
        "ended a#1",
        "failed to start a",
        "failed to start a",
        "started a#4",
        "ended a#4",
    ]


async def test_a_first_start_that_fails_undoes_the_supervisors(supervised: Supervise) -> None:
    system = supervised("crash(agent='b', at='start')", child("a"), child("b"))

    with pytest.raises(StartError, match="b crashes at a start"):
        await system.supervisor.start()

    assert system.story[-1] == "ended a#1 (shutdown)"


async def test_an_actor_crashes_while_it_is_idle(supervised: Supervise) -> None:
    system = supervised("crash(at='idle', after_s=5)", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        await asyncio.sleep(3)
        assert await first.ask(Echo(1)) == 1

        await system.supervisor.wait_restarted("a", first)

        assert now_s() == 5
    assert system.struck == ["idle moment 2 of a (attempt 1), 5 s: crash(at='idle', after_s=5)"]


async def test_who_has_another_message_is_not_idle(supervised: Supervise) -> None:
    system = supervised("crash(at='idle', call=2)", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        await turns()
        answers = await asyncio.gather(*(first.ask(Echo(number)) for number in range(5)))
        assert answers == [0, 1, 2, 3, 4]

        await system.supervisor.wait_restarted("a", first)


async def test_an_actor_crashes_at_its_end_and_has_let_go_all_the_same(
    supervised: Supervise,
) -> None:
    puppet = Puppet()
    system = supervised("crash(at='stopping')", child("a", lambda: puppet))
    async with system.supervisor:
        pass

    assert puppet.stopped_for is not None
    assert "ended a#1 (InjectedCrashError: a crashes at a stop)" in system.story


# --- hang, and worse -------------------------------------------------------------------


async def test_a_start_that_hangs_can_be_cancelled(supervised: Supervise) -> None:
    system = supervised("hang(at='start')", child("a"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await system.supervisor.start()

    assert now_s() == 30


@pytest.mark.parametrize("at", ["message", "stopping"])
async def test_an_actor_that_hangs_is_cancelled_after_its_shutdown_time(
    supervised: Supervise, at: str
) -> None:
    puppet = Puppet()
    system = supervised(f"hang(at={at!r})", child("a", lambda: puppet, shutdown=5))
    await system.supervisor.start()
    await system.ref("a").send(Echo(1))
    await turns()

    await system.supervisor.stop()

    assert now_s() == 5
    assert "ended a#1 (killed)" in system.story
    assert puppet.stopped_for is not None, "what it holds is let go of"


@pytest.mark.parametrize("at", ["message", "stopping"])
async def test_an_actor_that_swallows_cancellation_leaks_until_it_is_let_go(
    supervised: Supervise, at: str
) -> None:
    before = asyncio.all_tasks()
    system = supervised(f"swallow_cancel(at={at!r})", child("a", shutdown=5))
    await system.supervisor.start()
    await system.ref("a").send(Echo(1))
    await turns()

    await system.supervisor.stop()

    assert now_s() == 6, "its shutdown time and the grace period"
    assert "leaked a" in system.story
    assert {task.get_name() for task in asyncio.all_tasks() - before} == {"a#1"}
    await system.failpoints.release()
    assert asyncio.all_tasks() == before


async def test_the_tasks_of_an_actor_that_leaked_end_with_it(supervised: Supervise) -> None:
    class Busy(Puppet):
        async def started(self, context: Context) -> None:
            context.spawn(asyncio.Event().wait(), name="busy")

    before = asyncio.all_tasks()
    system = supervised("swallow_cancel(at='stopping')", child("a", Busy, shutdown=5))
    async with system.supervisor:
        pass
    assert {task.get_name() for task in asyncio.all_tasks() - before} == {"a#1", "a:busy"}

    await system.failpoints.release()

    assert asyncio.all_tasks() == before


async def test_a_start_that_swallows_cancellation_leaks(supervised: Supervise) -> None:
    system = supervised("swallow_cancel(at='start')", child("a", shutdown=5))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await system.supervisor.start()

    assert "leaked a" in system.story


async def test_who_was_let_go_before_anybody_cancelled_it_goes_on(supervised: Supervise) -> None:
    system = supervised("swallow_cancel()", child("a"))
    async with system.supervisor, asyncio.TaskGroup() as group:
        answer = group.create_task(system.ref("a").ask(Echo(1)))
        await turns()
        assert not answer.done()

        await system.failpoints.release()

        assert await answer == 1


async def test_a_task_that_is_left_behind_ends_when_it_is_let_go(supervised: Supervise) -> None:
    before = asyncio.all_tasks()
    system = supervised("leak_task()", child("a"))
    async with system.supervisor:
        assert await system.ref("a").ask(Echo(1)) == 1

    assert [task.get_name() for task in asyncio.all_tasks() - before] == ["a: leaked on purpose"]
    await system.failpoints.release()
    assert asyncio.all_tasks() == before


async def test_an_actor_that_is_slow_takes_longer_and_goes_on(supervised: Supervise) -> None:
    system = supervised("slow(3); slow(2, at='start'); slow(1, at='stopping')", child("a"))
    async with system.supervisor:
        assert now_s() == 2
        assert await system.ref("a").ask(Echo(1)) == 1
        assert now_s() == 5
        assert await system.ref("a").ask(Echo(2)) == 2
        assert now_s() == 5

    assert now_s() == 6


async def test_how_slow_it_is_may_be_left_to_chance(supervised: Supervise) -> None:
    system = supervised("slow(1, up_to_s=9, count=None)", child("a"), draws=Seeded(3))
    async with system.supervisor:
        took = []
        for _ in range(10):
            before = now_s()
            await system.ref("a").ask(Echo(1))
            took.append(now_s() - before)

    assert len(set(took)) > 5
    assert all(1 <= each <= 9 for each in took)


# --- other ends ------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["message", "idle"])
async def test_a_cancellation_from_elsewhere_is_no_normal_end(
    supervised: Supervise, at: str
) -> None:
    system = supervised(f"foreign_cancel(at={at!r})", child("a", restart=Restart.TRANSIENT))
    async with system.supervisor:
        # One that is cancelled while it is idle has ended by now, and its name leads to nobody.
        first = system.ref("a") if at == "message" else None
        if first is not None:
            await first.send(Echo(1))

        await system.supervisor.wait_restarted("a", first)

        assert "ended a#1 (killed)" in system.story


async def test_a_start_that_is_cancelled_from_elsewhere_has_failed(supervised: Supervise) -> None:
    system = supervised("foreign_cancel(at='start')", child("a"))

    with pytest.raises(StartError, match="killed"):
        await system.supervisor.start()


async def test_an_end_that_is_cancelled_from_elsewhere_is_an_end(supervised: Supervise) -> None:
    puppet = Puppet()
    system = supervised("foreign_cancel(at='stopping')", child("a", lambda: puppet))
    async with system.supervisor:
        pass

    assert system.story[-1] == "ended a#1 (shutdown)"
    assert puppet.stopped_for is not None
    assert len(system.struck) == 1


@pytest.mark.parametrize("at", ["start", "message", "idle"])
async def test_an_actor_ends_normally_although_nobody_asked_it_to(
    supervised: Supervise, at: str
) -> None:
    system = supervised(
        f"exit_normally(agent='a', at={at!r})", child("a", restart=Restart.TRANSIENT), child("b")
    )
    async with system.supervisor:
        if at == "message":
            assert await system.ref("a").ask(Echo(1)) == 1, "the message in hand is answered"
        await turns()

        assert "ended a#1 (normal)" in system.story
        assert [each.state for each in system.supervisor.which_children()] == [
            "stopped",
            "running",
        ]


class Asker(Actor):
    """Asks another actor whatever it is asked itself."""

    def __init__(self, other: list[Ref]) -> None:
        self._other = other

    async def receive(self, message: object, context: Context) -> object:
        return await self._other[0].ask(message)


class Slowly(Actor):
    """Answers once a gate is open."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    async def receive(self, message: object, context: Context) -> object:
        await self.gate.wait()
        return message


async def test_an_actor_dies_while_it_waits_for_an_answer(supervised: Supervise) -> None:
    others: list[Ref] = []
    gate = Gate()
    system = supervised(
        "die_asking(agent='a', message='str')",
        child("a", lambda: Asker(others)),
        child("b", lambda: Slowly(gate)),
    )
    async with system.supervisor:
        b = system.ref("b")
        others.append(b)
        first = system.ref("a")

        with pytest.raises(ActorDownError, match="a crashes while it waits for an answer"):
            await first.ask("hello")

        assert gate.reached.is_set(), "the other one is at work on it"
        gate.open()
        again = await system.supervisor.wait_restarted("a", first)
        assert await again.ask("hello") == "hello"
        assert system.ref("b") is b


# --- coroutines ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        pytest.param("crash", "InjectedCrashError: c crashes at a start", id="crash"),
        pytest.param("foreign_cancel", "killed", id="foreign_cancel"),
    ],
)
async def test_a_coroutine_ends_at_its_start(supervised: Supervise, fault: str, end: str) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    spec = ChildSpec(id="c", start=work, restart=Restart.TRANSIENT)
    system = supervised(f"exit_normally(at='start', optional=True); {fault}(at='start')", spec)
    async with system.supervisor:
        await turns()

    assert f"ended c#1 ({end})" in system.story
    assert ran == [1], "the second one runs"


async def test_a_coroutine_that_is_stopped_before_it_began_was_never_awaited(
    supervised: Supervise,
) -> None:
    async def work() -> None:
        raise AssertionError("it hangs before this")

    system = supervised("hang(at='start')", ChildSpec(id="c", start=work))
    async with system.supervisor:
        await turns()

    assert system.story[-1] == "ended c#1 (shutdown)"


# --- a plan that grows -----------------------------------------------------------------


@pytest.mark.parametrize("said", ["crash(at='idle')", "crash_storm(1)"])
async def test_what_is_planned_later_strikes_an_actor_that_waits(
    supervised: Supervise, said: str
) -> None:
    system = supervised("", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        await turns()

        system.failpoints.running.add(FaultPlan.parse(said))
        await system.supervisor.wait_restarted("a", first)

        assert now_s() in (0, 1)
        assert [strike.call for strike in system.failpoints.strikes] == [1]


async def test_what_is_planned_later_does_not_count_an_idle_moment_twice(
    supervised: Supervise,
) -> None:
    system = supervised("crash(at='idle', call=2)", child("a"))
    async with system.supervisor:
        first = system.ref("a")
        await turns()

        system.failpoints.running.add(FaultPlan.parse("crash(at='idle', call=9, optional=True)"))
        await turns()
        assert first.is_alive

        await first.ask(Echo(1))
        await system.supervisor.wait_restarted("a", first)
