"""A run that cannot go on says so at once, and who waits for what."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import UsageError
from mnemosyne_core.supervision import Supervisor
from pytest_mnemosyne.simulation.loop import (
    HoldTooLongError,
    HorizonError,
    LeftoversError,
    Limits,
    LivelockError,
    StallError,
    VirtualClock,
    VirtualTimeError,
)
from tests.core.supervision.support import Echo, MemoryRecorder, Run, child
from tests.simulation.loop.running import run


def test_nobody_will_ever_wake_is_told_at_once_with_who_waits_for_what() -> None:
    async def program(clock: VirtualClock) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()

        async def consumer() -> None:
            await queue.get()

        task = asyncio.create_task(consumer(), name="consumer")
        await asyncio.gather(task, asyncio.Event().wait())

    began_s = time.monotonic()
    with pytest.raises(StallError, match="nobody will ever wake: at 0 s") as caught:
        run(program)

    assert time.monotonic() - began_s < 1
    assert "consumer (" in caught.value.waiting
    assert "Queue.get of <Queue" in caught.value.waiting
    assert "test_stalls.py" in caught.value.waiting


def test_a_task_that_another_waits_for_is_named() -> None:
    async def program(clock: VirtualClock) -> None:
        hen = asyncio.create_task(asyncio.Event().wait(), name="hen")

        async def hatch() -> None:
            await hen

        await asyncio.create_task(hatch(), name="egg")

    with pytest.raises(StallError, match=r"egg \(.*hatch\) waits for hen \(Event.wait\) to end"):
        run(program)


def test_actors_that_ask_each_other_are_told_as_a_circle() -> None:
    async def program(clock: VirtualClock) -> None:
        supervisor = Supervisor(
            [child("romeo"), child("juliet")], recorder=MemoryRecorder(), clock=clock, name="verona"
        )
        await supervisor.start()
        romeo, juliet = supervisor.whereis("romeo"), supervisor.whereis("juliet")
        assert romeo is not None
        assert juliet is not None

        async def ask_back(context: object) -> object:
            return await romeo.ask(Echo("who is there?"))

        async def ask(context: object) -> object:
            return await juliet.ask(Run(ask_back))

        await romeo.ask(Run(ask))

    with pytest.raises(StallError) as caught:
        run(program)

    said = caught.value.waiting
    assert "waits for the answer of <Ref romeo#1 alive> to Echo(value='who is there?')" in said
    assert said.startswith("they wait in a circle: ")
    assert said.splitlines()[0].count("romeo#1 (") + said.splitlines()[0].count("juliet#1 (") == 3


def test_a_thread_that_nobody_declared_gets_a_chance_to_wake_the_loop() -> None:
    async def program(clock: VirtualClock) -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        timer = threading.Timer(0.01, lambda: loop.call_soon_threadsafe(answer.set_result, "here"))
        timer.start()
        return await answer

    assert run(program) == "here"


def test_a_thread_that_never_does_is_not_waited_for_without_end() -> None:
    stopped = threading.Event()

    async def program(clock: VirtualClock) -> None:
        threading.Thread(target=stopped.wait).start()
        await asyncio.Event().wait()

    with pytest.raises(StallError):
        run(program, limits=Limits(hold_s=0.02))
    stopped.set()


def test_time_that_never_moves_is_told_with_whose_turn_it_would_be() -> None:
    async def program(clock: VirtualClock) -> None:
        async def poll() -> None:
            while True:
                await asyncio.sleep(0)

        await asyncio.create_task(poll(), name="impatient")

    with pytest.raises(LivelockError, match="next were task 1 impatient") as caught:
        run(program, limits=Limits(steps=500))

    assert caught.value.steps > 500
    assert caught.value.now_s == 0


def test_many_steps_with_time_between_them_are_fine() -> None:
    async def program(clock: VirtualClock) -> float:
        for _ in range(300):
            await asyncio.sleep(0.001)
        return clock.monotonic()

    assert run(program, limits=Limits(steps=50)) == pytest.approx(0.3)


def test_time_that_moves_on_and_on_while_the_rest_waits_is_told() -> None:
    async def program(clock: VirtualClock) -> None:
        async def heartbeat() -> None:
            while True:
                await asyncio.sleep(30)

        task = asyncio.create_task(heartbeat(), name="heart")
        try:
            await asyncio.Event().wait()
        finally:
            task.cancel()

    with pytest.raises(HorizonError, match="3600 virtual seconds have passed") as caught:
        run(program, limits=Limits(until_s=3600))

    assert "heart" in caught.value.waiting


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda: Limits(hold_s=0), id="zero"),
        pytest.param(lambda: Limits(steps=-1), id="negative"),
        pytest.param(lambda: Limits(hold_s=float("inf")), id="infinite patience"),
        pytest.param(lambda: Limits(until_s=float("nan")), id="no number"),
        pytest.param(lambda: Limits(until_s="long"), id="a text"),  # type: ignore[arg-type]
    ],
)
def test_a_limit_that_is_none_is_refused(given: Callable[[], Limits]) -> None:
    with pytest.raises(UsageError, match=r"the limit .* of virtual time"):
        given()


@pytest.mark.parametrize(
    "error",
    [
        StallError(waiting="x", now_s=1.0),
        LivelockError(steps=3, now_s=0.0, running="x", waiting="y"),
        HorizonError(until_s=5.0, waiting="x"),
        HoldTooLongError(holds=("a", "b"), hold_s=1.0, now_s=0.0, waiting="x"),
        LeftoversError(leftovers=("a task",)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_facts_when_pickled(error: VirtualTimeError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
