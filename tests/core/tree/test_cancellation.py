"""Cancelling whoever uses the tree, at every moment; nothing hangs, nothing is half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from mnemosyne_core.errors import (
    ActorDownError,
    ResultTimeoutError,
    TreeNotRunningError,
    UsageError,
    WorkError,
)
from mnemosyne_core.events import WorkReleased
from mnemosyne_core.tree import SupervisionConfig
from mnemosyne_core.work import WorkResult, WorkState
from tests.core.tree.cast import Answer, Call, Cast, done, failed, refused
from tests.core.tree.laws import assert_lawful


async def cancelled_after(steps: int, coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Run `coroutine`, cancel it after so many turns of the loop; whether that came in time."""
    task = asyncio.create_task(coroutine)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("steps", range(8))
async def test_a_submission_that_is_cancelled_is_whole_or_absent(cast: Cast, steps: int) -> None:
    async with cast.tree() as tree:
        items = [{"id": "a", "description": "x"}, {"id": "b", "description": "y"}]
        await cancelled_after(steps, tree.submit_all(items))
        await tree.submit({"id": "later", "description": "z"})  # behind it in the mailbox

        stored = [row.item.id for row in tree.journal.items()]
        assert stored in (["later"], ["a", "b", "later"])
        for item_id in stored:
            assert (await tree.handle(item_id).result(timeout=5)).success
        assert_lawful(tree)


@pytest.mark.parametrize("steps", range(60))
async def test_stopping_at_any_moment_ends_everything_and_tells_whoever_waits(
    cast: Cast, steps: int
) -> None:
    before = asyncio.all_tasks()
    cast.verdicts = [refused("no docstring")]
    tree = cast.tree()
    await tree.start()

    async def use() -> WorkResult:
        return await (await tree.submit({"description": "x"})).result(timeout=5)

    using = asyncio.create_task(use())
    for _ in range(steps):
        await asyncio.sleep(0)
    await tree.stop()

    (outcome,) = await asyncio.gather(using, return_exceptions=True)
    if not isinstance(outcome, WorkResult):
        assert isinstance(outcome, ActorDownError | TreeNotRunningError)
        assert "None" not in str(outcome)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("steps", range(40))
async def test_a_stop_that_is_cancelled_still_stops_and_passes_the_cancellation_on(
    cast: Cast, steps: int
) -> None:
    before = asyncio.all_tasks()
    cast.executor.answer = hang
    tree = cast.tree()
    await tree.start()
    handle = await tree.submit({"description": "x"})
    in_time = await cancelled_after(steps, tree.stop())
    assert in_time or steps > 5, "it takes some turns"

    await tree.stop()
    assert not tree.is_running
    with pytest.raises(ActorDownError):
        await handle.result(timeout=5)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("steps", range(12))
async def test_whoever_stops_a_tree_that_is_being_stopped_waits_for_the_end(
    cast: Cast, steps: int
) -> None:
    before = asyncio.all_tasks()
    tree = cast.tree()
    await tree.start()
    first = asyncio.create_task(tree.stop())
    for _ in range(steps):
        await asyncio.sleep(0)
    await tree.stop()
    assert asyncio.all_tasks() - {first} == before
    await first


async def test_a_tree_that_was_never_started_can_be_stopped(cast: Cast) -> None:
    tree = cast.tree()
    await tree.stop()
    await tree.stop()
    with pytest.raises(TreeNotRunningError):
        await tree.start()


@pytest.mark.parametrize("steps", range(40))
async def test_a_start_that_is_cancelled_leaves_nothing(cast: Cast, steps: int) -> None:
    before = asyncio.all_tasks()
    tree = cast.tree()
    if not await cancelled_after(steps, tree.start()):
        await tree.stop()
    assert asyncio.all_tasks() == before
    assert not tree.is_running


