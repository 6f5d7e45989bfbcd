"""OTP semantics: what a supervisor tells of its children, and what can be asked of it."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import TypeAdapter

from mnemosyne_core.errors import ActorDownError, RestartIntensityError, StartError
from mnemosyne_core.events import (
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Fact,
    Occasion,
    RestartIntensityReached,
)
from mnemosyne_core.supervision import (
    Backoff,
    ChildCount,
    ChildKind,
    ChildSpec,
    ChildState,
    Context,
    Exit,
    Restart,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.supervision.support import Boom, Crash, Puppet, Quit, child
from tests.core.supervision.timeline import Timeline


@pytest.fixture
def recorder() -> Timeline:
    return Timeline()


class FailsSecondStart(Puppet):
    tries = 0

    async def started(self, context: Context) -> None:
        type(self).tries += 1
        if type(self).tries == 2:
            raise Boom("second start")


# --- 25: reports ------------------------------------------------------------------------------


async def test_a_start_is_told_with_its_supervisor_and_the_occasion(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    nested = ChildSpec(id="n", start=lambda: Supervisor([child("a")]), kind=ChildKind.SUPERVISOR)
    async with Supervisor([nested], recorder=recorder) as supervisor:
        await supervisor.whereis("n/a").send(Crash())
        await virtual_clock.settle()
        await supervisor.nested("n").start_child(child("b"))

        assert recorder.facts(ChildStarted) == [
            ChildStarted(
                child=child_id, incarnation=incarnation, supervisor=above, occasion=occasion
            )
            for child_id, incarnation, above, occasion in (
                ("a", 1, "n", Occasion.START),
                ("n", 1, "tree", Occasion.START),
                ("a", 2, "n", Occasion.RESTART),
                ("b", 1, "n", Occasion.START),
            )
        ]


async def test_an_end_is_told_with_what_the_supervisor_was_doing(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    async with Supervisor(
        [child("a"), child("b"), child("c")], strategy=Strategy.REST_FOR_ONE, recorder=recorder
    ) as supervisor:
        await supervisor.whereis("b").send(Crash())
        await virtual_clock.settle()
        await supervisor.terminate_child("c")

    told = [
        (fact.child, fact.incarnation, fact.supervisor, fact.occasion)
        for fact in recorder.facts(ChildTerminated)
    ]
    assert told == [
        ("b", 1, "tree", Occasion.RUNNING),
        ("c", 1, "tree", Occasion.RESTART),
        ("c", 2, "tree", Occasion.SHUTDOWN),
        ("b", 2, "tree", Occasion.SHUTDOWN),
        ("a", 1, "tree", Occasion.SHUTDOWN),
    ]


async def test_a_child_that_crashed_before_it_was_stopped_ended_by_itself(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    supervisor = Supervisor([child("a")], recorder=recorder)
    await supervisor.start()
    ref = supervisor.whereis("a")
    ref.send_nowait(Crash())
    with pytest.raises(ActorDownError):
        await ref.ask("anybody there?")
    await supervisor.stop()

    (ended, *_) = recorder.facts(ChildTerminated)
    assert (ended.reason, ended.occasion) == ("Boom: boom", Occasion.RUNNING)
    assert recorder.facts(ChildShutdownFailed) == []


async def test_a_failed_start_is_told_with_its_incarnation_and_the_occasion(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    class NeverStarts(Puppet):
        async def started(self, context: Context) -> None:
            raise Boom("not today")

    FailsSecondStart.tries = 0
    async with Supervisor([child("a", FailsSecondStart)], recorder=recorder) as supervisor:
        await supervisor.whereis("a").send(Crash())
        await virtual_clock.settle()
        with pytest.raises(StartError):
            await supervisor.start_child(child("b", NeverStarts))

    assert recorder.facts(ChildStartFailed) == [
        ChildStartFailed(
            child="a",
            incarnation=2,
            reason="Boom: second start",
            supervisor="tree",
            occasion=Occasion.RESTART,
        ),
        ChildStartFailed(
            child="b",
            incarnation=1,
            reason="Boom: not today",
            supervisor="tree",
            occasion=Occasion.START,
        ),
    ]


async def test_giving_up_is_told_with_who_was_one_too_many(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    supervisor = Supervisor(
        [child("a"), child("b")],
        intensity=RestartIntensity(max_restarts=1, period_s=5),
        recorder=recorder,
    )
    await supervisor.start()
    for child_id in ("a", "b"):
        await supervisor.whereis(child_id).send(Crash())
        await virtual_clock.settle()
    with pytest.raises(RestartIntensityError):
        await supervisor.wait()

    assert recorder.facts(RestartIntensityReached) == [
        RestartIntensityReached(
            supervisor="tree",
            max_restarts=1,
            period_s=5,
            child="b",
            incarnation=1,
            reason="Boom: boom",
        )
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "child_started", "incarnation": 1},
        {"kind": "child_start_failed", "reason": "no"},
        {"kind": "child_terminated", "incarnation": 1, "reason": "normal", "abnormal": False},
        {"kind": "child_leaked", "shutdown_s": 5.0},
        {
            "kind": "restart_intensity_reached",
            "supervisor": "a",
            "max_restarts": 1,
            "period_s": 5.0,
        },
    ],
    ids=lambda fields: fields["kind"],
)
def test_what_was_told_before_occasions_were_is_still_read(fields: dict[str, object]) -> None:
    has_child = fields["kind"] != "restart_intensity_reached"
    stored = fields | ({"child": "a"} if has_child else {})

    fact = TypeAdapter[Fact](Fact).validate_python(stored)

    assert fact.model_dump(exclude_unset=True) == stored


# --- 21: what can be asked ---------------------------------------------------------------------


async def test_children_are_shown_in_start_order_with_what_they_are_doing(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    slow = Backoff(min_s=60, max_s=60, jitter=0)
    nested = ChildSpec(id="n", start=Supervisor, kind=ChildKind.SUPERVISOR)
    async with Supervisor(
        [
            ChildSpec(id="waits", start=Puppet, backoff=slow),
            nested,
            child("done", restart=Restart.TRANSIENT),
            child("gone", restart=Restart.TEMPORARY),
            child("runs"),
        ],
        recorder=recorder,
    ) as supervisor:
        await supervisor.whereis("waits").send(Crash())
        for child_id in ("done", "gone"):
            await supervisor.whereis(child_id).send(Quit())
        await virtual_clock.settle()

        assert [(info.id, info.state) for info in supervisor.which_children()] == [
            ("waits", ChildState.RESTARTING),
            ("n", ChildState.RUNNING),
            ("done", ChildState.STOPPED),
            ("runs", ChildState.RUNNING),
        ]
        assert supervisor.count_children() == ChildCount(
            specs=4, active=2, supervisors=1, workers=3
        )


async def test_it_answers_what_there_is_while_it_is_busy(
    virtual_clock: VirtualClock, recorder: Timeline
) -> None:
    class SlowToStop(Puppet):
        async def stopping(self, reason: Exit) -> None:
            await asyncio.sleep(3)

    spec = child("a", SlowToStop)
    supervisor = Supervisor([spec, child("b", SlowToStop)], recorder=recorder)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await virtual_clock.advance(1)

    assert [info.state for info in supervisor.which_children()] == [ChildState.RUNNING] * 2
    assert supervisor.get_childspec("a") is spec
    await virtual_clock.advance(2.5)
    assert [info.state for info in supervisor.which_children()] == ["running", "stopped"]
    await stopping
