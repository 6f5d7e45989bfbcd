"""What a plan does to supervisors: crashes at the worst moment, and what becomes of the tree."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import (
    ActorDownError,
    ChildSpecError,
    RestartIntensityError,
    StartError,
)
from mnemosyne_core.supervision import (
    ChildKind,
    ChildSpec,
    ChildState,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.faults import InjectedCrashError
from tests.core.supervision.support import Crash, Echo, child
from tests.simulation.faults.conftest import Supervise

pytestmark = pytest.mark.virtual_time


def now_s() -> float:
    return asyncio.get_running_loop().time()


def words(story: list[str]) -> list[str]:
    """A story without its reasons."""
    return [each.split(" (")[0] for each in story]


# --- storms ----------------------------------------------------------------------------


async def test_in_a_storm_every_life_ends_when_its_time_has_come(supervised: Supervise) -> None:
    system = supervised("crash_storm(0.5, agent='a', count=3)", child("a"), child("b"))
    async with system.supervisor:
        await asyncio.sleep(100)

        assert system.ref("a").incarnation == 4
        assert system.ref("b").incarnation == 1
    assert [strike.at_s for strike in system.failpoints.strikes] == [2, 4, 6]


async def test_a_storm_without_end_brings_the_supervisor_down(supervised: Supervise) -> None:
    system = supervised("crash_storm(1, agent='a', count=None)", child("a"))
    await system.supervisor.start()

    with pytest.raises(RestartIntensityError, match="a crashes in a storm"):
        await system.supervisor.wait()

    assert now_s() == 4


async def test_a_storm_that_the_intensity_tolerates_goes_on(supervised: Supervise) -> None:
    system = supervised("crash_storm(0.04, agent='a', count=None)", child("a"))
    async with system.supervisor:
        await asyncio.sleep(1_001)

        assert system.ref("a").incarnation == 41
        assert await system.ref("a").ask(Echo(1)) == 1


async def test_a_storm_begins_when_it_is_said_to(supervised: Supervise) -> None:
    system = supervised(
        "crash_storm(10, agent='a', after_s=7, before_s=7.25, count=None)", child("a")
    )
    async with system.supervisor:
        await asyncio.sleep(100)

    assert [round(strike.at_s, 3) for strike in system.failpoints.strikes] == [7, 7.1, 7.2]


async def test_a_storm_is_over_with_its_actor(supervised: Supervise) -> None:
    # The loop's own check at the end of a test finds a timer that is left.
    system = supervised("crash_storm(0.001, agent='a', optional=True)", child("a"))
    async with system.supervisor:
        await system.supervisor.terminate_child("a")

    assert system.struck == []


# --- in the middle of something --------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "crashes", "starts"),
    [
        pytest.param(Strategy.ONE_FOR_ALL, "a", {"a": 3, "b": 3, "c": 3}, id="one_for_all"),
        pytest.param(Strategy.REST_FOR_ONE, "a", {"a": 2, "b": 3, "c": 3}, id="rest_for_one"),
        pytest.param(Strategy.ONE_FOR_ONE, "c", {"a": 1, "b": 2, "c": 2}, id="one_for_one"),
    ],
)
async def test_a_crash_in_the_middle_of_a_restart_is_handled_after_it(
    supervised: Supervise, strategy: Strategy, crashes: str, starts: dict[str, int]
) -> None:
    system = supervised(
        f"crash_in_restart(agent={crashes!r})",
        child("a"),
        child("b"),
        child("c"),
        strategy=strategy,
    )
    async with system.supervisor:
        before = {name: system.ref(name) for name in starts}
        await before["b"].send(Crash())
        await system.recorder.wait_for(f"started {crashes}#{starts[crashes]}")
        await asyncio.sleep(1)

        assert {name: system.ref(name).incarnation for name in starts} == starts
    assert len(system.struck) == 1


async def test_a_crash_in_the_middle_of_a_shutdown_disturbs_nobody(supervised: Supervise) -> None:
    system = supervised("crash_in_shutdown(agent='a')", child("a"), child("b"))
    await system.supervisor.start()

    await system.supervisor.stop()

    assert words(system.story)[2:] == ["ended b#1", "ended a#1"]
    assert "a crashes while its supervisor stops" in system.story[-1]
    assert system.supervisor.which_children()[0].state is ChildState.STOPPED


@pytest.mark.parametrize(
    ("how", "error"),
    [
        pytest.param("crash", InjectedCrashError, id="crash"),
        pytest.param("cancel", ActorDownError, id="cancel"),
    ],
)
async def test_a_supervisor_that_dies_in_a_restart_leaves_no_orphan(
    supervised: Supervise, how: str, error: type[BaseException]
) -> None:
    system = supervised(
        f"parent_dies({how!r}, call=2)",
        child("a"),
        child("b"),
        child("c"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    await system.supervisor.start()
    await system.ref("b").send(Crash())

    with pytest.raises(error):
        await system.supervisor.wait()

    # The loop's own check finds the task of a child that still lives.
    assert words(system.story)[-2:] == ["started a#2", "ended a#2"]


async def test_the_parent_of_a_supervisor_that_dies_starts_it_anew(supervised: Supervise) -> None:
    def inner() -> Supervisor:
        return Supervisor([child("x"), child("y")], intensity=RestartIntensity(max_restarts=5))

    system = supervised(
        "parent_dies(agent='inner')",
        ChildSpec(id="inner", start=inner, kind=ChildKind.SUPERVISOR),
    )
    async with system.supervisor:
        old = system.ref("inner/x")
        await old.send(Crash())

        new = await system.supervisor.wait_restarted("inner/y", system.ref("inner/y"))

        assert await new.ask(Echo(1)) == 1
        assert "started inner#2" in system.story
    assert system.struck == [
        "step of a restart 1 of inner (attempt 1), 0 s: parent_dies(agent='inner')"
    ]


async def test_who_loses_a_race_for_a_name_is_told(supervised: Supervise) -> None:
    system = supervised("name_race(agent='a')")
    async with system.supervisor:
        with pytest.raises(ChildSpecError, match="has a child 'a', which is running"):
            await system.supervisor.start_child(child("a"))

        assert [info.id for info in system.supervisor.which_children()] == ["a"]
        await system.supervisor.start_child(child("b"))
        assert system.ref("a").incarnation == system.ref("b").incarnation == 1


async def test_a_race_that_nobody_can_win_is_told_once(supervised: Supervise) -> None:
    system = supervised("name_race(count=None); crash(at='start', count=2)")
    async with system.supervisor:
        with pytest.raises(StartError, match="a crashes at a start"):
            await system.supervisor.start_child(child("a"))

        assert system.supervisor.which_children() == ()
