"""What ends an actor or a coroutine, and what its end is then called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mnemosyne_core.errors import ActorDownError
from mnemosyne_core.supervision import ChildSpec, Context, Exit, ExitKind, Ref, Restart
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Crash,
    Echo,
    MemoryRecorder,
    Puppet,
    Quit,
    Run,
    child,
)

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


def task_of(ref: Ref) -> asyncio.Task[object]:
    name = f"{ref.path}#{ref.incarnation}"
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == name)
    return task


async def the_actor(supervise: MakeSupervisor) -> Ref:
    supervisor = await supervise(child("a", restart=Restart.TEMPORARY))
    return supervisor.whereis("a")


async def test_an_actor_that_stops_itself_ends_normally(supervise: MakeSupervisor) -> None:
    ref = await the_actor(supervise)
    await ref.ask(Quit())

    assert await ref.wait_down() == Exit(ExitKind.NORMAL)


async def test_a_coroutine_that_returns_ends_normally(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    async def nothing() -> None:
        return

    await supervise(ChildSpec(id="c", start=nothing, restart=Restart.TRANSIENT))
    await recorder.wait_for("ended c#1 (normal)")

    assert [event.kind for event in recorder.events] == ["child_started", "child_terminated"]


async def test_a_foreign_cancellation_kills(supervise: MakeSupervisor) -> None:
    ref = await the_actor(supervise)
    task = task_of(ref)
    task.cancel()

    assert await ref.wait_down() == Exit(ExitKind.KILLED)
    assert task.cancelled()


async def test_a_message_that_swallows_a_foreign_cancellation_lives_on(
    supervise: MakeSupervisor,
) -> None:
    waiting = asyncio.Event()

    async def swallow(context: Context) -> str:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "went on"
        raise AssertionError

    ref = await the_actor(supervise)
    asking = asyncio.create_task(ref.ask(Run(swallow)))
    await waiting.wait()
    task_of(ref).cancel()

    assert await asking == "went on"
    assert await ref.ask(Echo("alive")) == "alive"


async def test_a_cancellation_that_interrupts_a_message_reaches_what_it_awaits(
    supervise: MakeSupervisor,
) -> None:
    passed_through: list[str] = []
    waiting = asyncio.Event()

    async def inner(context: Context) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            passed_through.append("inner")
            raise

    ref = await the_actor(supervise)
    asking = asyncio.create_task(ref.ask(Run(inner)))
    await waiting.wait()
    task_of(ref).cancel()

    with pytest.raises(ActorDownError, match="killed"):
        await asking
    assert passed_through == ["inner"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_an_actor_hands_over_what_would_break_the_loop(
    supervise: MakeSupervisor, error: Callable[[], BaseException]
) -> None:
    supervisor = await supervise(child("a"), child("b"))
    ref, raised = supervisor.whereis("a"), error()
    ended = asyncio.create_task(ref.wait_down())
    waiting = asyncio.create_task(_caught(supervisor.wait))
    await asyncio.sleep(0)

    ref.send_nowait(Crash(raised))

    assert await ended == Exit(ExitKind.ABORT, raised)
    assert await waiting is raised


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_task_of_an_actor_hands_it_over_too(
    supervise: MakeSupervisor, error: Callable[[], BaseException]
) -> None:
    raised = error()
    tasks: list[asyncio.Task[None]] = []

    async def fail() -> None:
        raise raised

    async def begin(context: Context) -> None:
        tasks.append(context.spawn(fail()))

    supervisor = await supervise(child("a"))
    ref = supervisor.whereis("a")
    waiting = asyncio.create_task(_caught(supervisor.wait))
    await asyncio.sleep(0)
    ref.send_nowait(Run(begin))

    assert await ref.wait_down() == Exit(ExitKind.ABORT, raised)
    assert await waiting is raised
    assert tasks[0].cancelled()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_coroutine_hands_it_over_too(
    supervise: MakeSupervisor, error: Callable[[], BaseException]
) -> None:
    raised = error()
    may_fail = asyncio.Event()

    async def fail() -> None:
        await may_fail.wait()
        raise raised

    supervisor = await supervise(ChildSpec(id="c", start=fail))
    waiting = asyncio.create_task(_caught(supervisor.wait))
    await asyncio.sleep(0)
    may_fail.set()

    assert await waiting is raised


async def _caught(wait: Callable[[], object]) -> BaseException | None:
    """What waiting for the root raises; a task that raised it would break the loop."""
    try:
        await wait()  # type: ignore[misc]
    except (KeyboardInterrupt, SystemExit) as error:
        return error
    return None


async def test_a_task_that_never_ran_leaves_no_coroutine_behind(
    supervise: MakeSupervisor,
) -> None:
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    async def spawn_and_stop(context: Context) -> None:
        context.spawn(work()).cancel()

    ref = await the_actor(supervise)
    await ref.ask(Run(spawn_and_stop))
    await ref.ask("one more turn")

    assert ran == []


async def test_a_task_is_called_by_its_work(supervise: MakeSupervisor) -> None:
    names: list[tuple[str, str]] = []

    async def work() -> None:
        return

    async def begin(context: Context) -> None:
        task = context.spawn(work())
        names.append((task.get_name(), task.get_coro().__qualname__))  # type: ignore[union-attr]
        await task

    ref = await the_actor(supervise)
    await ref.ask(Run(begin))

    assert names == [("a:work", work.__qualname__)]


async def test_an_actor_that_was_interrupted_can_wait_in_stopping(
    supervise: MakeSupervisor,
) -> None:
    class Careful(Puppet):
        async def stopping(self, reason: Exit) -> None:
            async with asyncio.timeout(60):
                await asyncio.sleep(0)
            await super().stopping(reason)

    careful = Careful()
    supervisor = await supervise(child("a", lambda: careful, restart=Restart.TEMPORARY))
    ref = supervisor.whereis("a")
    task_of(ref).cancel()
    end = await ref.wait_down()

    assert end == careful.stopped_for == Exit(ExitKind.KILLED)