@pytest.mark.parametrize("steps", range(50))
async def test_an_item_can_be_taken_back_at_any_moment(cast: Cast, steps: int) -> None:
    cast.verdicts = [refused("no docstring")]
    async with cast.tree(SupervisionConfig(max_concurrent_agents=1)) as tree:
        handle, dependent, other = await tree.submit_all(
            [
                {"id": "a", "description": "x"},
                {"id": "b", "description": "y", "dependencies": ["a"]},
                {"id": "c", "description": "z"},
            ]
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        was_live = await handle.cancel("changed my mind")
        result = await handle.result(timeout=5)

        assert (result.error is not None and result.error.code == "cancelled") == was_live
        assert handle.state is (WorkState.CANCELLED if was_live else WorkState.COMPLETED)
        assert (await dependent.result(timeout=5)).success != was_live
        assert (await other.result(timeout=5)).success
        assert cast.executor.most_at_work == 1
        assert cast.reviewer.most_at_work == 1
        assert_lawful(tree)


@pytest.mark.parametrize("steps", range(12))
async def test_replacing_an_agent_is_finished_whoever_is_cancelled_over_it(
    cast: Cast, steps: int
) -> None:
    async with cast.tree() as tree:
        await cancelled_after(steps, tree.restart_agent("executor"))
        result = await (await tree.submit({"description": "x"})).result(timeout=5)
        assert result.success
        assert tree.is_healthy()


async def test_two_may_replace_an_agent_at_once(cast: Cast) -> None:
    async with cast.tree() as tree:
        await asyncio.gather(*(tree.restart_agent("executor") for _ in range(3)))
        assert {child.id: child.incarnation for child in tree.children()}["executor"] == 4
        assert tree.is_healthy()


async def test_the_orchestrator_may_be_replaced_while_others_submit(cast: Cast) -> None:
    async with cast.tree() as tree:

        async def use(n: int) -> bool:
            handle = await tree.submit({"id": f"i{n}", "description": "x", "max_attempts": 9})
            return (await handle.result(timeout=5)).success

        async def replace() -> None:
            for _ in range(3):
                await tree.restart_agent("orchestrator")

        users = [asyncio.create_task(use(n)) for n in range(20)]
        await replace()
        outcomes = await asyncio.gather(*users, return_exceptions=True)
        refused_ones = [o for o in outcomes if not isinstance(o, bool)]
        assert all(isinstance(error, ActorDownError) for error in refused_ones)
        assert len(refused_ones) + len(tree.journal.items()) == 20, "refused or stored, not both"
        assert all(outcome for outcome in outcomes if isinstance(outcome, bool))
        assert_lawful(tree)


async def test_many_tasks_use_one_tree_at_once(cast: Cast) -> None:
    async with cast.tree(SupervisionConfig(queue_capacity=50)) as tree:

        async def use(n: int) -> str:
            try:
                item = {"id": f"i{n % 30}", "description": "x"}
                result = await (await tree.submit(item)).result(timeout=5)
            except WorkError as error:
                return error.code
            return "done" if result.success else "failed"

        said = await asyncio.gather(*(use(n) for n in range(60)))
        assert sorted(said) == ["done"] * 30 + ["duplicate_work_item"] * 30
        assert cast.executor.most_at_work <= tree.config.max_concurrent_agents
        assert_lawful(tree)


async def test_many_may_wait_for_one_result_and_some_may_leave(cast: Cast) -> None:
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        waiting = [asyncio.create_task(handle.result()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(ResultTimeoutError):
            await handle.result(timeout=0)
        gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(isinstance(result, WorkResult) for result in results[1:])


async def test_a_handle_asked_for_after_the_end_says_so_at_once(cast: Cast, tmp_path: Path) -> None:
    cast.executor.answer = hang
    config = SupervisionConfig(database=tmp_path / "tree.db")
    async with cast.tree(config) as tree:
        await tree.submit({"id": "a", "description": "x"})
    async with cast.tree(config) as tree:
        pass
    with pytest.raises(ActorDownError):
        await tree.handle("a").result(timeout=5)
    with pytest.raises(TreeNotRunningError):
        await tree.handle("a").cancel()


@pytest.mark.parametrize("reason", [None, 5, b"x"])
async def test_a_reason_that_is_no_text_is_refused(cast: Cast, reason: Any) -> None:
    cast.executor.answer = hang
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        with pytest.raises(UsageError):
            await handle.cancel(reason)
        assert handle.state is not WorkState.CANCELLED
        assert tree.children()[-1].incarnation == 1


async def test_a_reason_that_no_file_can_hold_is_written_another_way(cast: Cast) -> None:
    cast.executor.answer = hang
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        assert await handle.cancel("\ud800")
        result = await handle.result(timeout=5)
        assert result.error is not None
        assert result.error.message == "\\ud800"


async def test_places_are_free_again_when_items_are_taken_back(cast: Cast) -> None:
    cast.executor.answer = hang
    async with cast.tree(SupervisionConfig(max_concurrent_agents=2)) as tree:
        handles = await tree.submit_all({"description": f"item {n}"} for n in range(10))
        for handle in handles[:-1]:
            await tree.state.wait_until(
                lambda s: (
                    s.item_counts()[WorkState.ACTIVE] == 2
                    or s.item_counts()[WorkState.WAITING] == 0
                ),
                5,
            )
            await handle.cancel()
        cast.executor.answer = after(asyncio.Event())
        await handles[-1].cancel()
        assert (await handles[-1].result(timeout=5)).error is not None
        assert cast.executor.most_at_work <= 2


async def test_failures_of_agents_with_unwritable_texts_are_failures_like_others(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(call: Call) -> WorkResult:
        if call.attempt == 1:
            raise ValueError("not unicode: \udcff")
        return failed(call, retryable=False)

    cast.executor.answer = fail
    async with cast.tree() as tree:
        result = await (await tree.submit({"id": "a", "description": "x"})).result(timeout=5)
        assert result.attempt == 2
        (released,) = tree.journal.events(kind="work_released")
        assert isinstance(released.fact, WorkReleased)
        assert "udcff" in released.fact.reason
    assert rb"not unicode: \udcff" in caplog.text.encode()


def after(gate: asyncio.Event) -> Answer:
    async def answer(call: Call) -> WorkResult:
        await gate.wait()
        return done(call)

    return answer


async def hang(_: Call) -> WorkResult:
    await asyncio.Event().wait()
    raise AssertionError("nobody lets it go on")
