"""OTP semantics: how many restarts are too many, and what follows from that."""

from __future__ import annotations

import pytest

from mnemosyne_core.errors import RestartIntensityError
from mnemosyne_core.events import RestartIntensityReached
from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildKind,
    ChildSpec,
    ChildState,
    DynamicSupervisor,
    Restart,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import Crash, Echo, MemoryRecorder, Quit, child
from tests.core.supervision.timeline import Mortal, Timeline

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


async def crash(supervisor: Supervisor, path: str, clock: VirtualClock) -> None:
    await supervisor.whereis(path).send(Crash())
    await clock.settle()


def intensity(max_restarts: int, period_s: float = 60.0) -> RestartIntensity:
    return RestartIntensity(max_restarts=max_restarts, period_s=period_s)


# --- 10: per supervisor, once per incident ----------------------------------------------------


async def test_the_restarts_of_all_children_are_counted_together(
    virtual_clock: VirtualClock,
) -> None:
    supervisor = Supervisor(
        [child("a"), child("b"), child("c")], intensity=intensity(2), recorder=Timeline()
    )
    await supervisor.start()
    await crash(supervisor, "a", virtual_clock)
    await crash(supervisor, "b", virtual_clock)
    assert supervisor.is_running
    await crash(supervisor, "c", virtual_clock)

    with pytest.raises(RestartIntensityError, match="c: Boom"):
        await supervisor.wait()


async def test_a_group_that_is_restarted_is_one_restart(virtual_clock: VirtualClock) -> None:
    specs = [child("a"), child("b"), child("c")]
    async with Supervisor(
        specs, strategy=Strategy.ONE_FOR_ALL, intensity=intensity(2), recorder=Timeline()
    ) as supervisor:
        await crash(supervisor, "b", virtual_clock)
        await crash(supervisor, "b", virtual_clock)

        assert [info.restarts for info in supervisor.which_children()] == [2, 2, 2]


# --- 11, 12, 14: the window -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pause_s", "goes_on"),
    [
        pytest.param(29.9, False, id="well-within-the-period"),
        pytest.param(30.0, False, id="exactly-one-period-old"),
        pytest.param(30.1, True, id="first-has-aged-out"),
    ],
)
async def test_the_window_is_one_of_time_and_its_bound_counts(
    virtual_clock: VirtualClock, pause_s: float, goes_on: bool
) -> None:
    supervisor = Supervisor([child("a")], intensity=intensity(2), recorder=Timeline())
    await supervisor.start()
    for _ in range(2):
        await crash(supervisor, "a", virtual_clock)
        # However many messages there are in between, they do not move the window.
        for number in range(100):
            await supervisor.whereis("a").ask(Echo(number))
        await virtual_clock.advance(pause_s)
    await crash(supervisor, "a", virtual_clock)

    assert supervisor.is_running is goes_on
    await supervisor.stop()


async def test_by_default_three_restarts_a_minute_are_tolerated(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    supervisor = Supervisor([child("a")], recorder=recorder)
    await supervisor.start()
    for _ in range(3):
        await virtual_clock.advance(20)
        await crash(supervisor, "a", virtual_clock)
    assert supervisor.is_running
    await virtual_clock.advance(20)
    await crash(supervisor, "a", virtual_clock)

    with pytest.raises(RestartIntensityError, match="more than 3 restarts in 60 s"):
        await supervisor.wait()
    (reached,) = recorder.facts(RestartIntensityReached)
    assert (reached.child, reached.incarnation, reached.reason) == ("a", 4, "Boom: boom")


async def test_with_an_intensity_of_zero_a_group_goes_at_the_first_crash(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a"), child("b"), strategy=Strategy.ONE_FOR_ALL, max_restarts=0
    )
    await supervisor.whereis("b").send(Crash())
    with pytest.raises(RestartIntensityError):
        await supervisor.wait()

    assert recorder.story[2:] == [
        "ended b#1 (Boom: boom)",
        "restart_intensity_reached tree",
        "ended a#1 (shutdown)",
    ]


async def test_an_end_that_restarts_nobody_does_not_count(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("t", restart=Restart.TRANSIENT),
        child("z", restart=Restart.TEMPORARY),
        max_restarts=0,
    )
    await supervisor.whereis("t").send(Quit())
    await supervisor.whereis("z").send(Crash())
    await recorder.wait_for("ended z#1 (Boom: boom)")
    await recorder.wait_for("ended t#1 (normal)")

    assert supervisor.is_running


# --- 13: upwards ------------------------------------------------------------------------------


def nested(*children: ChildSpec, restart: Restart, max_restarts: int = 0) -> ChildSpec:
    return ChildSpec(
        id="n",
        start=lambda: Supervisor(children, intensity=intensity(max_restarts)),
        kind=ChildKind.SUPERVISOR,
        restart=restart,
    )


async def test_a_permanent_supervisor_that_gave_up_counts_as_one_restart_above(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    spec = nested(child("a"), child("b"), restart=Restart.PERMANENT, max_restarts=1)
    supervisor = Supervisor([spec], intensity=intensity(1), recorder=recorder)
    await supervisor.start()
    for _ in range(3):
        await crash(supervisor, "n/a", virtual_clock)
    assert supervisor.is_running
    await crash(supervisor, "n/b", virtual_clock)

    with pytest.raises(RestartIntensityError, match="supervisor tree gave up"):
        await supervisor.wait()
    gave_up = [fact.supervisor for fact in recorder.facts(RestartIntensityReached)]
    assert gave_up == ["n", "n", "tree"]


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
async def test_a_supervisor_that_gave_up_has_not_crashed(
    virtual_clock: VirtualClock, restart: Restart
) -> None:
    async with Supervisor(
        [nested(child("a"), restart=restart), child("b")],
        intensity=intensity(0),
        recorder=Timeline(),
    ) as supervisor:
        await crash(supervisor, "n/a", virtual_clock)

        states = {info.id: info.state for info in supervisor.which_children()}
        if restart is Restart.TRANSIENT:
            assert states.pop("n") is ChildState.STOPPED
        assert states == {"b": ChildState.RUNNING}


# --- 15: by hand ------------------------------------------------------------------------------


async def test_what_is_done_by_hand_never_counts(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(
        child("a"),
        child("s", restart=Restart.TRANSIENT, significant=True),
        max_restarts=0,
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    for child_id in ("a", "s"):
        for _ in range(5):
            await supervisor.terminate_child(child_id)
            await supervisor.restart_child(child_id)
            await supervisor.replace_child(child_id)

    assert supervisor.is_running
    assert [info.restarts for info in supervisor.which_children()] == [0, 0]


# --- 27: one that loops does not take down those it has nothing to do with ----------------------


async def test_a_dynamic_child_that_loops_leaves_its_owners_siblings_alone(
    virtual_clock: VirtualClock,
) -> None:
    pool = ChildSpec(
        id="pool",
        start=lambda: DynamicSupervisor(intensity=intensity(3)),
        kind=ChildKind.SUPERVISOR,
    )
    recorder = Timeline()
    async with Supervisor([child("a"), pool, child("b")], recorder=recorder) as supervisor:
        await supervisor.nested("pool").start_child(child("loop", lambda: Mortal(after_s=1)))
        await virtual_clock.advance(60)

        ended = [told for _, told in recorder.told if told.startswith("ended")]
        assert len([told for told in ended if told.startswith("ended pool/loop")]) == 4
        assert not [told for told in ended if told.startswith(("ended a", "ended b"))]
        # The pool came back, and without the child that was its end.
        assert supervisor.nested("pool").which_children() == ()
