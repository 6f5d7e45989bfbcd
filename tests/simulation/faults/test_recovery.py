from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable

import pytest

from mnemosyne_core.errors import Abort
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import WorkResult
from pytest_mnemosyne.simulation.faults import NotRecoveredError, OpenItem, assert_recovers
from pytest_mnemosyne.simulation.loop import VirtualLoop
from tests.core.tree.cast import Call, Cast, done, failed


def on_virtual_time(program: Callable[[], Awaitable[None]]) -> float:
    """Run a program, and say how much time has passed in it."""

    async def main() -> float:
        await program()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def _forever(call: Call) -> WorkResult:
    await asyncio.Event().wait()
    return done(call)


def test_a_tree_that_comes_back_has_recovered() -> None:
    cast, failures = Cast(), iter([True, True])

    async def slow_at_first(call: Call) -> WorkResult:
        await asyncio.sleep(20)
        return failed(call) if next(failures, False) else done(call)

    async def program() -> None:
        cast.executor.answer = slow_at_first
        async with cast.tree() as tree:
            await tree.submit({"id": "a", "description": "x"})
            await assert_recovers(tree, within_s=61)
            assert tree.is_healthy()

    assert 60 <= on_virtual_time(program) < 61


def test_a_tree_without_work_has_recovered_when_its_agents_are_there() -> None:
    async def program() -> None:
        async with Cast().tree() as tree:
            await assert_recovers(tree, within_s=1)

    assert on_virtual_time(program) == 0


def test_what_has_not_ended_is_told_with_what_it_waits_for() -> None:
    cast, caught = Cast(), list[NotRecoveredError]()

    async def program() -> None:
        cast.executor.answer = _forever
        cast.reviewer.missing = "git"
        async with cast.tree(SupervisionConfig(max_concurrent_agents=1)) as tree:
            await tree.submit_all(
                [
                    {"id": "a", "description": "x"},
                    {"id": "b", "description": "y", "dependencies": ["a"]},
                    {"id": "c", "description": "z"},
                ]
            )
            with pytest.raises(NotRecoveredError) as error:
                await assert_recovers(tree, within_s=30)
            caught.append(error.value)

    seconds = on_virtual_time(program)

    assert 30 <= seconds < 40
    (error,) = caught
    assert error.items == (
        OpenItem(id="a", state="active", attempt=1, waits_for="worked on by executor"),
        OpenItem(id="b", state="waiting", attempt=1, waits_for="waits for a"),
        OpenItem(id="c", state="waiting", attempt=1, waits_for="waits for the executor"),
    )
    assert set(error.agents) == {"reviewer"}
    assert "No such file or directory" in error.agents["reviewer"]
    assert error.reason is None
    lines = str(error).splitlines()
    assert lines[0] == "the tree has not recovered within 30 s:"
    assert lines[1] == "  has not ended: a: active, attempt 1, worked on by executor"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.items, again.agents) == (str(error), error.items, error.agents)


def test_an_item_that_nobody_can_take_is_told_with_the_reason() -> None:
    cast, caught = Cast(), list[NotRecoveredError]()

    async def program() -> None:
        cast.reviewer.missing = "git"
        async with cast.tree(SupervisionConfig(missing_agent=MissingAgent.WAIT)) as tree:
            await tree.submit({"id": "a", "description": "x"})
            with pytest.raises(NotRecoveredError) as error:
                await assert_recovers(tree, within_s=30)
            caught.append(error.value)

    on_virtual_time(program)

    (item,) = caught[0].items
    assert item.state == "reviewing"
    assert item.waits_for.startswith("blocked: ")


def test_an_item_that_is_being_judged_waits_for_the_reviewer() -> None:
    cast, caught = Cast(), list[NotRecoveredError]()

    async def program() -> None:
        cast.reviewer.answer = _forever
        async with cast.tree() as tree:
            await tree.submit({"id": "a", "description": "x"})
            with pytest.raises(NotRecoveredError) as error:
                await assert_recovers(tree, within_s=30)
            caught.append(error.value)

    on_virtual_time(program)

    assert [item.waits_for for item in caught[0].items] == ["waits for the reviewer"]


def test_a_tree_that_is_down_for_good_is_told_at_once() -> None:
    trees: list[SupervisionTree] = []

    async def program() -> None:
        tree = Cast().tree()
        trees.append(tree)
        await tree.start()
        await tree.submit({"id": "a", "description": "x"})
        await tree.stop()
        with pytest.raises(NotRecoveredError, match="the tree is down: not running"):
            await assert_recovers(tree, within_s=30)

    assert on_virtual_time(program) < 30


def test_waiting_for_recovery_can_be_cancelled() -> None:
    cast = Cast()

    async def program() -> None:
        cast.executor.answer = _forever
        async with cast.tree() as tree:
            await tree.submit({"id": "a", "description": "x"})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await assert_recovers(tree, within_s=30)

    assert on_virtual_time(program) < 30
    assert not issubclass(NotRecoveredError, Abort)
