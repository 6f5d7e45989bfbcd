"""OTP semantics: who comes back after whose end, in which order, and what a late exit says."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import ActorDownError, StartError
from mnemosyne_core.supervision import (
    ChildSpec,
    ChildState,
    Context,
    Restart,
    RestartIntensity,
    Shutdown,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Boom,
    Crash,
    Gate,
    MemoryRecorder,
    Puppet,
    Quit,
    child,
)
from tests.core.supervision.timeline import Timeline, takes

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time

# --- 5, 7: groups ---------------------------------------------------------------------------


async def test_a_temporary_sibling_stopped_with_a_group_is_gone(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"), child("t", restart=Restart.TEMPORARY), strategy=Strategy.REST_FOR_ONE
    )
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")

    assert recorder.story[2:] == ["ended a#1 (Boom: boom)", "ended t#1 (shutdown)", "started a#2"]
    assert [info.id for info in supervisor.which_children()] == ["a"]


async def test_a_group_is_stopped_and_started_one_by_one(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    slow = takes(start_s=1, stop_s=2)
    async with Supervisor(
        [child("a", slow), child("b"), child("c", slow), child("d", slow)],
        strategy=Strategy.REST_FOR_ONE,
        recorder=recorder,
    ) as supervisor:
        recorder.forget()
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.advance(10)

        # Three seconds of the clock had passed when everybody had started.
        assert [(at_s - 3, told) for at_s, told in recorder.told] == [
            (0, "ended b#1 (Boom: boom)"),
            (2, "ended d#1 (shutdown)"),
            (4, "ended c#1 (shutdown)"),
            (4, "started b#2"),
            (5, "started c#2"),
            (6, "started d#2"),
        ]


async def test_a_sibling_that_crashes_on_its_way_down_is_one_incident_with_the_first(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class BadLoser(Puppet):
        async def stopping(self, reason: object) -> None:
            raise Boom("bad loser")

    supervisor = await supervise(
        child("a"), child("b", BadLoser), strategy=Strategy.ONE_FOR_ALL, max_restarts=1
    )
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started b#2")

    assert supervisor.is_running


# --- 8: a start that fails in a restart ------------------------------------------------------


async def test_while_a_start_fails_again_and_again_the_siblings_are_served(
    virtual_clock: VirtualClock,
) -> None:
    tries = 0

    class FailsSlowly(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if 1 < tries < 4:
                await asyncio.sleep(1)
                raise Boom(f"try {tries}")

    recorder = Timeline()
    async with Supervisor(
        [child("a", FailsSlowly), child("b"), child("c")],
        intensity=RestartIntensity(max_restarts=4),
        recorder=recorder,
    ) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(0.5)
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.settle()
        terminating = asyncio.create_task(supervisor.terminate_child("c"))
        await virtual_clock.advance(10)
        await terminating

        assert recorder.told[3:] == [
            (0, "ended a#1 (Boom: boom)"),
            (1, "failed to start a (Boom: try 2)"),
            (1, "ended b#1 (Boom: boom)"),
            (1, "started b#2"),
            (1, "ended c#1 (shutdown)"),
            (2, "failed to start a (Boom: try 3)"),
            (2, "started a#4"),
        ]


async def test_those_after_a_start_that_fails_stay_restarting_until_it_succeeds(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate, tries = Gate(), 0

    class FailsOnce(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                raise Boom("once")
            if tries == 3:
                await gate.wait()

    supervisor = await supervise(child("a", FailsOnce), child("b"), strategy=Strategy.REST_FOR_ONE)
    old = supervisor.whereis("b")
    await supervisor.whereis("a").send(Crash())
    await gate.reached.wait()
    waiting = asyncio.create_task(supervisor.wait_restarted("b", old))
    assert [info.state for info in supervisor.which_children()] == [ChildState.RESTARTING] * 2
    gate.open()

    assert (await waiting).incarnation == 2


async def test_whoever_waited_for_a_child_that_is_terminated_goes_on_without_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate, tries = Gate(), 0

    class FailsSlowly(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                await gate.wait()
                raise Boom("again")

    supervisor = await supervise(child("a", FailsSlowly), child("b"), strategy=Strategy.ONE_FOR_ALL)
    await supervisor.whereis("a").send(Crash())
    await gate.reached.wait()
    terminating = asyncio.create_task(supervisor.terminate_child("a"))
    await asyncio.sleep(0)
    gate.open()
    await terminating

    assert [info.state for info in supervisor.which_children()] == ["stopped", "running"]


# --- 9: an exit that comes late ---------------------------------------------------------------


async def test_a_late_exit_says_nothing_of_the_new_incarnation(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            await gate.wait()

    supervisor = await supervise(child("a"), max_restarts=0)
    busy = asyncio.create_task(supervisor.start_child(child("b", Slow)))
    await gate.reached.wait()
    terminating = asyncio.create_task(supervisor.terminate_child("a"))
    restarting = asyncio.create_task(supervisor.restart_child("a"))
    await asyncio.sleep(0)
    # Its exit stands in line behind both requests.
    with pytest.raises(ActorDownError):
        await supervisor.whereis("a").ask(Crash())
    gate.open()
    await asyncio.gather(busy, terminating, restarting)
    await supervisor.terminate_child("b")

    assert recorder.story == [
        "started a#1",
        "started b#1",
        "ended a#1 (Boom: boom)",
        "started a#2",
        "ended b#1 (shutdown)",
    ]


# --- 23: names --------------------------------------------------------------------------------


async def test_a_name_is_free_before_the_new_incarnation_starts(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    found: list[str] = []

    class Looks(Puppet):
        async def started(self, context: Context) -> None:
            if context.ref.incarnation > 1:
                try:
                    supervisor.whereis("a")
                except ActorDownError as error:
                    found.append(error.reason)

    supervisor = await supervise(child("a", Looks))
    old = supervisor.whereis("a")
    await old.send(Crash())
    await recorder.wait_for("started a#2")

    assert found == ["restarting, last exit: Boom: boom"]
    assert supervisor.whereis("a").incarnation == 2
    with pytest.raises(ActorDownError, match="Boom: boom"):
        old.send_nowait("too late")


# --- 28, 33: cancellation ---------------------------------------------------------------------


async def test_a_supervisor_cancelled_in_a_group_restart_leaves_nobody_behind(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate, starts = Gate(), 0

    class HangsLater(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal starts
            starts += 1
            if starts > 1:
                await gate.wait()

    supervisor = await supervise(
        child("a"), child("b", HangsLater), child("c"), strategy=Strategy.ONE_FOR_ALL
    )
    await supervisor.whereis("c").send(Crash())
    await gate.reached.wait()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "tree#1"]
    task.cancel()
    with pytest.raises(ActorDownError, match="killed"):
        await supervisor.wait()

    assert recorder.story[-2:] == ["failed to start b (killed)", "ended a#2 (killed)"]
    assert supervisor.count_children().active == 0


async def test_a_cancelled_caller_does_not_tear_a_restart_by_hand(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()

    class SlowToStop(Puppet):
        async def stopping(self, reason: object) -> None:
            await gate.wait()

    supervisor = await supervise(child("a", SlowToStop, shutdown=Shutdown.INFINITY))
    replacing = asyncio.create_task(supervisor.replace_child("a"))
    await gate.reached.wait()
    replacing.cancel()
    gate.open()
    await recorder.wait_for("started a#2")

    assert replacing.cancelled()


async def test_a_coroutine_that_returns_has_ended_normally(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    await supervise(ChildSpec(id="a", start=work, restart=Restart.TRANSIENT))
    await recorder.wait_for("ended a#1 (normal)")


async def test_a_restart_by_hand_of_what_is_restarting_is_made_at_once(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate, tries = Gate(), 0

    class FailsTwice(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                await gate.wait()
            if 1 < tries < 4:
                raise Boom(f"try {tries}")

    supervisor = await supervise(child("a", FailsTwice), max_restarts=2)
    await supervisor.whereis("a").send(Crash())
    await gate.reached.wait()
    by_hand = asyncio.create_task(supervisor.restart_child("a"))
    await asyncio.sleep(0)
    gate.open()
    with pytest.raises(StartError, match="try 3"):
        await by_hand
    # The crash and the try that follows count, the try by hand does not.
    await recorder.wait_for("started a#4")

    assert supervisor.is_running


async def test_a_child_that_ends_normally_is_left_alone_by_its_siblings_end(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("t", restart=Restart.TRANSIENT), child("a"))
    await supervisor.whereis("t").send(Quit())
    await recorder.wait_for("ended t#1 (normal)")
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")

    assert [info.state for info in supervisor.which_children()] == ["stopped", "running"]
