"""Back-off: how long a child that keeps failing is left alone, and who may cut that short."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import ActorDownError, ChildSpecError, RestartIntensityError, StartError
from mnemosyne_core.events import RestartDelayed
from mnemosyne_core.supervision import (
    Actor,
    Backoff,
    ChildKind,
    ChildSpec,
    ChildState,
    Context,
    Restart,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.support import Boom, Crash, Puppet, child
from tests.core.supervision.timeline import Mortal, Timeline

STEADY = Backoff(min_s=10, max_s=40, jitter=0)


def patient(
    child_id: str, start: Callable[[], Actor] = Puppet, *, backoff: Backoff = STEADY
) -> ChildSpec:
    return ChildSpec(id=child_id, start=start, backoff=backoff)


def tolerant(
    *specs: ChildSpec,
    recorder: Timeline,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    max_restarts: int = 1000,
    random: Random | None = None,
) -> Supervisor:
    return Supervisor(
        specs,
        strategy=strategy,
        intensity=RestartIntensity(max_restarts=max_restarts, period_s=3600),
        recorder=recorder,
        random=random,
    )


def states(supervisor: Supervisor) -> dict[str, str]:
    return {info.id: info.state for info in supervisor.which_children()}


# --- the value --------------------------------------------------------------------------------


def test_each_delay_is_longer_up_to_a_bound() -> None:
    backoff = Backoff(min_s=0.5, max_s=5, factor=3, jitter=0)

    assert [backoff.delay_s(n, Random(1)) for n in (1, 2, 3, 4)] == [0.5, 1.5, 4.5, 5]
    assert backoff.delay_s(100_000, Random(1)) == 5


@given(
    in_a_row=st.integers(1, 50),
    jitter=st.floats(0, 1),
    factor=st.floats(1, 10),
    seed=st.integers(),
)
def test_jitter_only_shortens_a_delay_and_by_no_more_than_its_part(
    in_a_row: int, jitter: float, factor: float, seed: int
) -> None:
    backoff = Backoff(min_s=1, max_s=60, factor=factor, jitter=jitter)
    full_s = Backoff(min_s=1, max_s=60, factor=factor, jitter=0).delay_s(in_a_row, Random(seed))

    delay_s = backoff.delay_s(in_a_row, Random(seed))

    assert full_s * (1 - jitter) <= delay_s <= full_s
    assert delay_s == backoff.delay_s(in_a_row, Random(seed))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"min_s": 0.0}, "min_s"),
        ({"min_s": 9.0}, "max_s"),
        ({"min_s": math.nan}, "min_s"),
        ({"max_s": math.inf}, "max_s"),
        ({"factor": 0.5}, "factor"),
        ({"factor": math.inf}, "factor"),
        ({"jitter": 1.1}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"reset_after_s": 0.0}, "reset_after_s"),
        ({"reset_after_s": math.inf}, "reset_after_s"),
    ],
)
def test_an_impossible_backoff_is_refused(fields: dict[str, float], problem: str) -> None:
    with pytest.raises(ChildSpecError, match=problem):
        Backoff(**{"min_s": 1.0, "max_s": 8.0, **fields})


def test_a_child_that_is_never_restarted_needs_no_backoff() -> None:
    with pytest.raises(ChildSpecError, match="temporary and has a back-off"):
        ChildSpec(id="a", start=Puppet, restart=Restart.TEMPORARY, backoff=STEADY)


# --- when it comes back -----------------------------------------------------------------------


async def test_without_a_backoff_a_child_comes_back_at_once(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    async with tolerant(child("a", lambda: Mortal(after_s=1)), recorder=recorder):
        await virtual_clock.advance(3.5)

    assert recorder.when("started a#2") == [1]
    assert recorder.when("started a#4") == [3]


async def test_a_child_that_crashes_soon_after_each_start_is_left_alone_for_longer_and_longer(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    async with tolerant(patient("a", lambda: Mortal(after_s=1)), recorder=recorder):
        await virtual_clock.advance(140)

    # One second of life each, then 10, 20, 40, 40 seconds without it.
    assert [at_s for at_s, told in recorder.told if told.startswith("started")] == [
        0,
        11,
        32,
        73,
        114,
    ]
    delays = recorder.facts(RestartDelayed)
    assert [(fact.delay_s, fact.in_a_row, fact.incarnation) for fact in delays[:3]] == [
        (10, 1, 1),
        (20, 2, 2),
        (40, 3, 3),
    ]


async def test_only_a_stable_period_ends_a_row(virtual_clock: VirtualClock) -> None:
    lives_s = [1.0, 1.0, 25.0, 1.0, 24.0, 1.0]
    recorder = Timeline()
    stable = Backoff(min_s=10, max_s=40, jitter=0, reset_after_s=25)
    spec = patient("a", lambda: Mortal(lives_s.pop(0) if lives_s else 1e9), backoff=stable)
    async with tolerant(spec, recorder=recorder):
        await virtual_clock.advance(1000)

    rows = [fact.in_a_row for fact in recorder.facts(RestartDelayed)]
    assert rows == [1, 2, 1, 2, 3, 4]


async def test_a_stable_period_that_ended_for_a_siblings_sake_counts(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    async with tolerant(
        patient("a"), child("b"), recorder=recorder, strategy=Strategy.ONE_FOR_ALL
    ) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(10 + 60)
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.advance(1)
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.settle()

    assert [fact.in_a_row for fact in recorder.facts(RestartDelayed)] == [1, 1]


async def test_a_start_that_fails_goes_on_with_the_row(virtual_clock: VirtualClock) -> None:
    tries = 0

    class Moody(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if 1 < tries < 4:
                raise Boom(f"try {tries}")

    recorder = Timeline()
    async with tolerant(patient("a", Moody), recorder=recorder) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(200)

    assert recorder.told[1:-1] == [
        (0, "ended a#1 (Boom: boom)"),
        (0, "delayed a by 10 s"),
        (10, "failed to start a (Boom: try 2)"),
        (10, "delayed a by 20 s"),
        (30, "failed to start a (Boom: try 3)"),
        (30, "delayed a by 40 s"),
        (70, "started a#4"),
    ]
    causes = [event.by for event in recorder.events[2:-1]]
    assert causes == [event.seq for event in recorder.events[1:-2]]


async def test_jitter_comes_from_the_randomness_that_was_handed_in(
    virtual_clock: VirtualClock,
) -> None:
    async def delays(seed: int) -> list[float]:
        recorder = Timeline()
        jittery = Backoff(min_s=10, max_s=40, jitter=0.5)
        nested = ChildSpec(
            id="n",
            start=lambda: Supervisor([patient("a", lambda: Mortal(1), backoff=jittery)]),
            kind=ChildKind.SUPERVISOR,
        )
        async with tolerant(nested, recorder=recorder, random=Random(seed)):
            await virtual_clock.advance(60)
        return [fact.delay_s for fact in recorder.facts(RestartDelayed)]

    expected = Random(7)
    first, *_ = again = await delays(7)

    assert first == 10 * (1 - 0.5 * expected.random())
    assert again == await delays(7)
    assert again != await delays(8)


async def test_delayed_restarts_count_like_all_others(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    supervisor = tolerant(
        patient("a", lambda: Mortal(after_s=1)), recorder=recorder, max_restarts=2
    )
    await supervisor.start()
    with pytest.raises(RestartIntensityError, match="a: ZeroDivisionError"):
        await supervisor.wait()

    assert recorder.told[-2:] == [
        (33, "ended a#3 (ZeroDivisionError: mortal)"),
        (33, "restart_intensity_reached tree"),
    ]


# --- meanwhile --------------------------------------------------------------------------------


async def test_siblings_and_callers_are_served_during_a_delay(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    async with tolerant(patient("a"), child("b"), recorder=recorder) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(4)
        with pytest.raises(ActorDownError, match="restarting, last exit: Boom: boom"):
            supervisor.whereis("a")
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.settle()
        await supervisor.start_child(child("c"))

        assert states(supervisor) == {"a": "restarting", "b": "running", "c": "running"}
        assert recorder.when("started b#2") == recorder.when("started c#1") == [4]
        await virtual_clock.advance(6)
        assert recorder.when("started a#2") == [10]


async def test_stopping_does_not_wait_for_a_delay(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    supervisor = tolerant(patient("a"), child("b"), recorder=recorder)
    await supervisor.start()
    await supervisor.whereis("a").send(Crash())
    await virtual_clock.advance(4)
    await supervisor.stop()

    assert virtual_clock.monotonic() == 4
    assert recorder.told[-1:] == [(4, "ended b#1 (shutdown)")]
    assert states(supervisor) == {"a": "stopped", "b": "stopped"}


async def test_a_child_terminated_during_its_delay_does_not_come_back(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    async with tolerant(patient("a"), recorder=recorder) as supervisor:
        old = supervisor.whereis("a")
        await old.send(Crash())
        await virtual_clock.advance(4)
        waiting = asyncio.create_task(supervisor.wait_restarted("a", old))
        await virtual_clock.settle()
        await supervisor.terminate_child("a")
        with pytest.raises(ActorDownError, match="stopped"):
            await waiting
        await virtual_clock.advance(60)

        assert states(supervisor) == {"a": "stopped"}
        await supervisor.delete_child("a")


@pytest.mark.parametrize("by_hand", [Supervisor.restart_child, Supervisor.replace_child])
async def test_a_restart_by_hand_cuts_a_delay_short(
    virtual_clock: VirtualClock, by_hand: Callable[..., object]
) -> None:
    recorder = Timeline()
    async with tolerant(patient("a"), recorder=recorder) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(4)
        info = await by_hand(supervisor, "a")  # type: ignore[misc]

        assert (info.state, info.incarnation) == (ChildState.RUNNING, 2)
        await virtual_clock.advance(60)
        assert recorder.told[-1] == (4, "started a#2")


async def test_a_restart_by_hand_that_fails_leaves_the_next_try_to_the_backoff(
    virtual_clock: VirtualClock,
) -> None:
    tries = 0

    class FailsOnce(Puppet):
        async def started(self, context: Context) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                raise Boom("not yet")

    recorder = Timeline()
    async with tolerant(patient("a", FailsOnce), recorder=recorder) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(4)
        with pytest.raises(StartError, match="not yet"):
            await supervisor.restart_child("a")
        await virtual_clock.advance(60)

        assert recorder.told[-2:] == [(4, "delayed a by 20 s"), (24, "started a#3")]


# --- groups -----------------------------------------------------------------------------------


async def test_those_that_start_together_wait_together(virtual_clock: VirtualClock) -> None:
    recorder = Timeline()
    async with tolerant(
        child("a"), patient("b"), child("c"), recorder=recorder, strategy=Strategy.ONE_FOR_ALL
    ) as supervisor:
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.advance(4)
        assert states(supervisor) == dict.fromkeys("abc", "restarting")
        await virtual_clock.advance(6)

        assert recorder.told[3:] == [
            (0, "ended b#1 (Boom: boom)"),
            (0, "ended c#1 (shutdown)"),
            (0, "ended a#1 (shutdown)"),
            (0, "delayed b by 10 s"),
            (10, "started a#2"),
            (10, "started b#2"),
            (10, "started c#2"),
        ]


async def test_those_that_start_after_wait_and_those_before_do_not(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    async with tolerant(
        child("a"), patient("b"), child("c"), recorder=recorder, strategy=Strategy.REST_FOR_ONE
    ) as supervisor:
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.advance(4)
        recorder.forget()
        # The first one's crash neither shortens the second one's delay nor waits for it.
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(20)

        assert recorder.told == [
            (4, "ended a#1 (Boom: boom)"),
            (4, "started a#2"),
            (10, "started b#2"),
            (10, "started c#2"),
        ]


async def test_a_later_child_whose_delay_is_over_waits_for_the_one_before_it(
    virtual_clock: VirtualClock,
) -> None:
    recorder = Timeline()
    long = Backoff(min_s=30, max_s=30, jitter=0)
    async with tolerant(
        patient("a", backoff=long), patient("b"), recorder=recorder, strategy=Strategy.REST_FOR_ONE
    ) as supervisor:
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.advance(4)
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(60)

        assert recorder.told[-2:] == [(34, "started a#2"), (34, "started b#2")]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_a_restart_by_hand_brings_those_that_have_to_come_first(
    virtual_clock: VirtualClock, strategy: Strategy
) -> None:
    recorder = Timeline()
    async with tolerant(
        patient("a"), child("b"), child("c"), recorder=recorder, strategy=strategy
    ) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(4)
        await supervisor.restart_child("b")

        assert recorder.told[-3:] == [(4, f"started {name}#2") for name in "abc"]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_terminating_the_one_that_is_waited_for_lets_the_others_go_on(
    virtual_clock: VirtualClock, strategy: Strategy
) -> None:
    recorder = Timeline()
    async with tolerant(
        patient("a"), child("b"), child("c"), recorder=recorder, strategy=strategy
    ) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.advance(4)
        await supervisor.terminate_child("b")
        assert states(supervisor) == {"a": "restarting", "b": "stopped", "c": "restarting"}
        await supervisor.terminate_child("a")

        assert states(supervisor) == {"a": "stopped", "b": "stopped", "c": "running"}


async def test_a_supervisor_cancelled_during_a_delay_leaves_no_timer_behind(
    virtual_clock: VirtualClock,
) -> None:
    supervisor = tolerant(patient("a"), child("b"), recorder=Timeline())
    await supervisor.start()
    await supervisor.whereis("a").send(Crash())
    await virtual_clock.advance(4)
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "tree#1"]
    task.cancel()

    with pytest.raises(ActorDownError, match="killed"):
        await supervisor.wait()
    assert states(supervisor) == {"a": "stopped", "b": "stopped"}
