"""Dynamic supervisors: children that come and go, up to a bound."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import (
    ActorStateError,
    ChildExistsError,
    ChildSpecError,
    RestartIntensityError,
    StartError,
    TooManyChildrenError,
    UnknownChildError,
)
from mnemosyne_core.supervision import (
    Actor,
    Backoff,
    ChildKind,
    ChildSpec,
    Context,
    DynamicSupervisor,
    Ignore,
    Restart,
    RestartIntensity,
    Shutdown,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.support import Boom, Crash, Echo, Puppet, Quit, child
from tests.core.supervision.timeline import Stubborn, Timeline, takes


@pytest.fixture
def recorder() -> Timeline:
    return Timeline()


def ids(supervisor: Supervisor) -> list[str]:
    return [info.id for info in supervisor.which_children()]


class NeverStarts(Puppet):
    async def started(self, context: Context) -> None:
        raise Boom("not today")


class NothingToDo(Puppet):
    async def started(self, context: Context) -> None:
        raise Ignore("turned off")


# --- children come ----------------------------------------------------------------------------


async def test_it_begins_without_children_and_is_given_them(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        assert ids(supervisor) == []
        await supervisor.start_child(child("a"))
        await supervisor.start_child(child("b"))

        assert ids(supervisor) == ["a", "b"]
        assert await supervisor.whereis("b").ask(Echo("here")) == "here"
        with pytest.raises(ChildExistsError):
            await supervisor.start_child(child("a"))


async def test_children_of_one_kind_are_numbered(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    class Greeter(Puppet):
        def __init__(self, greeting: str) -> None:
            super().__init__()
            self.greeting = greeting

        async def receive(self, message: object, context: Context) -> object:
            return f"{self.greeting} from {context.path}"

    def greeter(greeting: str) -> ChildSpec:
        return child("greeter", lambda: Greeter(greeting), restart=Restart.TEMPORARY)

    async with DynamicSupervisor(recorder=recorder) as supervisor:
        first = await supervisor.start_numbered(greeter("hello"))
        second = await supervisor.start_numbered(greeter("good day"), by=12)
        await supervisor.terminate_child(first.id)
        third = await supervisor.start_numbered(greeter("hello"))

        assert [info.id for info in (first, second, third)] == [f"greeter-{n}" for n in (1, 2, 3)]
        assert await supervisor.whereis("greeter-2").ask(None) == "good day from greeter-2"
        assert recorder.events[1].by == 12


async def test_more_children_than_allowed_are_refused(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with DynamicSupervisor(max_children=2, recorder=recorder) as supervisor:
        await supervisor.start_child(child("a"))
        await supervisor.start_child(child("b"))
        with pytest.raises(TooManyChildrenError, match="has 2 children and may have 2") as refused:
            await supervisor.start_child(child("c"))

        error = refused.value
        assert (error.supervisor, error.max_children, error.count) == ("tree", 2, 2)
        await supervisor.terminate_child("a")
        await supervisor.start_child(child("c"))
        assert ids(supervisor) == ["b", "c"]


async def test_a_child_that_waits_for_its_restart_keeps_its_place(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with DynamicSupervisor(max_children=1, recorder=recorder) as supervisor:
        slow = Backoff(min_s=60, max_s=60, jitter=0)
        await supervisor.start_child(ChildSpec(id="a", start=Puppet, backoff=slow))
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.settle()
        with pytest.raises(TooManyChildrenError):
            await supervisor.start_child(child("b"))


async def test_a_bound_of_nobody_is_one_and_less_is_refused(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with DynamicSupervisor(max_children=0, recorder=recorder) as supervisor:
        with pytest.raises(TooManyChildrenError):
            await supervisor.start_child(child("a"))
    with pytest.raises(ChildSpecError, match="max_children"):
        DynamicSupervisor(max_children=-1)


# --- and go -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "message", "stays"),
    [
        pytest.param(Restart.PERMANENT, Quit(), True, id="permanent-normal"),
        pytest.param(Restart.TRANSIENT, Crash(), True, id="transient-crash"),
        pytest.param(Restart.TRANSIENT, Quit(), False, id="transient-normal"),
        pytest.param(Restart.TEMPORARY, Crash(), False, id="temporary-crash"),
        pytest.param(Restart.TEMPORARY, Quit(), False, id="temporary-normal"),
    ],
)
async def test_a_child_that_ended_for_good_is_forgotten(
    virtual_clock: VirtualClock,
    recorder: Timeline,
    restart: Restart,
    message: object,
    stays: bool,
) -> None:
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        await supervisor.start_child(child("a", restart=restart))
        await supervisor.whereis("a").send(message)
        await virtual_clock.settle()

        assert ids(supervisor) == (["a"] if stays else [])
        if not stays:
            assert (await supervisor.start_child(child("a"))).incarnation == 1


@pytest.mark.parametrize("start", [NeverStarts, NothingToDo])
async def test_a_child_that_never_ran_is_not_kept(
    virtual_clock: VirtualClock, recorder: Timeline, start: Callable[[], Actor]
) -> None:
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        if start is NeverStarts:
            with pytest.raises(StartError, match="not today"):
                await supervisor.start_child(child("a", start))
        else:
            assert (await supervisor.start_child(child("a", start))).last_exit == (
                "ignored (turned off)"
            )

        assert ids(supervisor) == []


async def test_a_restart_with_nothing_to_run_ends_a_child_for_good(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    starts: list[type[Puppet]] = [Puppet, NothingToDo]
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        await supervisor.start_child(child("a", lambda: starts.pop(0)()))
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.settle()

        assert ids(supervisor) == []


async def test_a_terminated_child_is_forgotten_and_a_replaced_one_is_not(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        await supervisor.start_child(child("a"))
        await supervisor.start_child(child("b"))
        assert (await supervisor.replace_child("a")).incarnation == 2
        await supervisor.terminate_child("b")
        with pytest.raises(UnknownChildError):
            await supervisor.restart_child("b")
        with pytest.raises(ActorStateError, match="running"):
            await supervisor.delete_child("a")

        assert ids(supervisor) == ["a"]


async def test_a_replaced_child_that_does_not_start_is_forgotten(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    starts: list[type[Puppet]] = [Puppet, NeverStarts]
    async with DynamicSupervisor(recorder=recorder) as supervisor:
        await supervisor.start_child(child("a", lambda: starts.pop(0)()))
        with pytest.raises(StartError):
            await supervisor.replace_child("a")

        assert ids(supervisor) == []


async def test_a_crash_restarts_the_one_child_and_counts_for_all(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    supervisor = DynamicSupervisor(intensity=RestartIntensity(max_restarts=1), recorder=recorder)
    await supervisor.start()
    for child_id in ("a", "b"):
        await supervisor.start_child(child(child_id))
    await supervisor.whereis("a").send(Crash())
    await virtual_clock.settle()
    assert [info.restarts for info in supervisor.which_children()] == [1, 0]
    await supervisor.whereis("b").send(Crash())

    with pytest.raises(RestartIntensityError, match="b: Boom"):
        await supervisor.wait()


# --- the end ----------------------------------------------------------------------------------


async def test_all_children_are_stopped_together(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    supervisor = DynamicSupervisor(recorder=recorder)
    await supervisor.start()
    for number in range(5):
        await supervisor.start_child(child(f"slow-{number}", takes(stop_s=3)))
    hangs = takes(stop_s=1000)
    await supervisor.start_child(child("hangs", hangs, shutdown=4))
    await supervisor.start_child(child("brutal", hangs, shutdown=Shutdown.BRUTAL_KILL))
    await supervisor.stop()

    # Four seconds, then `hangs` is cancelled and has ended.
    assert virtual_clock.monotonic() == 4
    ended = [told for _, told in recorder.told if told.startswith("ended slow")]
    assert ended == [f"ended slow-{number}#1 (shutdown)" for number in reversed(range(5))]
    assert "ended hangs#1 (killed)" in recorder.story


async def test_those_that_will_not_end_cost_one_grace_period(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    made: list[Stubborn] = []

    def make() -> Stubborn:
        made.append(Stubborn())
        return made[-1]

    supervisor = DynamicSupervisor(recorder=recorder, kill_grace_s=1)
    await supervisor.start()
    for _ in range(10):
        await supervisor.start_numbered(child("s", make, shutdown=2))
    await supervisor.stop()

    assert virtual_clock.monotonic() == 3
    assert len([told for told in recorder.story if told.startswith("leaked")]) == 10
    for actor in made:
        actor.let_go.set()
    await virtual_clock.settle()


async def test_below_a_supervisor_it_is_a_supervisor_like_any_other(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    spec = ChildSpec(
        id="pool",
        start=lambda: DynamicSupervisor(max_children=3, intensity=RestartIntensity(max_restarts=0)),
        kind=ChildKind.SUPERVISOR,
    )
    async with Supervisor([child("a"), spec], recorder=recorder) as root:
        pool = root.nested("pool")
        await pool.start_child(child("w"))
        assert root.whereis("pool/w").path == "pool/w"
        await root.whereis("pool/w").send(Crash())
        await virtual_clock.settle()

        assert recorder.story[-1] == "started pool#2"
        assert ids(root.nested("pool")) == []
        await root.nested("pool").start_child(child("w"))
    assert recorder.story[-3:] == [
        "ended pool/w#1 (shutdown)",
        "ended pool#2 (shutdown)",
        "ended a#1 (shutdown)",
    ]


async def test_its_end_in_the_middle_of_a_start_leaves_nobody_behind(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    supervisor = DynamicSupervisor(recorder=recorder)
    await supervisor.start()
    await supervisor.start_child(child("a"))
    starting = asyncio.create_task(supervisor.start_child(child("b", takes(start_s=60))))
    await virtual_clock.advance(1)
    await supervisor.stop()

    with pytest.raises(StartError, match="shutdown"):
        await starting
    assert recorder.told[-1] == (1, "ended a#1 (shutdown)")


def test_the_error_survives_pickling() -> None:
    error = TooManyChildrenError(supervisor="pool", max_children=2, count=2)
    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), vars(copy)) == (str(error), vars(error))
