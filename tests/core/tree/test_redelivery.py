"""An agent is replaced: what it had in hand goes round again, or fails, and the events say why."""

from __future__ import annotations

import asyncio

from mnemosyne_core.events import Event
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.tree.cast import Call, Cast, done, failed, refused
from tests.core.tree.laws import assert_lawful


async def die() -> WorkResult:
    """End as an agent whose work is cancelled from outside: it is gone."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    raise AssertionError("it is gone by now")


def of_kind(tree: SupervisionTree, kind: str) -> list[Event]:
    return list(tree.journal.events(kind=kind))


def why(tree: SupervisionTree, event: Event) -> list[str]:
    """The kinds of the events that led to `event`, the nearest first."""
    events = tree.journal.events()
    chain = [event]
    while (by := chain[-1].by) is not None:
        chain.append(events[by - 1])
    return [each.kind for each in chain[1:]]


def tree_of(cast: Cast, clock: VirtualClock, **fields: object) -> SupervisionTree:
    config = SupervisionConfig.model_validate(fields)
    return SupervisionTree(config, agents=cast.makers(), ids=CountedIds(), clock=clock)


async def test_an_item_whose_agent_is_gone_goes_round_again_as_the_next_attempt(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async def die_once(call: Call) -> WorkResult:
        return await die() if call.attempt == 1 else done(call)

    cast.executor.answer = die_once
    async with tree_of(cast, virtual_clock) as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        result = await handle.result()

        assert (result.success, result.attempt) == (True, 2)
        assert [call.attempt for call in cast.executor.calls] == [1, 2]
        assert tree.is_healthy()
        assert tree.health().agents[AgentRole.EXECUTOR].restarts == 1
        (restarted,) = of_kind(tree, "agent_restarted")
        assert why(tree, restarted)[:4] == [
            "agent_erred",
            "agent_active",
            "work_claimed",
            "work_submitted",
        ]
        assert restarted.attempt == 1
        again = of_kind(tree, "work_claimed")[1]
        assert why(tree, again)[:3] == ["work_released", "work_returned", "work_claimed"]
        assert_lawful(tree)


async def test_all_that_a_replaced_agent_had_in_hand_goes_round_again(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    # The executor has an agent for each of its items; the others have one for all of theirs.
    role = AgentRole.ORCHESTRATOR
    working = asyncio.Event()

    async def answer(call: Call) -> WorkResult:
        if call.item.id == "long" and call.attempt == 1:
            working.set()
            await asyncio.Event().wait()
        if call.item.id == "bad":
            await working.wait()
            return failed(call)
        return done(call)

    cast.orchestrator.answer = answer
    async with tree_of(cast, virtual_clock) as tree:
        long, after, bad = await tree.submit_all(
            [
                {"id": "long", "description": "x", "role": role},
                {"id": "after", "description": "y", "dependencies": ["long"]},
                {"id": "bad", "description": "z", "max_attempts": 5, "role": role},
            ]
        )
        results = [await handle.result() for handle in (long, after, bad)]

        assert [(each.success, each.attempt) for each in results] == [
            (True, 2),
            (True, 1),
            (False, 5),
        ]
        (released,) = [e for e in of_kind(tree, "work_released") if e.fact.item_id == "long"]  # type: ignore[union-attr]
        assert "the agent was replaced while it worked on this" in released.fact.reason  # type: ignore[operator,union-attr]
        assert "crash of bad" in released.fact.reason  # type: ignore[operator,union-attr]
        assert len(of_kind(tree, "agent_restarted")) == 1
        assert_lawful(tree)


async def test_an_item_that_kills_every_agent_fails_when_its_attempts_are_used_up(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async def answer(call: Call) -> WorkResult:
        return await die() if call.item.id == "poison" else done(call)

    cast.executor.answer = answer
    async with tree_of(cast, virtual_clock, max_concurrent_agents=1) as tree:
        poison = await tree.submit({"id": "poison", "description": "x"})
        others = await tree.submit_all({"description": f"item {n}"} for n in range(3))
        result = await poison.result()

        assert result.error is not None
        assert (result.error.code, result.attempt) == ("attempts_exhausted", 3)
        assert result.error.recovery == "restart", "what the last attempt failed of"
        assert all([(await other.result()).success for other in others])
        assert_lawful(tree)


async def test_an_agent_that_is_broken_for_a_while_does_not_use_up_an_items_attempts_at_once(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async def broken_for_two_seconds(call: Call) -> WorkResult:
        return await die() if virtual_clock.monotonic() < 2 else done(call)

    cast.executor.answer = broken_for_two_seconds
    async with tree_of(cast, virtual_clock) as tree:
        handle = await tree.submit({"description": "x", "max_attempts": 4})
        result = await handle.result()

        assert (result.success, result.attempt) == (True, 4)
        assert virtual_clock.monotonic() == 3


async def test_a_reviewer_that_is_gone_sends_the_item_round_again(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    review = cast.reviewer.answer

    async def die_once(call: Call) -> WorkResult:
        return await die() if call.attempt == 1 else await review(call)

    cast.reviewer.answer = die_once
    async with tree_of(cast, virtual_clock) as tree:
        result = await (await tree.submit({"description": "x"})).result()

        assert (result.success, result.attempt) == (True, 2)
        assert_lawful(tree)


async def test_an_optimizer_that_is_gone_costs_nothing_but_its_words(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async def never(_: Call) -> WorkResult:
        return await die()

    cast.optimizer.answer = never
    cast.verdicts = [refused("no docstring")]
    async with tree_of(cast, virtual_clock) as tree:
        result = await (await tree.submit({"description": "x"})).result()

        assert (result.success, result.attempt) == (True, 2)
        assert cast.executor.calls[1].guidance == ("no docstring",)
        assert_lawful(tree)


async def test_work_that_is_too_slow_is_cancelled_in_the_agent_before_it_is_tried_again(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async def hang_once(call: Call) -> WorkResult:
        if call.attempt == 1:
            await asyncio.Event().wait()
        assert cast.executor.at_work == 1, "the first attempt has ended"
        return done(call)

    cast.executor.answer = hang_once
    async with tree_of(cast, virtual_clock) as tree:
        result = await (await tree.submit({"id": "a", "description": "x", "timeout_s": 9})).result()

        assert (result.success, result.attempt) == (True, 2)
        assert cast.executor.cancelled == ["a"]
        assert virtual_clock.monotonic() == 9
