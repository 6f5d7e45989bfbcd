"""An abort, wherever it is raised: it ends the tree, reaches whoever waits, and nobody retries."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest

from mnemosyne_core.errors import Abort, ActorDownError
from mnemosyne_core.events import Event
from mnemosyne_core.tree import HealthStatus, SupervisionConfig
from mnemosyne_core.work import AgentRole, WorkResult
from tests.core.tree.cast import Call, Cast, ToldAgent, failed, refused


class PointlessError(Abort):
    """There is no point in going on."""


async def abort(_: Call) -> WorkResult:
    raise PointlessError


async def abort_session() -> None:
    raise PointlessError


def agent_of(cast: Cast, role: AgentRole) -> ToldAgent:
    agent = getattr(cast, role.value)
    assert isinstance(agent, ToldAgent)
    return agent


@pytest.mark.parametrize("role", AgentRole)
async def test_an_abort_of_any_agent_reaches_everybody_and_is_raised_once(
    cast: Cast, role: AgentRole
) -> None:
    cast.verdicts = [refused("no docstring")]
    agent = agent_of(cast, role)
    agent.answer = abort
    doer = AgentRole.ORCHESTRATOR if role is AgentRole.ORCHESTRATOR else AgentRole.EXECUTOR
    tree = cast.tree(SupervisionConfig(max_concurrent_agents=1))
    await tree.start()
    handles = await tree.submit_all({"description": f"item {n}", "role": doer} for n in range(3))

    for handle in handles:
        with pytest.raises(PointlessError):
            await handle.result(timeout=5)
    assert tree.health().status is HealthStatus.DOWN
    assert len(agent.calls) == 1
    assert len(tree.journal.events(kind="child_started")) == 4, "nobody was restarted"
    late = tree.handle(handles[0].id)
    with pytest.raises(PointlessError):
        await late.result(timeout=5)

    with pytest.raises(PointlessError):
        await tree.stop()
    await tree.stop()


async def test_an_abort_with_others_at_work_leaves_no_failure_of_theirs(cast: Cast) -> None:
    both = asyncio.Barrier(2)

    async def abort_or_hang(call: Call) -> WorkResult:
        await both.wait()
        if call.item.id == "a":
            raise PointlessError
        return await hang(call)

    cast.executor.answer = abort_or_hang
    tree = cast.tree()
    await tree.start()
    first, second = await tree.submit_all(
        [{"id": "a", "description": "x"}, {"id": "b", "description": "y"}]
    )
    for handle in (first, second):
        with pytest.raises(PointlessError):
            await handle.result(timeout=5)
    with pytest.raises(PointlessError):
        await tree.stop()
    assert cast.executor.cancelled == ["b"]


async def test_leaving_the_tree_raises_the_abort_that_nobody_asked_for(cast: Cast) -> None:
    cast.executor.answer = abort

    async def leave() -> None:
        async with cast.tree() as tree:
            await tree.submit({"description": "x"})
            await tree.state.wait_until(
                lambda s: not all(child.alive for child in s.children.values()), 5
            )

    with pytest.raises(PointlessError):
        await leave()


@pytest.mark.parametrize("role", AgentRole)
async def test_an_abort_while_a_session_opens_ends_the_start(cast: Cast, role: AgentRole) -> None:
    before = asyncio.all_tasks()
    agent_of(cast, role).start_session = abort_session  # type: ignore[method-assign]
    tree = cast.tree()
    with pytest.raises(PointlessError):
        await tree.start()
    assert tree.health().status is HealthStatus.DOWN
    assert asyncio.all_tasks() == before
    await tree.stop()


async def test_an_abort_while_a_session_closes_stops_the_others_all_the_same(cast: Cast) -> None:
    before = asyncio.all_tasks()
    closed: list[str] = []

    async def close() -> None:
        closed.append("reviewer")

    cast.reviewer.stop_session = close  # type: ignore[method-assign]
    cast.executor.stop_session = abort_session  # type: ignore[method-assign]
    tree = cast.tree()
    await tree.start()
    with pytest.raises(PointlessError):
        await tree.stop()
    assert closed == ["reviewer"]
    assert asyncio.all_tasks() == before


async def test_a_file_that_fails_as_well_does_not_hide_an_abort(cast: Cast) -> None:
    cast.executor.stop_session = abort_session  # type: ignore[method-assign]
    tree = cast.tree()
    await tree.start()
    tree.journal.close()
    with pytest.raises(PointlessError):
        await tree.stop()


async def test_an_abort_while_an_agent_is_replaced_ends_the_tree(cast: Cast) -> None:
    async def fail(call: Call) -> WorkResult:
        cast.executor.start_session = abort_session  # type: ignore[method-assign]
        return failed(call)

    cast.executor.answer = fail
    tree = cast.tree()
    await tree.start()
    handle = await tree.submit({"description": "x", "max_attempts": 99})
    with pytest.raises(PointlessError):
        await handle.result(timeout=5)
    with pytest.raises(PointlessError):
        await tree.stop()
    assert len(cast.executor.calls) == tree.config.bridge.restart_after


async def test_an_abort_of_a_replacement_is_not_lost_with_whoever_waited_for_it(
    cast: Cast,
) -> None:
    opening, go_on = asyncio.Event(), asyncio.Event()

    async def abort_when_told() -> None:
        opening.set()
        await go_on.wait()
        raise PointlessError

    async def fail(call: Call) -> WorkResult:
        cast.executor.start_session = abort_when_told  # type: ignore[method-assign]
        return failed(call)

    cast.executor.answer = fail
    tree = cast.tree()
    await tree.start()
    handle = await tree.submit({"description": "x", "max_attempts": 99})
    await opening.wait()
    await handle.cancel()
    go_on.set()
    assert not (await handle.result(timeout=5)).success

    other = await tree.submit({"description": "y"})
    with pytest.raises(PointlessError):
        await other.result(timeout=5)
    with pytest.raises(PointlessError):
        await tree.stop()


@pytest.mark.parametrize(
    "kind",
    [
        "work_submitted",
        "work_claimed",
        "agent_active",
        "agent_idle",
        "work_returned",
        "work_reviewed",
        "work_completed",
    ],
)
async def test_an_abort_of_a_listener_ends_the_tree(cast: Cast, kind: str) -> None:
    tree = cast.tree()
    await tree.start()
    tree.broadcaster.attach(abort_on(kind))
    # A result that was stored before the listener had its say is one all the same.
    with suppress(PointlessError):
        await (await tree.submit({"description": "x"})).result(timeout=5)
    await tree.state.wait_until(lambda s: not s.children["orchestrator"].alive, 5)
    assert tree.health().status is HealthStatus.DOWN
    with pytest.raises(PointlessError):
        await tree.stop()


@pytest.mark.parametrize("kind", ["tree_started", "child_started", "agent_registered"])
async def test_an_abort_of_a_listener_ends_the_start(cast: Cast, kind: str) -> None:
    before = asyncio.all_tasks()
    tree = cast.tree()
    tree.broadcaster.attach(abort_on(kind))
    with pytest.raises(PointlessError):
        await tree.start()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("kind", ["child_terminated", "agent_stopped", "tree_stopped"])
async def test_an_abort_of_a_listener_keeps_nobody_from_being_stopped(
    cast: Cast, kind: str
) -> None:
    before = asyncio.all_tasks()
    closed: list[AgentRole] = []
    for role in AgentRole:
        agent_of(cast, role).stop_session = closing(closed, role)  # type: ignore[method-assign]
    tree = cast.tree()
    await tree.start()
    tree.broadcaster.attach(abort_on(kind))
    with pytest.raises(PointlessError):
        await tree.stop()
    assert set(closed) == set(AgentRole)
    assert asyncio.all_tasks() == before


def abort_on(kind: str) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.kind == kind:
            raise PointlessError

    return listen


def closing(closed: list[AgentRole], role: AgentRole) -> Callable[[], Coroutine[Any, Any, None]]:
    async def close() -> None:
        closed.append(role)

    return close


async def hang(_: Call) -> WorkResult:
    await asyncio.Event().wait()
    raise AssertionError("nobody lets it go on")


@pytest.fixture
def collected() -> Iterator[None]:
    """Have asyncio say here what it says of a program's task, whose exception nobody takes.

    It is logged when the task is collected. On CPython 3.11 a traceback that is formatted
    while `ast.parse` runs breaks the latter, and a test that comes later may be at it.
    """
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("error", [KeyboardInterrupt("ctrl-c"), SystemExit(3)], ids=["int", "exit"])
def test_what_ends_the_program_stops_the_tree_first_and_leaves_nobody_waiting(
    cast: Cast, error: BaseException
) -> None:
    def end_the_program(event: Event) -> None:
        if event.kind == "work_claimed":
            raise error

    async def program() -> None:
        async with cast.tree() as tree:
            tree.broadcaster.attach(end_the_program)
            handle = await tree.submit({"description": "x"})
            try:
                await asyncio.Event().wait()
            finally:
                assert (handle.done, tree.is_running) == (True, False)
                with pytest.raises(ActorDownError, match=str(error)):
                    await handle.result()

    with pytest.raises(type(error)) as ended:
        asyncio.run(program())
    assert ended.value is error


async def test_who_stops_the_tree_hears_of_an_exit_that_comes_meanwhile(cast: Cast) -> None:
    tree = cast.tree()
    await tree.start()

    def end_the_program(event: Event) -> None:
        if event.kind == "child_terminated":
            raise SystemExit(3)

    tree.broadcaster.attach(end_the_program)
    with pytest.raises(SystemExit):
        await tree.stop()
    assert tree.health().status is HealthStatus.DOWN


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("role", [AgentRole.EXECUTOR, AgentRole.REVIEWER])
def test_an_agent_that_ends_the_program_ends_it_after_its_tree(cast: Cast, role: AgentRole) -> None:
    async def end_the_program(_: Call) -> WorkResult:
        raise SystemExit(3)

    async def program() -> None:
        async with cast.tree() as tree:
            agent_of(cast, role).answer = end_the_program
            handle = await tree.submit({"description": "x"})
            try:
                await asyncio.Event().wait()
            finally:
                assert (handle.done, tree.is_running) == (True, False)

    with pytest.raises(SystemExit) as ended:
        asyncio.run(program())
    assert ended.value.code == 3
