"""Waiting for agents and for answers: how long, at whose cost, and what it holds up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mnemosyne_core.events import WorkReleased
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.roles import Executor, MissingAgent, Recall
from mnemosyne_core.supervision import Actor, Context
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult, WorkState
from tests.core.tree.cast import Cast, refused
from tests.core.tree.laws import assert_lawful

WAIT = SupervisionConfig(missing_agent=MissingAgent.WAIT, max_concurrent_agents=1)


class JumpingClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def monotonic(self) -> float:
        return self.time_s

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time_s)


async def test_results_that_wait_for_a_reviewer_hold_up_nobody_else(cast: Cast) -> None:
    cast.reviewer.missing = "/reviewer"
    async with cast.tree(WAIT) as tree:
        reviewed = await tree.submit_all({"description": f"item {n}"} for n in range(3))
        unreviewed = await tree.submit({"description": "x", "review": False, "priority": 0})
        assert (await unreviewed.result(timeout=5)).success
        assert [handle.state for handle in reviewed] == [WorkState.REVIEWING] * 3
        blocked = tree.journal.events(kind="work_blocked")
        assert [event.fact.item_id for event in blocked] == [h.id for h in reviewed]  # type: ignore[union-attr]

        assert await reviewed[0].cancel()
        cast.reviewer.missing = None
        await tree.restart_agent("reviewer")
        results = [await handle.result(timeout=5) for handle in reviewed]
        assert [result.success for result in results] == [False, True, True]
        assert (cast.executor.most_at_work, cast.reviewer.most_at_work) == (1, 1)
        assert all(item.blocked is None for item in tree.state.snapshot().items.values())
        assert_lawful(tree)


async def test_a_long_wait_for_a_reviewer_costs_no_attempt(cast: Cast) -> None:
    clock = JumpingClock()
    cast.reviewer.missing = "/reviewer"
    tree = SupervisionTree(WAIT, agents=cast.makers(), ids=CountedIds(), clock=clock)
    async with tree:
        handle = await tree.submit({"description": "x", "max_attempts": 1})
        await tree.state.wait_until(lambda s: s.items[handle.id].blocked, 5)
        clock.time_s += 10 * WAIT.default_timeout_s
        cast.reviewer.missing = None
        await tree.restart_agent("reviewer")
        result = await handle.result(timeout=5)
    assert result.success
    assert result.attempt == 1


async def test_a_review_has_as_much_time_as_the_work_before_it(cast: Cast) -> None:
    clock = JumpingClock()
    cast.verdicts = [refused("no docstring")]
    make = cast.executor.answer

    async def slowly(call: Any) -> WorkResult:
        clock.time_s += 10 * WAIT.default_timeout_s
        return await make(call)

    cast.executor.answer = slowly
    tree = SupervisionTree(agents=cast.makers(), ids=CountedIds(), clock=clock)
    async with tree:
        result = await (await tree.submit({"description": "x"})).result(timeout=5)
        assert result.success
        assert result.attempt == 2
        assert cast.executor.calls[1].guidance == ("mind: no docstring",)


async def test_an_item_whose_worker_never_answers_is_taken_from_it_and_tried_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnemosyne_core.roles._orchestrator.LEASE_GRACE_S", 0.005)
    healthy = Executor.work
    recalled = []

    async def never_answer_once(self: Executor, item: Any, attempt: int, *more: Any) -> WorkResult:
        if attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                recalled.append(item.id)
        return await healthy(self, item, attempt, *more)

    monkeypatch.setattr(Executor, "work", never_answer_once)
    async with cast.tree() as tree:
        # On a busy machine these few milliseconds may be too little for later attempts, too.
        item = {"id": "a", "description": "x", "timeout_s": 0.005, "max_attempts": 1000}
        result = await (await tree.submit(item | {"review": False})).result(timeout=30)
        assert result.success
        assert result.attempt > 1
        released, *_ = tree.journal.events(kind="work_released")
        assert isinstance(released.fact, WorkReleased)
        assert "did not answer" in released.fact.reason
    assert recalled == ["a"]


async def test_work_that_is_recalled_before_it_began_leaves_no_trace(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Executor.receive

    async def recall_at_once(self: Executor, message: object, context: Context) -> object:
        actors.append(self)
        answer = await receive(self, message, context)
        if not isinstance(message, Recall) and not recalled:
            recalled.append(message)
            await receive(self, Recall(item_id="a"), context)
        return answer

    actors: list[Executor] = []
    recalled: list[object] = []
    monkeypatch.setattr(Executor, "receive", recall_at_once)
    async with cast.tree() as tree:
        result = await (await tree.submit({"id": "a", "description": "x"})).result(timeout=5)
        assert result.attempt == 2
        assert actors[0]._tasks == {}
    assert len(cast.executor.calls) == 1


async def test_an_actor_that_was_replaced_in_vain_can_be_replaced_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cast.tree() as tree:
        with monkeypatch.context() as broken:
            broken.setattr(Executor, "started", fail_to_start)
            with pytest.raises(Exception, match="executor did not start"):
                await tree.restart_agent("executor")
        assert not tree.is_healthy()
        handle = await tree.submit({"description": "x"})
        await tree.restart_agent("executor")
        assert (await handle.result(timeout=5)).success
        assert tree.is_healthy()


async def fail_to_start(self: Actor, context: Context) -> None:
    raise ValueError("not today")


@pytest.mark.parametrize("role", AgentRole)
async def test_items_of_every_role_wait_for_their_own_agent(cast: Cast, role: AgentRole) -> None:
    agent = getattr(cast, role.value)
    agent.missing, agent.answer = f"/{role}", cast.executor.answer
    async with cast.tree(WAIT) as tree:
        item = {"description": "x", "role": role, "review": False}
        handle = await tree.submit(item)
        await tree.state.wait_until(lambda s: s.items[handle.id].blocked, 5)
        agent.missing = None
        await tree.restart_agent(role)
        assert (await handle.result(timeout=5)).success
