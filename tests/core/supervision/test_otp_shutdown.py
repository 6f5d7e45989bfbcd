"""OTP semantics: how a supervisor ends, in which order, in which time, and what of it is told."""

from __future__ import annotations

import asyncio
import math

import pytest

from mnemosyne_core.events import ChildShutdownFailed, ChildTerminated, Occasion
from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildKind,
    ChildSpec,
    Exit,
    Restart,
    Shutdown,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import Boom, Crash, MemoryRecorder, Puppet, Quit, child
from tests.core.supervision.timeline import Stubborn, Timeline, takes

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


class Hangs(Puppet):
    async def stopping(self, reason: Exit) -> None:
        await asyncio.Event().wait()


# --- 16, 17: one after the other, each in its own time ----------------------------------------


async def test_children_stop_one_after_the_other_each_in_its_own_time(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    supervisor = Supervisor(
        [
            child("default", Hangs),
            child("quick", takes(stop_s=0.5)),
            child("short", Hangs, shutdown=2),
            # A killed one, too, may say goodbye within the grace period.
            child("brutal", takes(stop_s=0.5), shutdown=Shutdown.BRUTAL_KILL),
            child("slow", takes(stop_s=1000), shutdown=Shutdown.INFINITY),
        ],
        recorder=recorder,
    )
    await supervisor.start()
    recorder.forget()
    await supervisor.stop()

    assert [told for told in recorder.told if "ended" in told[1]] == [
        (1000, "ended slow#1 (shutdown)"),
        (1000.5, "ended brutal#1 (shutdown)"),
        (1002.5, "ended short#1 (killed)"),
        (1003, "ended quick#1 (shutdown)"),
        (1008, "ended default#1 (killed)"),
    ]


async def test_a_supervisor_below_has_all_the_time_that_its_children_take(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    nested = ChildSpec(
        id="n",
        start=lambda: Supervisor([child(name, takes(stop_s=4)) for name in "abc"]),
        kind=ChildKind.SUPERVISOR,
    )
    assert nested.shutdown_s == math.inf
    supervisor = Supervisor([nested], recorder=recorder)
    await supervisor.start()
    await supervisor.stop()

    assert recorder.when("ended n#1 (shutdown)") == [12]


async def test_a_supervisor_is_never_left_behind_only_those_below_it_who_will_not_end(
    virtual_clock: VirtualClock,
) -> None:
    recorder, stubborn = Timeline(), Stubborn()
    nested = ChildSpec(
        id="n",
        start=lambda: Supervisor([child("a", lambda: stubborn)]),
        kind=ChildKind.SUPERVISOR,
        shutdown=2,
    )
    supervisor = Supervisor([nested], recorder=recorder)
    await supervisor.start()
    await supervisor.stop()
    stubborn.let_go.set()

    assert [words for _, words in recorder.told[2:5]] == [
        "ended n/a#1 (killed)",
        "leaked n/a",
        "ended n#1 (killed)",
    ]
    assert recorder.when("leaked n") == []


async def test_the_end_that_is_waited_for_is_the_real_one(virtual_clock: VirtualClock) -> None:
    """Also when the actor has let go of everything, and only a task of it still runs."""
    recorder = Timeline()

    class Lingers(Puppet):
        async def started(self, context: object) -> None:
            context.spawn(self._linger())  # type: ignore[attr-defined]

        async def _linger(self) -> None:
            try:
                await asyncio.sleep(math.inf)
            finally:
                await asyncio.sleep(3)

    supervisor = Supervisor([child("a", Lingers)], recorder=recorder)
    await supervisor.start()
    await supervisor.stop()

    assert recorder.told[-1] == (3, "ended a#1 (shutdown)")


# --- 18: an end that is not what it should be is told, and stops nobody -------------------------


class CrashesOnTheWayOut(Puppet):
    async def stopping(self, reason: Exit) -> None:
        raise Boom("on the way out")


@pytest.mark.parametrize(
    ("start", "reason"),
    [(CrashesOnTheWayOut, "Boom: on the way out"), (Hangs, "killed")],
    ids=["crashed", "had-to-be-killed"],
)
async def test_a_wrong_end_of_a_child_that_is_stopped_is_told_and_not_raised(
    virtual_clock: VirtualClock, start: type[Puppet], reason: str
) -> None:
    recorder = Timeline()
    supervisor = Supervisor([child("a"), child("b", start), child("c")], recorder=recorder)
    await supervisor.start()
    await supervisor.stop()

    assert supervisor.failure is None
    assert recorder.facts(ChildShutdownFailed) == [
        ChildShutdownFailed(
            child="b",
            incarnation=1,
            reason=reason,
            supervisor="tree",
            occasion=Occasion.SHUTDOWN,
        )
    ]
    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_a_wrong_end_by_hand_or_for_a_siblings_sake_is_told_too(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"), child("b", CrashesOnTheWayOut), strategy=Strategy.ONE_FOR_ALL, max_restarts=1
    )
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started b#2")
    await supervisor.terminate_child("b")

    occasions = [event.fact.occasion for event in recorder.of("child_shutdown_failed")]  # type: ignore[union-attr]
    assert occasions == [Occasion.RESTART, Occasion.SHUTDOWN]
    assert supervisor.is_running


async def test_a_crash_is_no_wrong_end_of_a_shutdown(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("k", shutdown=Shutdown.BRUTAL_KILL))
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")
    await supervisor.stop()

    assert recorder.of("child_shutdown_failed") == []


# --- 19: nobody survives his supervisor ---------------------------------------------------------


async def test_the_end_of_a_supervisor_is_the_end_of_all_below_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    def tree(depth: int) -> Supervisor:
        deeper = ChildSpec(id="n", start=lambda: tree(depth - 1), kind=ChildKind.SUPERVISOR)
        return Supervisor([child("a"), *([deeper] if depth else [])])

    root = await supervise(
        ChildSpec(id="n", start=lambda: tree(3), kind=ChildKind.SUPERVISOR), child("b")
    )
    refs = [root.whereis("n/" * depth + "a") for depth in range(1, 5)]
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "n/n#1"]
    task.cancel()
    await recorder.wait_for("started n/n#2")

    assert [ref.is_alive for ref in refs] == [True, False, False, False]
    ended = [
        event.agent
        for event in recorder.events
        if isinstance(event.fact, ChildTerminated) and event.fact.reason == "killed"
    ]
    below = ["n/n/n/n", "n/n/n"]
    assert sorted(ended) == sorted([f"{path}/a" for path in ("n/n", *below)] + ["n/n", *below])


# --- 20: significant children -------------------------------------------------------------------


@pytest.mark.parametrize("auto", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
@pytest.mark.parametrize(
    ("restart", "message", "stops"),
    [
        pytest.param(Restart.TRANSIENT, Quit(), True, id="transient-normal"),
        pytest.param(Restart.TRANSIENT, Crash(), False, id="transient-crash"),
        pytest.param(Restart.TEMPORARY, Quit(), True, id="temporary-normal"),
        pytest.param(Restart.TEMPORARY, Crash(), True, id="temporary-crash"),
    ],
)
async def test_which_end_of_a_significant_child_is_the_supervisors(
    virtual_clock: VirtualClock,
    auto: AutoShutdown,
    restart: Restart,
    message: object,
    stops: bool,
) -> None:
    supervisor = Supervisor(
        [child("a"), child("s", restart=restart, significant=True)],
        auto_shutdown=auto,
        recorder=Timeline(),
    )
    await supervisor.start()
    await supervisor.whereis("s").send(message)
    await virtual_clock.settle()

    assert supervisor.is_running is not stops
    assert supervisor.failure is None
    await supervisor.stop()


async def test_a_significant_child_stopped_for_a_siblings_sake_ends_nobody(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"),
        child("s", restart=Restart.TEMPORARY, significant=True),
        strategy=Strategy.ONE_FOR_ALL,
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")
    await supervisor.terminate_child("a")

    assert supervisor.is_running


async def test_a_supervisor_shut_down_by_a_child_is_restarted_if_it_is_permanent(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    def nested(child_id: str, restart: Restart) -> ChildSpec:
        return ChildSpec(
            id=child_id,
            start=lambda: Supervisor(
                [child("s", restart=Restart.TRANSIENT, significant=True)],
                auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
            ),
            kind=ChildKind.SUPERVISOR,
            restart=restart,
        )

    root = await supervise(nested("p", Restart.PERMANENT), nested("t", Restart.TRANSIENT))
    await root.whereis("t/s").send(Quit())
    await recorder.wait_for("ended t#1 (shutdown)")
    await root.whereis("p/s").send(Quit())
    await recorder.wait_for("started p#2")

    assert [info.state for info in root.which_children()] == ["running", "stopped"]
