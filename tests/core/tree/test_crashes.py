"""An actor that dies in the middle of a step: what it was doing goes on, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mnemosyne_core.errors import ActorDownError, RestartIntensityError, TreeNotRunningError
from mnemosyne_core.events import Event, Fact, WorkReviewed
from mnemosyne_core.roles import AgentActor, Executor, Optimizer, Reviewer
from mnemosyne_core.tree import HealthStatus, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult, WorkState
from tests.core.tree.cast import Answer, Call, Cast, done, refused
from tests.core.tree.laws import assert_lawful

ACTORS: dict[AgentRole, type[AgentActor]] = {
    AgentRole.EXECUTOR: Executor,
    AgentRole.REVIEWER: Reviewer,
    AgentRole.OPTIMIZER: Optimizer,
}


class DefectError(Exception):
    """Something that nobody foresaw."""


def sabotage(tree: SupervisionTree, kind: str, *, stored: bool, times: int = 1) -> None:
    """Have the recording of a fact of `kind` fail, before or after it was stored."""
    healthy = tree.journal.record_all

    def record_all(facts: Sequence[Fact], **place: Any) -> tuple[Event, ...]:
        nonlocal times
        if times < 1 or facts[0].kind != kind:
            return healthy(facts, **place)
        times -= 1
        if stored:
            healthy(facts, **place)
        raise DefectError(f"while recording {kind}")

    tree.journal.record_all = record_all  # type: ignore[method-assign]


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
@pytest.mark.parametrize(
    "kind",
    [
        "work_claimed",
        "work_returned",
        "work_reviewed",
        "feedback_consolidated",
        "work_released",
        "work_completed",
    ],
)
async def test_an_orchestrator_that_dies_at_any_step_completes_each_item_once(
    cast: Cast, kind: str, stored: bool
) -> None:
    cast.verdicts = [refused("no docstring")]
    async with cast.tree() as tree:
        sabotage(tree, kind, stored=stored)
        items = [{"id": "a", "description": "x"}, {"id": "b", "description": "y"}]
        items.append({"id": "c", "description": "z", "dependencies": ["a"]})  # type: ignore[dict-item]
        handles = await tree.submit_all(items)
        results = [await handle.result(timeout=5) for handle in handles]

        assert [result.success for result in results] == [True, True, True]
        assert tree.children()[-1].restarts == 1
        assert_lawful(tree)


@pytest.mark.parametrize("kind", ["work_failed", "work_cancelled"])
@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
async def test_what_waits_for_an_item_ends_with_it_even_if_the_orchestrator_dies_between(
    cast: Cast, kind: str, stored: bool
) -> None:
    gate = asyncio.Event()

    async def fail_when_told(call: Call) -> WorkResult:
        await gate.wait()
        raise DefectError("the agent's")

    cast.executor.answer = fail_when_told
    async with cast.tree() as tree:
        first, second = await tree.submit_all(
            [
                {"id": "a", "description": "x", "max_attempts": 3},
                {"id": "b", "description": "y", "dependencies": ["a"]},
            ]
        )
        sabotage(tree, kind, stored=stored)
        if kind == "work_cancelled":
            with pytest.raises(ActorDownError):
                await first.cancel()
        gate.set()
        results = [await handle.result(timeout=5) for handle in (first, second)]

        assert results[1].error is not None
        assert results[1].error.code == "dependency_failed"
        assert first.state in (WorkState.FAILED, WorkState.CANCELLED)
        assert_lawful(tree)


async def test_an_item_that_was_not_stored_was_not_submitted(cast: Cast) -> None:
    async with cast.tree() as tree:
        sabotage(tree, "work_submitted", stored=False)
        with pytest.raises(ActorDownError):
            await tree.submit({"id": "a", "description": "x"})
        again = await tree.submit({"id": "a", "description": "x"})
        assert (await again.result(timeout=5)).success
        assert_lawful(tree)


async def test_an_item_that_was_stored_was_submitted_whoever_died_over_it(cast: Cast) -> None:
    async with cast.tree() as tree:
        sabotage(tree, "work_submitted", stored=True)
        handle = await tree.submit({"id": "a", "description": "x"})
        assert (await handle.result(timeout=5)).success
        assert_lawful(tree)


@pytest.mark.parametrize("role", ACTORS)
async def test_an_actor_that_crashes_over_an_item_is_restarted_and_the_item_goes_on(
    cast: Cast, role: AgentRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.verdicts = [refused("no docstring")]
    async with cast.tree() as tree:
        crashed = False
        healthy = AgentActor.work

        async def crash_once(self: AgentActor, *arguments: Any) -> WorkResult:
            nonlocal crashed
            if type(self) is ACTORS[role] and not crashed:
                crashed = True
                raise DefectError("in the actor, not in its agent")
            return await healthy(self, *arguments)

        monkeypatch.setattr(AgentActor, "work", crash_once)
        result = await (await tree.submit({"id": "a", "description": "x"})).result(timeout=5)

        assert result.success
        restarts = {child.id: child.restarts for child in tree.children()}
        assert restarts == dict.fromkeys(AgentRole, 0) | {role: 1}
        assert_lawful(tree)


async def test_items_that_wait_hear_that_the_tree_gave_up(cast: Cast) -> None:
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    config = SupervisionConfig(max_restarts=2, max_concurrent_agents=1)
    tree = cast.tree(config)
    await tree.start()
    handles = [await tree.submit({"description": f"item {n}"}) for n in range(3)]
    sabotage(tree, "work_returned", stored=True, times=99)
    gate.set()
    for handle in handles:
        with pytest.raises(RestartIntensityError, match="DefectError"):
            await handle.result(timeout=5)

    assert tree.health().status is HealthStatus.DOWN
    with pytest.raises(TreeNotRunningError, match="gave up"):
        await tree.submit({"description": "too late"})
    with pytest.raises(TreeNotRunningError):
        await handles[0].cancel()
    assert_lawful(tree)
    await tree.stop()


async def test_an_orchestrator_that_dies_again_and_again_leaves_no_agent_behind(
    cast: Cast,
) -> None:
    sessions = 0

    async def open_session() -> None:
        nonlocal sessions
        sessions += 1

    async def close_session() -> None:
        nonlocal sessions
        sessions -= 1

    cast.orchestrator.start_session = open_session  # type: ignore[method-assign]
    cast.orchestrator.stop_session = close_session  # type: ignore[method-assign]
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    async with cast.tree(SupervisionConfig(max_concurrent_agents=1)) as tree:
        await tree.submit_all([{"id": "a", "description": "x"}, {"id": "b", "description": "y"}])
        sabotage(tree, "work_claimed", stored=True, times=2)
        gate.set()
        await tree.handle("b").result(timeout=5)
        assert tree.children()[-1].incarnation == 3
        assert sessions == 1
    assert sessions == 0


async def test_a_verdict_is_not_given_twice_on_one_result(cast: Cast) -> None:
    async with cast.tree() as tree:
        sabotage(tree, "work_reviewed", stored=True)
        await (await tree.submit({"id": "a", "description": "x"})).result(timeout=5)
        attempts = [
            event.attempt for event in tree.journal.events() if isinstance(event.fact, WorkReviewed)
        ]
        assert attempts == [1, 2]


def after(gate: asyncio.Event) -> Answer:
    async def answer(call: Call) -> WorkResult:
        await gate.wait()
        return done(call)

    return answer
