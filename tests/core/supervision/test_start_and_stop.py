"""Starting in order, stopping in reverse, always in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    ActorStateError,
    ChildSpecError,
    StartError,
    UsageError,
)
from mnemosyne_core.supervision import (
    ChildKind,
    ChildSpec,
    Context,
    Exit,
    Shutdown,
    Supervisor,
)
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Boom,
    Crash,
    FakeClock,
    Gate,
    MemoryRecorder,
    Puppet,
    Run,
    child,
)

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


class NeverStarts(Puppet):
    async def started(self, context: Context) -> None:
        raise Boom("not today")


class HangsInStart(Puppet):
    async def started(self, context: Context) -> None:
        await asyncio.Event().wait()


class HangsInStopping(Puppet):
    async def stopping(self, reason: Exit) -> None:
        await asyncio.Event().wait()


class Unkillable(Puppet):
    """Swallows every cancellation until its gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self.gate = gate

    async def stopping(self, reason: Exit) -> None:
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                continue


async def test_children_start_in_order_and_stop_in_reverse(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("b"), child("c"))
    running = supervisor.is_running
    await supervisor.stop()

    assert recorder.story == [
        "started a#1",
        "started b#1",
        "started c#1",
        "ended c#1 (shutdown)",
        "ended b#1 (shutdown)",
        "ended a#1 (shutdown)",
    ]
    assert (running, supervisor.is_running) == (True, False)
    assert supervisor.failure is None


async def test_a_child_starts_when_the_one_before_it_has_started(
    supervise: MakeSupervisor,
) -> None:
    order: list[str] = []

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            order.append(f"{context.path} begins")
            await asyncio.sleep(0)
            order.append(f"{context.path} has started")

    await supervise(child("a", Slow), child("b", Slow))

    assert order == ["a begins", "a has started", "b begins", "b has started"]


async def test_a_failed_start_undoes_those_before_it_in_reverse(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    with pytest.raises(StartError, match="c did not start: Boom: not today") as failed:
        await supervise(child("a"), child("b"), child("c", NeverStarts), child("d"))

    assert isinstance(failed.value.__cause__, Boom)
    assert recorder.story == [
        "started a#1",
        "started b#1",
        "failed to start c (Boom: not today)",
        "ended b#1 (shutdown)",
        "ended a#1 (shutdown)",
    ]
    (failure,) = recorder.of("child_start_failed")
    assert {event.by for event in recorder.of("child_terminated")} == {failure.seq}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param(
            ChildSpec(id="a", start=lambda: "no child"),  # type: ignore[arg-type,return-value]
            "must make an Actor",
            id="start-makes-something-else",
        ),
        pytest.param(
            ChildSpec(id="a", start=Supervisor), "kind=ChildKind.SUPERVISOR", id="kind-is-missing"
        ),
        pytest.param(
            ChildSpec(id="a", start=Puppet, kind=ChildKind.SUPERVISOR),
            "says supervisor",
            id="kind-is-wrong",
        ),
        pytest.param(
            ChildSpec(id="a", start=lambda: asyncio.sleep(0), kind=ChildKind.SUPERVISOR),
            "says supervisor",
            id="kind-is-wrong-for-a-coroutine",
        ),
    ],
)
async def test_a_start_that_makes_the_wrong_thing_says_so(
    supervise: MakeSupervisor, spec: ChildSpec, problem: str
) -> None:
    with pytest.raises(StartError, match=problem) as failed:
        await supervise(spec)
    assert isinstance(failed.value.__cause__, ChildSpecError)


