"""Who comes back after whose crash, how often, and what is told about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    RestartIntensityError,
    StorageError,
    UnknownChildError,
)
from mnemosyne_core.events import Event, Fact
from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildSpec,
    ChildState,
    Context,
    Exit,
    Restart,
    RestartIntensity,
    Strategy,
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
    Quit,
    Run,
    child,
)

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


def starts_badly(*outcomes: BaseException | None) -> Callable[[], Puppet]:
    """Makes actors whose n-th start raises the n-th outcome; later ones start well."""
    left = list(outcomes)

    class Moody(Puppet):
        async def started(self, context: Context) -> None:
            outcome = left.pop(0) if left else None
            if outcome is not None:
                raise outcome

    return Moody


async def crash(supervisor: Supervisor, path: str) -> None:
    await supervisor.whereis(path).send(Crash())


@pytest.mark.parametrize(
    ("strategy", "story"),
    [
        pytest.param(
            Strategy.ONE_FOR_ONE, ["ended b#1 (Boom: boom)", "started b#2"], id="one-for-one"
        ),
        pytest.param(
            Strategy.ONE_FOR_ALL,
            [
                "ended b#1 (Boom: boom)",
                "ended c#1 (shutdown)",
                "ended a#1 (shutdown)",
                "started a#2",
                "started b#2",
                "started c#2",
            ],
            id="one-for-all",
        ),
        pytest.param(
            Strategy.REST_FOR_ONE,
            ["ended b#1 (Boom: boom)", "ended c#1 (shutdown)", "started b#2", "started c#2"],
            id="rest-for-one",
        ),
    ],
)
async def test_a_strategy_stops_in_reverse_and_starts_in_order(
    supervise: MakeSupervisor, recorder: MemoryRecorder, strategy: Strategy, story: list[str]
) -> None:
    supervisor = await supervise(child("a"), child("b"), child("c"), strategy=strategy)
    await crash(supervisor, "b")
    await recorder.wait_for(story[-1])

    assert recorder.story[3:] == story
    ended = recorder.of("child_terminated")[0]
    assert {event.by for event in recorder.events[4:]} == {ended.seq}


async def test_a_crash_is_caused_by_the_message_in_hand(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").send(Crash(), by=41)
    await recorder.wait_for("started a#2")

    (ended,) = recorder.of("child_terminated")
    restarted = recorder.of("child_started")[-1]
    assert (ended.by, restarted.by) == (41, ended.seq)
    assert supervisor.whereis("a").incarnation == 2


async def test_a_name_leads_to_the_new_incarnation_and_old_refs_fail_fast(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"))
    old = supervisor.whereis("a")
    await old.send(Crash())
    await recorder.wait_for("started a#2")
    new = supervisor.whereis("a")

    assert (old.is_alive, new.is_alive, new.incarnation) == (False, True, 2)
    with pytest.raises(ActorDownError):
        await old.ask("anybody there?")


async def test_the_next_incarnation_can_be_waited_for(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))
    first = supervisor.whereis("a")
    waiting = asyncio.create_task(supervisor.wait_restarted("a", first))
    await first.send(Crash())
    second = await waiting

    assert second.incarnation == 2
    assert await supervisor.wait_restarted("a", first) is second


async def test_nobody_waits_for_an_incarnation_that_will_not_come(
    supervise: MakeSupervisor,
) -> None:
    supervisor = await supervise(
        child("t", restart=Restart.TRANSIENT), child("z", restart=Restart.TEMPORARY), child("a")
    )
    refs = {child_id: supervisor.whereis(child_id) for child_id in ("t", "z", "a")}
    waiting = {
        child_id: asyncio.create_task(supervisor.wait_restarted(child_id, ref))
        for child_id, ref in refs.items()
    }
    await refs["t"].ask(Quit())
    await refs["z"].ask(Quit())
    with pytest.raises(ActorDownError, match=r"t is down \(stopped, last exit: normal"):
        await waiting["t"]
    with pytest.raises(UnknownChildError):
        await waiting["z"]
    await supervisor.stop()
    with pytest.raises(ActorDownError, match="ending"):
        await waiting["a"]


async def test_a_restarted_actor_is_new_and_has_an_empty_mailbox(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    made: list[Puppet] = []

    def make() -> Puppet:
        made.append(Puppet())
        return made[-1]

    supervisor = await supervise(child("a", make))
    ref = supervisor.whereis("a")
    ref.send_nowait(Crash())
    ref.send_nowait("waits")
    await recorder.wait_for("started a#2")
    await supervisor.whereis("a").ask("to the new one")

    assert recorder.story[1:] == ["ended a#1 (Boom: boom)", "message_dropped a", "started a#2"]
    assert made[1].seen == ["to the new one"]


@pytest.mark.parametrize(
    ("restart", "message", "comes_back"),
    [
        pytest.param(Restart.PERMANENT, Quit(), True, id="permanent-normal"),
        pytest.param(Restart.PERMANENT, Crash(), True, id="permanent-crash"),
        pytest.param(Restart.TRANSIENT, Quit(), False, id="transient-normal"),
        pytest.param(Restart.TRANSIENT, Crash(), True, id="transient-crash"),
        pytest.param(Restart.TEMPORARY, Quit(), False, id="temporary-normal"),
        pytest.param(Restart.TEMPORARY, Crash(), False, id="temporary-crash"),
    ],
)
async def test_the_restart_type_decides_who_comes_back(
    supervise: MakeSupervisor,
    recorder: MemoryRecorder,
    restart: Restart,
    message: object,
    comes_back: bool,
) -> None:
    supervisor = await supervise(child("a", restart=restart))
    await supervisor.whereis("a").send(message)
    reason = "normal" if isinstance(message, Quit) else "Boom: boom"
    await recorder.wait_for(f"started a#{2}" if comes_back else f"ended a#1 ({reason})")

    states = [info.state for info in supervisor.which_children()]
    if comes_back:
        assert states == [ChildState.RUNNING]
    else:
        assert states == ([] if restart is Restart.TEMPORARY else [ChildState.STOPPED])


async def test_a_foreign_cancellation_is_abnormal(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    await supervise(ChildSpec(id="a", start=work, restart=Restart.TRANSIENT))
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "a#1"]
    task.cancel()
    await recorder.wait_for("started a#2")

    assert recorder.story == ["started a#1", "ended a#1 (killed)", "started a#2"]


async def test_temporary_siblings_go_and_ended_ones_come_back_with_a_group(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"),
        child("t", restart=Restart.TEMPORARY),
        child("e", restart=Restart.TRANSIENT),
        child("m"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    await supervisor.whereis("e").ask(Quit())
    await supervisor.terminate_child("m")
    await crash(supervisor, "a")
    await recorder.wait_for("started m#2")

    assert [info.id for info in supervisor.which_children()] == ["a", "e", "m"]
    assert [info.state for info in supervisor.which_children()] == [ChildState.RUNNING] * 3


async def test_two_crashes_in_one_moment_are_one_incident_for_a_group(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"), child("b"), strategy=Strategy.ONE_FOR_ALL, max_restarts=1
    )
    supervisor.whereis("a").send_nowait(Crash())
    supervisor.whereis("b").send_nowait(Crash())
    await recorder.wait_for("started b#2")
    await supervisor.terminate_child("a")

    assert supervisor.is_running
    assert recorder.story.count("ended b#1 (Boom: boom)") == 1
    assert "started a#3" not in recorder.story


# --- starts that fail during a restart -------------------------------------------------


async def test_a_failed_restart_is_tried_again(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a", starts_badly(None, Boom("1"), Boom("2"))))
    await crash(supervisor, "a")
    await recorder.wait_for("started a#4")

    assert recorder.story[1:] == [
        "ended a#1 (Boom: boom)",
        "failed to start a (Boom: 1)",
        "failed to start a (Boom: 2)",
        "started a#4",
    ]
    causes = [event.by for event in recorder.events[2:]]
    assert causes == [event.seq for event in recorder.events[1:-1]]
    assert supervisor.which_children()[0].restarts == 1


async def test_every_try_counts_as_a_restart(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    outcomes = (None, *(Boom(str(n)) for n in range(9)))
    supervisor = await supervise(child("a", starts_badly(*outcomes)), max_restarts=2)
    await crash(supervisor, "a")

    with pytest.raises(RestartIntensityError, match="a: Boom: 1"):
        await supervisor.wait()
    assert len(recorder.of("child_start_failed")) == 2


async def test_a_group_start_that_fails_keeps_those_before_and_retries_from_there(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"),
        child("b", starts_badly(None, Boom("b"))),
        child("c"),
        strategy=Strategy.REST_FOR_ONE,
    )
    await crash(supervisor, "a")
    await recorder.wait_for("started c#2")

    assert recorder.story[3:] == [
        "ended a#1 (Boom: boom)",
        "ended c#1 (shutdown)",
        "ended b#1 (shutdown)",
        "started a#2",
        "failed to start b (Boom: b)",
        "started b#3",
        "started c#2",
    ]


async def test_between_two_tries_a_request_by_hand_is_served(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()
    tries = 0

    class FailsSlowly(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries > 1:
                await gate.wait()
                raise Boom("again")

    supervisor = await supervise(child("a", FailsSlowly))
    await crash(supervisor, "a")
    await gate.reached.wait()
    assert supervisor.which_children()[0].state is ChildState.RESTARTING
    with pytest.raises(ActorDownError, match="restarting"):
        supervisor.whereis("a")
    terminating = asyncio.create_task(supervisor.terminate_child("a"))
    await asyncio.sleep(0)
    gate.open()
    await terminating

    assert tries == 2
    assert supervisor.which_children()[0].state is ChildState.STOPPED
    assert supervisor.is_running


async def test_stopping_interrupts_a_restart_that_hangs(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()
    hangs: list[bool] = []

    class HangsLater(Puppet):
        async def started(self, context: Context) -> None:
            if hangs:
                await gate.wait()
            hangs.append(True)

    supervisor = await supervise(child("a"), child("b", HangsLater))
    await crash(supervisor, "b")
    await gate.reached.wait()
    await supervisor.stop()

    assert recorder.story[-2:] == ["failed to start b (shutdown)", "ended a#1 (shutdown)"]


# --- intensity -------------------------------------------------------------------------


async def test_beyond_the_intensity_the_supervisor_stops_everybody_and_fails(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("b"), child("c"), max_restarts=1)
    await crash(supervisor, "b")
    await recorder.wait_for("started b#2")
    await crash(supervisor, "b")

    with pytest.raises(RestartIntensityError) as failed:
        await supervisor.wait()

    assert recorder.story[-4:] == [
        "ended b#2 (Boom: boom)",
        "restart_intensity_reached tree",
        "ended c#1 (shutdown)",
        "ended a#1 (shutdown)",
    ]
    (reached,) = recorder.of("restart_intensity_reached")
    assert reached.by == reached.seq - 1
    assert {event.by for event in recorder.events[-2:]} == {reached.seq}
    assert (failed.value.path, failed.value.max_restarts) == ("tree", 1)
    assert supervisor.failure is failed.value
    await supervisor.stop()


async def test_restarts_that_have_aged_out_do_not_count(
    supervise: MakeSupervisor, recorder: MemoryRecorder, clock: FakeClock
) -> None:
    supervisor = await supervise(child("a"), max_restarts=1)
    for incarnation in range(2, 6):
        await crash(supervisor, "a")
        await recorder.wait_for(f"started a#{incarnation}")
        clock.now_s += 10.5

    assert supervisor.is_running
    assert supervisor.which_children()[0].restarts == 4


async def test_an_intensity_of_zero_makes_the_first_crash_fatal(
    supervise: MakeSupervisor,
) -> None:
    supervisor = await supervise(child("a"), max_restarts=0)
    await crash(supervisor, "a")

    with pytest.raises(RestartIntensityError, match="more than 0 restarts in 10 s"):
        await supervisor.wait()


async def test_the_context_manager_does_not_hide_that_the_supervisor_gave_up(
    recorder: MemoryRecorder,
) -> None:
    async def crash_once() -> None:
        async with Supervisor(
            [child("a")], intensity=RestartIntensity(max_restarts=0), recorder=recorder
        ) as supervisor:
            await crash(supervisor, "a")
            await recorder.wait_for("restart_intensity_reached tree")

    with pytest.raises(RestartIntensityError):
        await crash_once()


# --- aborts, cancellation, recorders ---------------------------------------------------


async def test_an_abort_stops_everything_and_restarts_nobody(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    abort = Abort("no recording of this call")
    supervisor = await supervise(child("a"), child("b"), child("c"), strategy=Strategy.ONE_FOR_ALL)
    await supervisor.whereis("b").send(Crash(abort))

    with pytest.raises(Abort) as raised:
        await supervisor.wait()
    assert raised.value is abort
    assert supervisor.failure is abort
    with pytest.raises(Abort):
        await supervisor.stop()
    assert recorder.story[3:] == [
        "ended b#1 (Abort: no recording of this call)",
        "ended c#1 (shutdown)",
        "ended a#1 (shutdown)",
    ]


async def test_an_abort_while_everything_stops_is_not_lost(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()

    async def abort_later(context: Context) -> None:
        await gate.wait()
        raise Abort("late")

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").send(Run(abort_later))
    await gate.reached.wait()
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    gate.open()

    with pytest.raises(Abort, match="late"):
        await stopping


async def test_an_abort_in_an_actors_task_is_not_lost_either(supervise: MakeSupervisor) -> None:
    async def abort() -> None:
        raise Abort("in a task")

    async def begin(context: Context) -> None:
        context.spawn(abort())

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(begin))

    with pytest.raises(Abort, match="in a task"):
        await supervisor.wait()


async def test_a_cancelled_supervisor_cancels_its_children_and_restarts_nobody(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("b"))
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "tree#1"]
    task.cancel()

    with pytest.raises(ActorDownError, match=r"tree is down \(killed\)"):
        await supervisor.wait()
    assert recorder.story[2:] == ["ended b#1 (killed)", "ended a#1 (killed)"]


async def test_a_cancellation_during_a_restart_leaves_nobody_behind(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()
    first = True

    class HangsLater(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal first
            if not first:
                await gate.wait()
            first = False

    supervisor = await supervise(child("a"), child("b", HangsLater))
    await crash(supervisor, "b")
    await gate.reached.wait()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "tree#1"]
    task.cancel()

    with pytest.raises(ActorDownError, match="killed"):
        await supervisor.wait()
    assert [info.state for info in supervisor.which_children()] == ["stopped", "stopped"]


async def test_a_recorder_that_fails_stops_the_supervisor_and_says_why(clock: FakeClock) -> None:
    class FailingRecorder(MemoryRecorder):
        def record(
            self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None
        ) -> Event:
            if fact.kind == "child_terminated":
                raise StorageError(path=":memory:", reason="disk full")
            return super().record(fact, agent=agent, attempt=attempt, by=by)

    supervisor = Supervisor([child("a"), child("b")], recorder=FailingRecorder(), clock=clock)
    await supervisor.start()
    await crash(supervisor, "a")

    with pytest.raises(StorageError, match="disk full"):
        await supervisor.wait()
    assert supervisor.count_children().active == 0


async def test_a_defect_in_the_supervisor_orphans_nobody(recorder: MemoryRecorder) -> None:
    class BrokenClock(FakeClock):
        def monotonic(self) -> float:
            raise ZeroDivisionError("no time")

    supervisor = Supervisor([child("a"), child("b")], recorder=recorder, clock=BrokenClock())
    await supervisor.start()
    await crash(supervisor, "a")

    with pytest.raises(ZeroDivisionError, match="no time"):
        await supervisor.wait()
    assert recorder.story[-1] == "ended b#1 (shutdown)"


async def test_an_abort_of_a_sibling_in_the_middle_of_a_restart_ends_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class AbortsOnTheWayOut(Puppet):
        async def stopping(self, reason: Exit) -> None:
            raise Abort("on the way out")

    supervisor = await supervise(
        child("a"), child("b", AbortsOnTheWayOut), strategy=Strategy.ONE_FOR_ALL
    )
    await crash(supervisor, "a")

    with pytest.raises(Abort, match="on the way out"):
        await supervisor.wait()
    assert "started a#2" not in recorder.story


# --- significant children --------------------------------------------------------------


@pytest.mark.parametrize(
    ("auto_shutdown", "ends_after"),
    [(AutoShutdown.ANY_SIGNIFICANT, 1), (AutoShutdown.ALL_SIGNIFICANT, 2)],
)
async def test_the_end_of_significant_children_ends_the_supervisor(
    supervise: MakeSupervisor,
    recorder: MemoryRecorder,
    auto_shutdown: AutoShutdown,
    ends_after: int,
) -> None:
    supervisor = await supervise(
        child("a"),
        child("s1", restart=Restart.TRANSIENT, significant=True),
        child("s2", restart=Restart.TEMPORARY, significant=True),
        auto_shutdown=auto_shutdown,
    )
    for child_id in ("s1", "s2")[:ends_after]:
        assert supervisor.is_running
        await supervisor.whereis(child_id).ask(Quit())
        await recorder.wait_for(f"ended {child_id}#1 (normal)")
    await supervisor.wait()

    assert supervisor.failure is None
    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_a_significant_child_terminated_by_hand_ends_nobody(
    supervise: MakeSupervisor,
) -> None:
    supervisor = await supervise(
        child("s", restart=Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    await supervisor.terminate_child("s")

    assert supervisor.is_running
