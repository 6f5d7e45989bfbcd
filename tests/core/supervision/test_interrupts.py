"""`KeyboardInterrupt` and `SystemExit` in a child: everybody stops in order, then the program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from mnemosyne_core.errors import ActorDownError
from mnemosyne_core.supervision import (
    Actor,
    ChildKind,
    ChildSpec,
    Context,
    DynamicSupervisor,
    Restart,
    Supervisor,
)
from tests.core.supervision.support import Crash, Gate, MemoryRecorder, Puppet, Run, child

ENDS = [KeyboardInterrupt("ctrl-c"), SystemExit(3)]

either = pytest.mark.parametrize("error", ENDS, ids=["interrupt", "exit"])


def outcome_of(program: Coroutine[object, object, None]) -> BaseException | None:
    """What comes out of a whole program."""
    with asyncio.Runner() as runner:
        try:
            runner.run(program)
        except (KeyboardInterrupt, SystemExit) as error:
            return error
    return None


def raises(error: BaseException) -> Callable[[], Actor]:
    class Raises(Puppet):
        async def started(self, context: Context) -> None:
            raise error

    return Raises


@either
def test_it_reaches_whoever_waits_for_the_root_after_everybody_has_stopped(
    error: BaseException,
) -> None:
    told: list[str] = []

    async def program() -> None:
        recorder = MemoryRecorder()
        nested = ChildSpec(
            id="n", start=lambda: Supervisor([child("a"), child("b")]), kind=ChildKind.SUPERVISOR
        )
        supervisor = Supervisor([child("c"), nested, child("d")], recorder=recorder)
        await supervisor.start()
        supervisor.whereis("n/a").send_nowait(Crash(error))
        try:
            await supervisor.wait()
        finally:
            told.extend(recorder.story[-5:])

    assert outcome_of(program()) is error
    assert [words.partition(" (")[0] for words in told] == [
        "ended n/a#1",
        "ended n/b#1",
        "ended n#1",
        "ended d#1",
        "ended c#1",
    ]
    assert all("shutdown" in words for words in (told[1], told[3], told[4]))


@either
def test_it_ends_a_program_that_does_not_wait_for_the_root(error: BaseException) -> None:
    recorder = MemoryRecorder()

    async def program() -> None:
        supervisor = Supervisor([child("a"), child("b")], recorder=recorder)
        await supervisor.start()
        supervisor.whereis("b").send_nowait(Crash(error))
        await asyncio.Event().wait()

    assert outcome_of(program()) is error
    assert recorder.story[-1] == "ended a#1 (shutdown)"


@either
def test_it_comes_out_of_the_context_manager(error: BaseException) -> None:
    recorder = MemoryRecorder()

    async def program() -> None:
        async with Supervisor([child("a"), child("b")], recorder=recorder) as supervisor:
            supervisor.whereis("b").send_nowait(Crash(error))

    assert outcome_of(program()) is error
    assert recorder.story[-1] == "ended a#1 (shutdown)"


@either
def test_it_comes_out_of_a_start(error: BaseException) -> None:
    recorder = MemoryRecorder()

    async def program() -> None:
        await Supervisor([child("a"), child("b", raises(error))], recorder=recorder).start()

    assert outcome_of(program()) is error
    assert recorder.story[-1] == "ended a#1 (shutdown)"


@either
def test_a_plain_coroutine_and_a_task_of_an_actor_do_the_same(error: BaseException) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise error

    async def spawns(context: Context) -> None:
        context.spawn(work())

    async def program(spec: ChildSpec, message: object | None) -> None:
        async with DynamicSupervisor(recorder=recorder) as supervisor:
            await supervisor.start_child(child("a"))
            await supervisor.start_child(spec)
            if message is not None:
                supervisor.whereis(spec.id).send_nowait(message)
            await supervisor.wait()

    for spec, message in (
        (ChildSpec(id="b", start=work), None),
        (child("b"), Run(spawns)),
    ):
        recorder = MemoryRecorder()
        assert outcome_of(program(spec, message)) is error
        assert recorder.story[-1] == "ended a#1 (shutdown)"


@either
def test_whoever_asked_is_told_that_the_actor_is_down(error: BaseException) -> None:
    """Raised there too, it would go through the loop before anybody has stopped."""
    answers: list[BaseException] = []

    async def program() -> None:
        async with Supervisor([child("a")], recorder=MemoryRecorder()) as supervisor:
            try:
                await supervisor.whereis("a").ask(Crash(error))
            except ActorDownError as answer:
                answers.append(answer)

    assert outcome_of(program()) is error
    assert len(answers) == 1


@either
def test_nobody_is_restarted_for_it(error: BaseException) -> None:
    recorder = MemoryRecorder()

    async def program() -> None:
        async with Supervisor(
            [child("a", restart=Restart.PERMANENT)], recorder=recorder
        ) as supervisor:
            supervisor.whereis("a").send_nowait(Crash(error))
            await supervisor.wait()

    assert outcome_of(program()) is error
    assert [words for words in recorder.story if words.startswith("started")] == ["started a#1"]


def test_a_program_that_is_interrupted_stops_its_tree_in_order() -> None:
    """As the runner does it on a signal: it cancels the program's main task."""
    recorder = MemoryRecorder()
    gate = Gate()

    async def program() -> None:
        main = asyncio.current_task()
        assert main is not None
        async with Supervisor([child("a"), child("b")], recorder=recorder):
            asyncio.get_running_loop().call_soon(main.cancel)
            await gate.wait()

    with pytest.raises(asyncio.CancelledError):
        outcome_of(program())
    assert recorder.story[-2:] == ["ended b#1 (shutdown)", "ended a#1 (shutdown)"]
