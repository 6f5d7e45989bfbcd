"""The way of a work item through the tree."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import (
    DependencyCycleError,
    DuplicateWorkItemError,
    IllegalPhaseTransitionError,
    InvalidWorkItemError,
    QueueFullError,
    ResultTimeoutError,
    UnknownDependencyError,
    UnknownWorkItemError,
    WorkError,
)
from mnemosyne_core.tree import SupervisionConfig
from mnemosyne_core.work import AgentRole, Decision, Phase, WorkItem, WorkResult, WorkState
from tests.core.tree.cast import Answer, Call, Cast, done, failed, refused


def work_kinds(tree_events: tuple[object, ...]) -> list[str]:
    kinds = [event.kind for event in tree_events]  # type: ignore[attr-defined]
    return [kind for kind in kinds if kind.startswith(("work_", "feedback_"))]


async def test_an_approved_item_is_completed_with_the_executors_result(cast: Cast) -> None:
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "write hello.py"})
        result = await handle.result(timeout=5)

        assert result.success
        assert result.data == "done"
        assert handle.state is WorkState.COMPLETED
        assert work_kinds(tree.journal.events()) == [
            "work_submitted",
            "work_claimed",
            "work_returned",
            "work_reviewed",
            "work_completed",
        ]


async def test_every_event_about_an_item_names_the_one_that_led_to_it(cast: Cast) -> None:
    cast.verdicts = [refused("no docstring")]
    async with cast.tree() as tree:
        await (await tree.submit({"description": "write hello.py"})).result(timeout=5)
        events = {event.seq: event for event in tree.journal.events()}

    chain, event = [], events[max(events)]
    while event.by is not None:
        chain.append(event.kind)
        event = events[event.by]
    assert [*chain, event.kind] == [
        "work_completed",
        "work_reviewed",
        "work_returned",
        "work_claimed",
        "work_released",
        "feedback_consolidated",
        "work_reviewed",
        "work_returned",
        "work_claimed",
        "work_submitted",
    ]


async def test_a_revised_item_goes_round_again_with_the_optimizers_guidance(cast: Cast) -> None:
    cast.verdicts = [refused("no docstring"), refused("no tests")]
    async with cast.tree() as tree:
        result = await (await tree.submit({"description": "write"})).result(timeout=5)

    assert result.success
    assert result.attempt == 3
    assert [call.guidance for call in cast.executor.calls] == [
        (),
        ("mind: no docstring",),
        ("mind: no docstring", "mind: no tests"),
    ]


async def test_a_rejected_item_fails_without_another_attempt(cast: Cast) -> None:
    cast.verdicts = [refused("this must not exist", decision=Decision.REJECT)]
    async with cast.tree() as tree:
        result = await (await tree.submit({"description": "write"})).result(timeout=5)

    assert not result.success
    assert result.error is not None
    assert result.error.code == "not_approved"
    assert "this must not exist" in result.error.message
    assert len(cast.executor.calls) == 1


async def test_an_item_that_is_never_approved_fails_when_its_attempts_are_used_up(
    cast: Cast,
) -> None:
    cast.verdicts = [refused("worse"), refused("worst")]
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "write", "max_attempts": 2})
        result = await handle.result(timeout=5)

    assert result.error is not None
    assert result.error.code == "attempts_exhausted"
    assert "worst" in result.error.message
    assert result.data == "done", "what was made is kept with the failure"
    assert len(cast.optimizer.calls) == 1, "no guidance for an attempt that will not come"


@pytest.mark.parametrize(
    ("retryable", "attempts", "code"),
    [
        pytest.param(True, 3, "attempts_exhausted", id="retryable"),
        pytest.param(False, 1, "crash", id="final"),
    ],
)
async def test_a_failed_attempt_is_repeated_only_if_that_can_help(
    cast: Cast, retryable: bool, attempts: int, code: str
) -> None:
    async def fail(call: Call) -> WorkResult:
        return failed(call, retryable=retryable)

    cast.executor.answer = fail
    async with cast.tree() as tree:
        result = await (await tree.submit({"description": "write"})).result(timeout=5)

    assert result.error is not None
    assert result.error.code == code
    assert len(cast.executor.calls) == attempts
    assert cast.reviewer.calls == []


async def test_an_item_without_review_is_complete_when_it_is_done(cast: Cast) -> None:
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "write", "review": False})
        assert (await handle.result(timeout=5)).success
    assert cast.reviewer.calls == []


async def test_an_item_goes_to_the_agent_of_its_role(cast: Cast) -> None:
    cast.optimizer.answer = cast.executor.answer
    async with cast.tree() as tree:
        for role in AgentRole:
            item = WorkItem(id=role.value, description="do", role=role, review=False)
            await (await tree.submit(item)).result(timeout=5)

    agents = (cast.executor, cast.orchestrator, cast.reviewer, cast.optimizer)
    assert {agent.role: [call.item.id for call in agent.calls] for agent in agents} == {
        role: [role.value] for role in AgentRole
    }


async def test_the_reviewer_sees_the_requirements_and_the_result(cast: Cast) -> None:
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "write", "requirements": ["has a docstring"]})
        await handle.result(timeout=5)

    (review,) = cast.reviewer.calls
    assert review.item.requirements == ("has a docstring",)
    assert review.item.context == {"result": "done"}


async def test_an_item_starts_when_what_it_depends_on_is_completed(cast: Cast) -> None:
    async with cast.tree() as tree:
        handles = await tree.submit_all(
            [
                {"id": "roof", "description": "roof", "dependencies": ["walls"], "priority": 10},
                {"id": "walls", "description": "walls", "dependencies": ["floor"]},
                {"id": "floor", "description": "floor", "priority": 0},
            ]
        )
        await asyncio.gather(*(handle.result(timeout=5) for handle in handles))

    assert [call.item.id for call in cast.executor.calls] == ["floor", "walls", "roof"]


async def test_what_depends_on_a_failed_item_fails_and_says_of_what(cast: Cast) -> None:
    async def fail(call: Call) -> WorkResult:
        return failed(call, retryable=False)

    cast.executor.answer = fail
    async with cast.tree() as tree:
        handles = await tree.submit_all(
            [
                {"id": "floor", "description": "floor"},
                {"id": "walls", "description": "walls", "dependencies": ["floor"]},
                {"id": "roof", "description": "roof", "dependencies": ["walls"]},
            ]
        )
        results = [await handle.result(timeout=5) for handle in handles]

    codes = [result.error.code for result in results if result.error]
    assert codes == ["crash", "dependency_failed", "dependency_failed"]
    assert results[2].error is not None
    assert "'walls'" in results[2].error.message
    assert [call.item.id for call in cast.executor.calls] == ["floor"]


async def test_an_item_that_depends_on_one_that_failed_before_fails_at_once(cast: Cast) -> None:
    async def fail(call: Call) -> WorkResult:
        return failed(call, retryable=False)

    cast.executor.answer = fail
    async with cast.tree() as tree:
        await (await tree.submit({"id": "floor", "description": "floor"})).result(timeout=5)
        late = await tree.submit({"id": "walls", "description": "walls", "dependencies": ["floor"]})
        result = await late.result(timeout=5)
    assert result.error is not None
    assert result.error.code == "dependency_failed"


@pytest.mark.parametrize(
    ("items", "error"),
    [
        pytest.param([{"description": " "}], InvalidWorkItemError, id="empty-description"),
        pytest.param(
            [{"description": "x", "priority": 11}], InvalidWorkItemError, id="priority-11"
        ),
        pytest.param([{"description": "x", "colour": "red"}], InvalidWorkItemError, id="unknown"),
        pytest.param(["write it"], InvalidWorkItemError, id="no-mapping"),
        pytest.param([None], InvalidWorkItemError, id="none"),
        pytest.param(
            [{"id": "a", "description": "x"}, {"id": "a", "description": "y"}],
            DuplicateWorkItemError,
            id="same-id-twice",
        ),
        pytest.param(
            [{"id": "a", "description": "x", "dependencies": ["b"]}],
            UnknownDependencyError,
            id="dangling",
        ),
        pytest.param(
            [
                {"id": "a", "description": "x", "dependencies": ["b"]},
                {"id": "b", "description": "y", "dependencies": ["a"]},
            ],
            DependencyCycleError,
            id="cycle",
        ),
    ],
)
async def test_bad_items_are_refused_and_leave_no_trace(
    cast: Cast, items: list[dict[str, object]], error: type[WorkError]
) -> None:
    async with cast.tree() as tree:
        before = tree.journal.last_seq
        with pytest.raises(error):
            await tree.submit_all(items)

        assert tree.journal.last_seq == before
        assert tree.is_healthy()
        good = await tree.submit({"id": "a", "description": "x"})
        assert (await good.result(timeout=5)).success


async def test_an_id_can_be_used_once_only(cast: Cast) -> None:
    async with cast.tree() as tree:
        first = await tree.submit({"id": "a", "description": "x"})
        with pytest.raises(DuplicateWorkItemError):
            await tree.submit({"id": "a", "description": "y"})
        assert (await first.result(timeout=5)).success, "the first one is not hurt by it"


async def test_a_full_queue_refuses_more(cast: Cast) -> None:
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    async with cast.tree(SupervisionConfig(queue_capacity=2)) as tree:
        handles = [await tree.submit({"description": "x"}) for _ in range(2)]
        with pytest.raises(QueueFullError):
            await tree.submit({"description": "x"})
        gate.set()
        await asyncio.gather(*(handle.result(timeout=5) for handle in handles))
        assert (await (await tree.submit({"description": "x"})).result(timeout=5)).success


async def test_no_more_attempts_run_at_once_than_the_tree_allows(cast: Cast) -> None:
    two_at_once = asyncio.Barrier(2)

    async def meet(call: Call) -> WorkResult:
        await two_at_once.wait()
        return done(call)

    cast.executor.answer = meet
    async with cast.tree(SupervisionConfig(max_concurrent_agents=2)) as tree:
        handles = await tree.submit_all({"description": f"item {n}"} for n in range(6))
        await asyncio.gather(*(handle.result(timeout=5) for handle in handles))
    assert cast.executor.most_at_work == 2


async def test_the_highest_priority_goes_first_and_equals_in_order(cast: Cast) -> None:
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    async with cast.tree(SupervisionConfig(max_concurrent_agents=1)) as tree:
        items = [("first", 5), ("low", 1), ("high", 9), ("later", 5), ("high-too", 9)]
        handles = [
            await tree.submit({"id": name, "description": name, "priority": priority})
            for name, priority in items
        ]
        gate.set()
        await asyncio.gather(*(handle.result(timeout=5) for handle in handles))
    order = [call.item.id for call in cast.executor.calls]
    assert order == ["first", "high", "high-too", "later", "low"]


async def test_a_caller_that_stops_waiting_leaves_the_item_alone(cast: Cast) -> None:
    gate = asyncio.Event()
    cast.executor.answer = after(gate)
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        with pytest.raises(ResultTimeoutError) as caught:
            await handle.result(timeout=0.001)
        assert caught.value.item_id == handle.id
        assert "active" in str(caught.value)
        gate.set()
        assert (await handle.result(timeout=5)).success


async def test_an_item_that_takes_too_long_is_cancelled_and_tried_again(cast: Cast) -> None:
    async def hang_once(call: Call) -> WorkResult:
        if call.attempt == 1:
            await asyncio.Event().wait()
        return done(call)

    cast.executor.answer = hang_once
    async with cast.tree() as tree:
        # On a busy machine 5 ms may be too little for later attempts, too.
        item = {"id": "slow", "description": "x", "timeout_s": 0.005, "max_attempts": 1000}
        result = await (await tree.submit(item | {"review": False})).result(timeout=30)
    assert result.success
    assert result.attempt > 1
    assert cast.executor.cancelled[0] == "slow"


async def test_a_cancelled_item_stops_whoever_works_on_it(cast: Cast) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: Call) -> WorkResult:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("nobody lets it go on")

    cast.executor.answer = hang
    async with cast.tree() as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        other = await tree.submit({"id": "b", "description": "x", "dependencies": ["a"]})
        await begun.wait()

        assert await handle.cancel("changed my mind")
        result = await handle.result(timeout=5)
        dependent = await other.result(timeout=5)
        await ended.wait()

        assert result.error is not None
        assert result.error.code == "cancelled"
        assert handle.state is WorkState.CANCELLED
        assert cast.executor.cancelled == ["a"]
        assert dependent.error is not None
        assert dependent.error.code == "dependency_failed"
        assert not await handle.cancel(), "there is nothing left to cancel"


async def test_a_handle_can_be_had_again_by_id(cast: Cast) -> None:
    async with cast.tree() as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        await handle.result(timeout=5)
        assert (await tree.handle("a").result(timeout=5)).success
        with pytest.raises(UnknownWorkItemError):
            tree.handle("b")


async def test_the_project_goes_through_its_phases_one_by_one(cast: Cast) -> None:
    async with cast.tree() as tree:
        phases = [tree.phase]
        await tree.advance_phase(Phase.SPEC_TO_FULL_SPEC)
        with pytest.raises(IllegalPhaseTransitionError):
            await tree.advance_phase(Phase.COMPLETE)
        assert [*phases, tree.phase] == [Phase.PROMPT_TO_SPEC, Phase.SPEC_TO_FULL_SPEC]


async def test_tokens_of_work_reviews_and_guidance_are_counted_once(cast: Cast) -> None:
    async with cast.tree() as tree:
        await (await tree.submit({"description": "x"})).result(timeout=5)
        counted = tree.metrics.snapshot()
    assert counted.facts["work_completed"] == 1
    assert counted.attempts.count == 1


def after(gate: asyncio.Event) -> Answer:
    async def answer(call: Call) -> WorkResult:
        await gate.wait()
        return done(call)

    return answer
