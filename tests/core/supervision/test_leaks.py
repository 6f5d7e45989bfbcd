"""Leaks: children that will not end, and what becomes of their names."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import NameInUseError
from mnemosyne_core.events import ChildLeaked, ChildStarted, LeakEnded
from mnemosyne_core.supervision import (
    ChildKind,
    ChildSpec,
    ChildState,
    Context,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.support import Crash, Puppet, child
from tests.core.supervision.timeline import Stubborn, Timeline


class Pool:
    """Makes stubborn actors and can let all of them go."""

    def __init__(self, kind: Callable[[], Stubborn] = Stubborn) -> None:
        self.made: list[Stubborn] = []
        self._kind = kind

    def __call__(self) -> Stubborn:
        self.made.append(self._kind())
        return self.made[-1]

    def let_go(self) -> None:
        for actor in self.made:
            actor.let_go.set()


def replaced_at_once(child_id: str, pool: Pool) -> ChildSpec:
    """A supervisor that gives up when its `a` crashes, and leaves its `b` behind."""
    return ChildSpec(
        id=child_id,
        start=lambda: Supervisor(
            [child("a"), child("b", pool, shutdown=2)],
            intensity=RestartIntensity(max_restarts=0),
        ),
        kind=ChildKind.SUPERVISOR,
    )


@pytest.fixture
def recorder() -> Timeline:
    return Timeline()


async def test_an_automatic_restart_goes_on_beside_a_leak_and_says_so(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor(
        [child("a", shutdown=2), child("b", pool, shutdown=2)],
        strategy=Strategy.ONE_FOR_ALL,
        recorder=recorder,
    ) as supervisor:
        for _ in range(2):
            await supervisor.whereis("a").send(Crash())
            await virtual_clock.advance(10)

        assert [fact.leaked for fact in recorder.facts(ChildStarted)] == [0, 0, 0, 1, 0, 2]
        assert [(f.incarnation, f.supervisor) for f in recorder.facts(ChildLeaked)] == [
            (1, "tree"),
            (2, "tree"),
        ]
        assert [info.leaked for info in supervisor.which_children()] == [0, 2]
        pool.let_go()
        await virtual_clock.settle()
        assert [info.leaked for info in supervisor.which_children()] == [0, 0]


async def test_a_leak_that_ends_at_last_is_told(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([child("a", pool, shutdown=2)], recorder=recorder) as supervisor:
        await supervisor.terminate_child("a")
        await virtual_clock.advance(60)
        assert recorder.facts(LeakEnded) == []
        pool.let_go()
        await virtual_clock.settle()

        assert recorder.told[1:] == [
            (3, "ended a#1 (killed)"),
            (3, "leaked a"),
            (63, "leak ended a#1"),
        ]
        assert recorder.events[-1].by == recorder.events[-2].seq


async def test_a_leak_that_outlives_its_root_tells_nobody(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([child("a", pool, shutdown=2)], recorder=recorder):
        pass
    pool.let_go()
    await virtual_clock.settle()

    assert recorder.story[-1] == "leaked a"


async def test_by_hand_a_name_is_not_given_to_somebody_else_while_a_leak_has_it(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([child("a", pool, shutdown=2)], recorder=recorder) as supervisor:
        await supervisor.terminate_child("a")
        with pytest.raises(NameInUseError, match="1 incarnation that was left behind") as refused:
            await supervisor.restart_child("a")
        await supervisor.delete_child("a")
        with pytest.raises(NameInUseError):
            await supervisor.start_child(child("a"))

        assert (refused.value.path, refused.value.leaked) == ("a", 1)
        assert supervisor.which_children() == ()
        pool.let_go()
        await virtual_clock.settle()
        assert (await supervisor.start_child(child("a"))).state is ChildState.RUNNING


async def test_replacing_a_child_that_will_not_end_goes_on_and_says_so(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([child("a", pool, shutdown=2)], recorder=recorder) as supervisor:
        info = await supervisor.replace_child("a")

        assert (info.state, info.incarnation, info.leaked) == (ChildState.RUNNING, 2, 1)
        pool.let_go()


async def test_an_actor_is_there_as_long_as_a_task_of_it(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    class Spawns(Puppet):
        async def started(self, context: Context) -> None:
            context.spawn(stubborn(), name="stubborn")

    async with Supervisor([child("a", Spawns, shutdown=2)], recorder=recorder) as supervisor:
        await virtual_clock.settle()
        await supervisor.terminate_child("a")
        await virtual_clock.advance(60)
        with pytest.raises(NameInUseError):
            await supervisor.restart_child("a")
        gate.set()
        await virtual_clock.settle()

        assert recorder.told[-1] == (63, "leak ended a#1")


async def test_a_name_stays_taken_though_the_supervisor_above_it_was_replaced(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([replaced_at_once("n", pool)], recorder=recorder) as supervisor:
        await supervisor.whereis("n/a").send(Crash())
        await virtual_clock.advance(10)

        leaked = {info.path: info.leaked for info in supervisor.nested("n").which_children()}
        assert leaked == {"n/a": 0, "n/b": 1}
        pool.let_go()
        await virtual_clock.settle()
        assert recorder.story[-1] == "leak ended n/b#1"


async def test_a_leak_shares_its_number_with_nobody_though_the_supervisor_was_replaced(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    pool = Pool()
    async with Supervisor([replaced_at_once("n", pool)], recorder=recorder) as supervisor:
        for _ in range(2):
            await supervisor.whereis("n/a").send(Crash())
            await virtual_clock.advance(10)

        names = sorted(task.get_name() for task in asyncio.all_tasks())
        assert [name for name in names if "/" in name] == ["n/a#1", "n/b#1", "n/b#2", "n/b#3"]
        pool.let_go()


def test_the_error_survives_pickling() -> None:
    error = NameInUseError(path="a", leaked=2)
    copy = pickle.loads(pickle.dumps(error))

    assert "2 incarnations that were left behind" in str(copy)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