async def test_an_abort_in_a_start_is_passed_on(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class Aborts(Puppet):
        async def started(self, context: Context) -> None:
            raise Abort("no run")

    with pytest.raises(Abort, match="no run"):
        await supervise(child("a"), child("b", Aborts))
    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_an_abort_while_a_later_child_starts_ends_that_start(
    recorder: MemoryRecorder, clock: FakeClock
) -> None:
    abort = Abort("asked the impossible")

    async def aborts() -> None:
        await asyncio.sleep(0)
        raise abort

    supervisor = Supervisor(
        [ChildSpec(id="a", start=aborts), child("b", HangsInStart)],
        recorder=recorder,
        clock=clock,
    )
    with pytest.raises(Abort) as raised:
        await supervisor.start()
    assert raised.value is abort


async def test_cancelling_a_start_undoes_it(recorder: MemoryRecorder) -> None:
    supervisor = Supervisor(
        [child("a"), child("b", HangsInStart)], recorder=recorder, kill_grace_s=0.01
    )
    starting = asyncio.create_task(supervisor.start())
    await recorder.wait_for("started a#1")
    starting.cancel()
    await asyncio.wait((starting,))

    assert starting.cancelled()
    assert [info.state for info in supervisor.which_children()] == ["stopped", "stopped"]


async def test_stopping_interrupts_a_start_that_hangs(recorder: MemoryRecorder) -> None:
    supervisor = Supervisor([child("a"), child("b", HangsInStart)], recorder=recorder)
    starting = asyncio.create_task(supervisor.start())
    await recorder.wait_for("started a#1")
    await supervisor.stop()

    with pytest.raises(StartError, match="b did not start"):
        await starting
    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_a_root_without_a_recorder_says_so() -> None:
    with pytest.raises(UsageError, match="give it a recorder"):
        await Supervisor().start()


async def test_a_supervisor_lives_once(supervise: MakeSupervisor) -> None:
    supervisor = await supervise()
    await supervisor.stop()

    with pytest.raises(ActorStateError, match="started before"):
        await supervisor.start()


async def test_a_supervisor_that_never_started_has_nothing_to_stop() -> None:
    supervisor = Supervisor()
    await supervisor.stop()

    with pytest.raises(ActorStateError, match="has not started"):
        await supervisor.wait()


async def test_stopping_twice_is_stopping_once(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"))
    await asyncio.gather(supervisor.stop(), supervisor.stop())
    await supervisor.stop()

    assert recorder.story == ["started a#1", "ended a#1 (shutdown)"]


async def test_everything_is_caused_by_what_the_caller_names(
    recorder: MemoryRecorder, clock: FakeClock
) -> None:
    supervisor = Supervisor([child("a")], recorder=recorder, clock=clock)
    await supervisor.start(by=70)
    await supervisor.stop(by=80)

    assert [event.by for event in recorder.events] == [70, 80]


# --- bounded time ----------------------------------------------------------------------


async def test_a_child_that_outlives_its_shutdown_time_is_cancelled(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("b", HangsInStopping, shutdown=0.001))
    await supervisor.stop()

    assert recorder.story[-3:] == [
        "ended b#1 (killed)",
        "stopped badly b (killed)",
        "ended a#1 (shutdown)",
    ]


async def test_a_message_in_hand_is_finished_within_the_shutdown_time(
    supervise: MakeSupervisor,
) -> None:
    gate, puppet = Gate(), Puppet()
    supervisor = await supervise(child("a", lambda: puppet))
    await supervisor.whereis("a").send(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    assert not stopping.done()

    gate.open()
    await stopping
    assert puppet.stopped_for is not None


async def test_a_brutal_kill_does_not_ask(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()
    supervisor = await supervise(child("a", shutdown=Shutdown.BRUTAL_KILL))
    await supervisor.whereis("a").send(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    await supervisor.stop()

    assert recorder.story[-1] == "ended a#1 (shutdown)"


@pytest.mark.parametrize("shutdown", [0.001, Shutdown.BRUTAL_KILL], ids=["seconds", "brutal"])
async def test_a_child_that_swallows_cancellation_is_reported_and_left_behind(
    supervise: MakeSupervisor, recorder: MemoryRecorder, shutdown: float | Shutdown
) -> None:
    gate = asyncio.Event()
    supervisor = await supervise(
        child("a"), child("b", lambda: Unkillable(gate), shutdown=shutdown)
    )
    ref = supervisor.whereis("b")
    await supervisor.stop()

    assert recorder.story[-3:] == ["ended b#1 (killed)", "leaked b", "ended a#1 (shutdown)"]
    with pytest.raises(ActorDownError, match="killed"):
        await ref.ask("anybody there?")
    await _let_go(gate, "b#1")


async def test_an_actor_whose_task_will_not_end_is_left_behind_with_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    async def begin(context: Context) -> None:
        context.spawn(stubborn(), name="stubborn")

    supervisor = await supervise(child("a", shutdown=0.001))
    await supervisor.whereis("a").ask(Run(begin))
    await asyncio.sleep(0)
    await supervisor.stop()

    assert recorder.story[-2:] == ["ended a#1 (killed)", "leaked a"]
    await _let_go(gate, "a:stubborn")


async def test_a_crashed_actor_has_bounded_time_too(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class HangsWhenCrashed(Puppet):
        async def stopping(self, reason: Exit) -> None:
            if reason.abnormal:
                await asyncio.Event().wait()

    supervisor = await supervise(child("a", HangsWhenCrashed, shutdown=0.001))
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")

    assert recorder.story == ["started a#1", "ended a#1 (Boom: boom)", "started a#2"]


async def _let_go(gate: asyncio.Event, task_name: str) -> None:
    """Ends a task that was left behind on purpose."""
    (leaked,) = [task for task in asyncio.all_tasks() if task.get_name() == task_name]
    gate.set()
    await asyncio.wait((leaked,))


async def test_cancelling_a_stop_hastens_it_and_is_passed_on(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"), child("b", HangsInStopping, shutdown=Shutdown.INFINITY)
    )
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait((stopping,))

    assert stopping.cancelled()
    assert recorder.story[-2:] == ["ended b#1 (killed)", "ended a#1 (killed)"]
    assert not supervisor.is_running


async def test_the_context_manager_starts_and_stops(
    recorder: MemoryRecorder, clock: FakeClock
) -> None:
    async with Supervisor([child("a")], recorder=recorder, clock=clock) as supervisor:
        assert supervisor.is_running

    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_a_coroutine_that_is_cancelled_before_it_ran_is_a_failed_start(
    supervise: MakeSupervisor,
) -> None:
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    def cancel_newborn() -> None:
        (newborn,) = [task for task in asyncio.all_tasks() if task.get_name() == "a#1"]
        newborn.cancel()

    def start() -> Coroutine[object, object, None]:
        # Runs before the first step of the task that is about to be made.
        asyncio.get_running_loop().call_soon(cancel_newborn)
        return work()

    with pytest.raises(StartError, match="a did not start: killed"):
        await supervise(ChildSpec(id="a", start=start))
    assert ran == []


async def test_cancelling_again_changes_nothing_about_the_grace_period(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = asyncio.Event()
    supervisor = await supervise(
        child("a", lambda: Unkillable(gate), shutdown=Shutdown.INFINITY), child("b")
    )
    (root,) = [task for task in asyncio.all_tasks() if task.get_name() == "tree#1"]
    root.cancel()
    await recorder.wait_for("ended b#1 (killed)")
    root.cancel()

    with pytest.raises(ActorDownError, match="killed"):
        await supervisor.wait()
    assert recorder.story[-2:] == ["ended a#1 (killed)", "leaked a"]
    await _let_go(gate, "a#1")
