"""OTP semantics: how children start, and what a start may say other than yes."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import (
    Abort,
    ChildExistsError,
    ChildSpecError,
    StartError,
    StartTimeoutError,
)
from mnemosyne_core.events import ChildIgnored, Occasion
from mnemosyne_core.supervision import (
    Actor,
    Backoff,
    ChildKind,
    ChildSpec,
    ChildState,
    Context,
    Ignore,
    Restart,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import Boom, Crash, MemoryRecorder, Puppet, Quit, child
from tests.core.supervision.timeline import Timeline, takes


class NothingToDo(Puppet):
    async def started(self, context: Context) -> None:
        raise Ignore("turned off")


def refuses() -> Actor:
    raise Ignore("turned off")


def outcomes(*wanted: type[Puppet]) -> Callable[[], Puppet]:
    """Makes one actor of each class in turn, of the last one for ever."""
    left = list(wanted)
    return lambda: (left.pop(0) if len(left) > 1 else left[0])()


# --- 1: one after the other, each start awaited, within a time ------------------------------


async def test_the_next_child_starts_when_the_one_before_has_started(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    async with Supervisor(
        [child("a", takes(start_s=3)), child("b", takes(start_s=4)), child("c")],
        recorder=recorder,
    ):
        assert recorder.told == [(3, "started a#1"), (7, "started b#1"), (7, "started c#1")]


async def test_a_start_that_takes_too_long_is_interrupted_and_has_failed(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    slow = ChildSpec(id="b", start=takes(start_s=60), start_timeout_s=2.5)
    with pytest.raises(StartError, match=r"b had not started after 2\.5 s") as failed:
        await Supervisor([child("a"), slow], recorder=recorder).start()

    cause = failed.value.__cause__
    assert isinstance(cause, StartTimeoutError)
    assert (cause.path, cause.timeout_s) == ("b", 2.5)
    assert [at_s for at_s, _ in recorder.told] == [0, 2.5, 2.5]


async def test_a_start_in_time_is_not_interrupted_later(virtual_clock: VirtualClock) -> None:
    spec = ChildSpec(id="a", start=takes(start_s=2), start_timeout_s=2.5)
    async with Supervisor([spec], recorder=Timeline()) as supervisor:
        await virtual_clock.advance(60)

        assert supervisor.which_children()[0].state is ChildState.RUNNING


async def test_a_start_that_overran_and_finishes_all_the_same_has_failed(
    virtual_clock: VirtualClock,
) -> None:
    class Deaf(Puppet):
        async def started(self, context: Context) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return

    spec = ChildSpec(id="a", start=Deaf, start_timeout_s=1)
    with pytest.raises(StartError, match="had not started after 1 s"):
        await Supervisor([spec], recorder=Timeline()).start()


async def test_a_supervisor_that_takes_too_long_to_start_takes_its_children_with_it(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    nested = ChildSpec(
        id="n",
        start=lambda: Supervisor([child("a"), child("b", takes(start_s=60))]),
        kind=ChildKind.SUPERVISOR,
        start_timeout_s=5,
    )
    with pytest.raises(StartError, match="n had not started after 5 s"):
        await Supervisor([nested], recorder=recorder).start()

    assert recorder.story[-2] == "ended n/a#1 (shutdown)"
    assert {at_s for at_s, _ in recorder.told[1:]} == {5}


async def test_an_abort_in_a_start_that_overran_is_no_timeout(virtual_clock: VirtualClock) -> None:
    class AbortsWhenInterrupted(Puppet):
        async def started(self, context: Context) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise Abort("no run") from None

    spec = ChildSpec(id="a", start=AbortsWhenInterrupted, start_timeout_s=1)
    with pytest.raises(Abort):
        await Supervisor([spec], recorder=Timeline()).start()


async def test_a_restart_that_takes_too_long_is_tried_again(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    start = outcomes(Puppet, takes(start_s=60), Puppet)  # type: ignore[arg-type]
    async with Supervisor(
        [ChildSpec(id="a", start=start, start_timeout_s=2)], recorder=recorder
    ) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(2)

        assert recorder.told[-1] == (2, "started a#3")


# --- 2: a start that fails is undone, and not tried again by itself -------------------------


async def test_a_first_start_that_fails_is_no_restart(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class NeverStarts(Puppet):
        async def started(self, context: Context) -> None:
            raise Boom("not today")

    patient = ChildSpec(
        id="c", start=NeverStarts, backoff=Backoff(min_s=1, max_s=1), restart=Restart.PERMANENT
    )
    with pytest.raises(StartError):
        await supervise(child("a"), child("b"), patient)

    assert recorder.story == [
        "started a#1",
        "started b#1",
        "failed to start c (Boom: not today)",
        "ended b#1 (shutdown)",
        "ended a#1 (shutdown)",
    ]


# --- 3: a start that has nothing to run -----------------------------------------------------


@pytest.mark.parametrize("start", [NothingToDo, refuses], ids=["started", "start"])
async def test_a_start_may_say_that_there_is_nothing_to_run(
    supervise: MakeSupervisor, recorder: MemoryRecorder, start: Callable[[], Actor]
) -> None:
    supervisor = await supervise(child("a", start), child("b"))

    assert recorder.story == ["ignored a (turned off)", "started b#1"]
    first, _ = supervisor.which_children()
    assert (first.state, first.last_exit) == (ChildState.STOPPED, "ignored (turned off)")
    assert recorder.events[0].fact == ChildIgnored(
        child="a", incarnation=1, reason="turned off", supervisor="tree", occasion=Occasion.START
    )


@pytest.mark.parametrize("start", [NothingToDo, refuses], ids=["started", "start"])
async def test_a_temporary_child_with_nothing_to_run_is_dropped(
    supervise: MakeSupervisor, start: Callable[[], Actor]
) -> None:
    supervisor = await supervise(child("a", start, restart=Restart.TEMPORARY), child("b"))

    assert [info.id for info in supervisor.which_children()] == ["b"]


async def test_by_hand_a_start_with_nothing_to_run_is_shown(supervise: MakeSupervisor) -> None:
    supervisor = await supervise()
    added = await supervisor.start_child(child("a", outcomes(NothingToDo, NothingToDo, Puppet)))
    again = await supervisor.restart_child("a")
    at_last = await supervisor.restart_child("a")

    assert [info.state for info in (added, again, at_last)] == ["stopped", "stopped", "running"]
    dropped = await supervisor.start_child(child("t", refuses, restart=Restart.TEMPORARY))
    assert dropped.state is ChildState.STOPPED
    assert [info.id for info in supervisor.which_children()] == ["a"]


async def test_in_a_restart_nothing_to_run_ends_the_matter(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a", outcomes(Puppet, NothingToDo)), child("b"), strategy=Strategy.ONE_FOR_ALL
    )
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started b#2")

    assert recorder.story[-2:] == ["ignored a (turned off)", "started b#2"]
    first, second = supervisor.which_children()
    assert (first.state, first.restarts, second.restarts) == (ChildState.STOPPED, 0, 1)


async def test_once_started_an_actor_cannot_ignore_anything(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").send(Crash(Ignore("too late")))
    await recorder.wait_for("started a#2")

    assert recorder.story[1] == "ended a#1 (Ignore: too late)"


# --- 4: an id is used once ------------------------------------------------------------------


async def test_an_id_that_runs_is_already_started(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))
    with pytest.raises(ChildExistsError, match="give the new one an id of its own") as refused:
        await supervisor.start_child(child("a"))

    error = refused.value
    assert (error.supervisor, error.child, error.state) == ("tree", "a", "running")
    assert error.already_started


async def test_an_id_that_is_stopped_is_already_present(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a", restart=Restart.TRANSIENT))
    await supervisor.whereis("a").send(Quit())
    await recorder.wait_for("ended a#1 (normal)")
    with pytest.raises(ChildExistsError, match="use restart_child, or delete_child") as refused:
        await supervisor.start_child(child("a"))

    assert not refused.value.already_started


@pytest.mark.parametrize(
    "error",
    [
        ChildExistsError(supervisor="tree", child="a", state="restarting"),
        StartTimeoutError(path="a", timeout_s=2.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_time_for_a_start_is_refused(timeout_s: float) -> None:
    with pytest.raises(ChildSpecError, match="start_timeout_s of child 'a'"):
        ChildSpec(id="a", start=Puppet, start_timeout_s=timeout_s)
