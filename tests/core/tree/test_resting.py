"""Failures that say when the same may go well again: the item rests, and nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.claude.policies import (
    CircuitSettings,
    PolicySettings,
    RateLimitSettings,
    RetrySettings,
)
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.events import WorkClaimed, WorkReleased
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, Failure, WorkResult, WorkState
from pytest_mnemosyne import ScriptedClaude
from pytest_mnemosyne.simulation import FaultPlan, FaultyTransport, VirtualClock
from tests.core.claude.policies.doubles import HELLO, FakeClaude, status
from tests.core.tree.cast import Call, Cast, done
from tests.core.tree.laws import assert_lawful

PATIENT_RETRY = PolicySettings(retry=RetrySettings(max_retry_after_s=60))
"""The API's longer waits are left to the item."""

EPOCH = datetime(2026, 11, 22, tzinfo=UTC)


def item(name: str, **fields: object) -> dict[str, object]:
    return {"id": name, "description": f"do {name}", "review": False, **fields}


def busy(call: Call, retry_after_s: float | None) -> WorkResult:
    failure = Failure(code="busy", message="come back later", retry_after_s=retry_after_s)
    return WorkResult.failed(call.item, failure, attempt=call.attempt)


def refuse_first_attempts(cast: Cast, **retry_after_s: float | None) -> None:
    """Have the first attempt at each of these items refused, with this to say of when."""

    async def answer(call: Call) -> WorkResult:
        if call.attempt == 1 and call.item.id in retry_after_s:
            return busy(call, retry_after_s[call.item.id])
        return done(call)

    cast.executor.answer = answer


def tree_of(cast: Cast, clock: Clock, **fields: object) -> SupervisionTree:
    config = SupervisionConfig.model_validate(fields)
    return SupervisionTree(config, agents=cast.makers(), ids=CountedIds(), clock=clock)


def claims(tree: SupervisionTree) -> list[tuple[str, int, float]]:
    """Item, attempt, and seconds since the tree's start, of every attempt."""
    events = tree.journal.events()
    return [
        (event.fact.item_id, event.attempt, round((event.at - events[0].at).total_seconds(), 3))
        for event in events
        if isinstance(event.fact, WorkClaimed)
    ]


def rests(tree: SupervisionTree) -> dict[str, list[float | None]]:
    """How long each item was to rest after each of its attempts, in seconds."""
    found: dict[str, list[float | None]] = {}
    for event in tree.journal.events():
        if isinstance(event.fact, WorkReleased):
            until = event.fact.not_before
            rest_s = None if until is None else round((until - event.at).total_seconds(), 3)
            found.setdefault(event.fact.item_id, []).append(rest_s)
    return found


# --- what Claude and the policies say ---


@asynccontextmanager
async def tree_behind(
    plan: str, clock: VirtualClock, folder: Path
) -> AsyncIterator[SupervisionTree]:
    """A tree of one agent at a time, whose network has the faults of `plan`."""
    scripted = ScriptedClaude()
    scripted.reply("It is done.", times=None)
    transport = FaultyTransport(scripted.transport(), FaultPlan.parse(plan))
    config = SupervisionConfig(workspace=folder, claude=PATIENT_RETRY, max_concurrent_agents=1)
    async with scripted.client(http_client=httpx2.AsyncClient(transport=transport)) as sdk:
        client = AnthropicClient(sdk)
        async with SupervisionTree(config, client=client, clock=clock, ids=CountedIds()) as tree:
            yield tree
            assert_lawful(tree)
    transport.check_met()


async def test_items_refused_with_a_retry_after_come_back_then_and_others_are_done_at_once(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    plan = "status(429, retry_after=600, agent='executor', count=3)"
    async with tree_behind(plan, virtual_clock, tmp_path) as tree:
        refused = await tree.submit_all(item(name) for name in "abc")
        other = await tree.submit(item("other", role="orchestrator", priority=0))

        assert (await other.result()).success
        assert virtual_clock.monotonic() < 1
        results = [await handle.result() for handle in refused]

        assert [(each.success, each.attempt) for each in results] == [(True, 2)] * 3
        assert rests(tree) == {name: [600.0] for name in "abc"}
        again = [(name, at_s) for name, attempt, at_s in claims(tree) if attempt == 2]
        assert again == [(name, 600.0) for name in "abc"]


async def test_a_retry_after_that_nobody_waits_for_fails_the_item_and_says_so(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    async with tree_behind("status(429, retry_after=7200)", virtual_clock, tmp_path) as tree:
        result = await (await tree.submit(item("a"))).result()

        assert result.error is not None
        assert (result.error.code, result.attempt) == ("retry_too_late", 1)
        assert result.error.retry_after_s == 7200
        assert virtual_clock.monotonic() < 1


async def test_an_item_outlasts_an_open_circuit_while_others_are_done(
    cast: Cast, virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    claude = FakeClaude(status(529), HELLO)
    policies = PolicySettings(circuit=CircuitSettings(consecutive_failures=1, open_s=30))
    makers = {AgentRole.ORCHESTRATOR: cast.makers()[AgentRole.ORCHESTRATOR]}
    config = SupervisionConfig(workspace=tmp_path, claude=policies)
    tree = SupervisionTree(config, client=claude, agents=makers, clock=virtual_clock)
    async with tree:
        refused, other = await tree.submit_all([item("a"), item("b", role="orchestrator")])

        assert (await other.result()).success
        assert virtual_clock.monotonic() < 1
        result = await refused.result()

        # The first attempt opens the circuit and says nothing of when, the second is refused.
        assert (result.success, result.attempt) == (True, 3)
        assert rests(tree) == {"a": [10.0, 20.0]}
        assert claude.asked_at == [0, 30]
        assert_lawful(tree)


async def test_items_that_meet_a_circuit_while_it_is_tried_do_not_run_out_of_attempts(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    claude = FakeClaude(status(529), HELLO, took_s=5)
    policies = PolicySettings(circuit=CircuitSettings(consecutive_failures=1, open_s=30))
    config = SupervisionConfig(workspace=tmp_path, claude=policies)
    async with SupervisionTree(config, client=claude, clock=virtual_clock) as tree:
        first = await tree.submit(item("a"))
        await tree.state.wait_until(lambda state: state.items["a"].not_before, 60)
        others = await tree.submit_all(item(name) for name in "bcd")
        results = [await handle.result() for handle in (first, *others)]

        assert all(result.success for result in results)
        assert rests(tree) == {"a": [10.0, 20.0]} | {name: [30.0, 10.0] for name in "bcd"}
        assert_lawful(tree)


async def test_an_outage_that_says_nothing_of_when_is_waited_for_longer_and_longer(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    plan = "status(529, should_retry=False, agent='executor', count=2)"
    async with tree_behind(plan, virtual_clock, tmp_path) as tree:
        result = await (await tree.submit(item("a"))).result()

        assert (result.success, result.attempt) == (True, 3)
        assert rests(tree) == {"a": [10.0, 20.0]}


async def test_who_wants_no_rest_says_so(virtual_clock: VirtualClock, tmp_path: Path) -> None:
    claude = FakeClaude(status(529), HELLO)
    config = SupervisionConfig(workspace=tmp_path, max_retry_after_s=0)
    async with SupervisionTree(config, client=claude, clock=virtual_clock) as tree:
        assert (await (await tree.submit(item("a"))).result()).success
        assert rests(tree) == {"a": [None]}
        assert virtual_clock.monotonic() == 0


async def test_an_item_comes_back_when_the_rate_limit_has_room(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    claude = FakeClaude()
    limit = RateLimitSettings(requests_per_minute=1, max_wait_s=5)
    config = SupervisionConfig(workspace=tmp_path, claude=PolicySettings(rate_limit=limit))
    async with SupervisionTree(config, client=claude, clock=virtual_clock) as tree:
        handles = await tree.submit_all(item(name) for name in "ab")
        results = [await handle.result() for handle in handles]

        assert [(each.success, each.attempt) for each in results] == [(True, 1), (True, 2)]
        assert rests(tree) == {"b": [60.0]}
        assert_lawful(tree)


# --- who is claimed when ---


async def test_items_come_back_each_at_its_own_moment(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, late=600, soon=60, now=None)
    async with tree_of(cast, virtual_clock) as tree:
        handles = await tree.submit_all(item(name) for name in ("late", "soon", "now"))
        for handle in handles:
            assert (await handle.result()).success

        again = {name: at_s for name, attempt, at_s in claims(tree) if attempt == 2}
        assert again == {"late": 600.0, "soon": 60.0, "now": 0.0}
        assert_lawful(tree)


def alarms() -> int:
    """How many tasks of the orchestrator wait for a moment."""
    return sum("alarm" in task.get_name() for task in asyncio.all_tasks())


async def test_one_timer_waits_for_all_of_them_and_none_for_nobody(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, late=600, soon=60, middle=300)
    async with tree_of(cast, virtual_clock) as tree:
        handles = [await tree.submit(item(name)) for name in ("late", "soon", "middle")]
        await tree.state.wait_until(lambda state: state.items["middle"].not_before, 30)
        await virtual_clock.settle()
        assert alarms() == 1

        await handles[1].cancel()
        await virtual_clock.settle()
        assert alarms() == 1
        await handles[2].result()
        await handles[0].cancel()
        await virtual_clock.settle()
        assert alarms() == 0
        assert [at_s for _, attempt, at_s in claims(tree) if attempt == 2] == [300.0]


class LateClock:
    """A clock that is always a little behind the loop's, as a timer that comes early would see."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * 0.999

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic())


async def test_a_timer_that_comes_a_little_early_loses_no_item(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, a=600)
    async with tree_of(cast, LateClock()) as tree:
        result = await (await tree.submit(item("a"))).result()

        assert (result.success, result.attempt) == (True, 2)
        assert virtual_clock.monotonic() == pytest.approx(600 / 0.999)


async def test_an_item_that_rests_says_until_when_and_no_longer(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, a=600)
    async with tree_of(cast, virtual_clock) as tree:
        began = virtual_clock.now()
        handle = await tree.submit(item("a"))
        await tree.state.wait_until(lambda state: state.items["a"].attempt == 2, 60)

        resting = tree.state.snapshot().items["a"]
        assert (resting.state, resting.worker) == (WorkState.WAITING, None)
        assert resting.not_before == began + timedelta(seconds=600)
        await handle.result()
        assert tree.state.snapshot().items["a"].not_before is None


async def test_a_review_that_is_refused_has_the_item_rest(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    review = cast.reviewer.answer

    async def refuse_once(call: Call) -> WorkResult:
        return busy(call, 90) if call.attempt == 1 else await review(call)

    cast.reviewer.answer = refuse_once
    async with tree_of(cast, virtual_clock) as tree:
        result = await (await tree.submit(item("a", review=True))).result()

        assert (result.success, result.attempt) == (True, 2)
        assert claims(tree) == [("a", 1, 0.0), ("a", 2, 90.0)]
        assert_lawful(tree)


async def test_the_last_attempt_is_not_waited_for(cast: Cast, virtual_clock: VirtualClock) -> None:
    async def always_busy(call: Call) -> WorkResult:
        return busy(call, 60)

    cast.executor.answer = always_busy
    async with tree_of(cast, virtual_clock) as tree:
        result = await (await tree.submit(item("a", max_attempts=2))).result()

        assert result.error is not None
        assert (result.error.code, result.attempt) == ("attempts_exhausted", 2)
        assert virtual_clock.monotonic() == 60
        assert_lawful(tree)


async def test_an_item_that_rests_can_be_cancelled_and_keeps_no_tree_from_stopping(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, a=600, b=900)
    async with tree_of(cast, virtual_clock) as tree:
        a, _ = await tree.submit_all([item("a"), item("b")])
        await tree.state.wait_until(lambda state: state.items["b"].not_before, 60)

        assert await a.cancel()
        await virtual_clock.advance(700)
        assert [name for name, *_ in claims(tree)] == ["a", "b"]
    assert virtual_clock.monotonic() == 700


async def test_nothing_begins_while_the_orchestrator_is_stopping(
    cast: Cast, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly() -> None:
        await asyncio.sleep(3)

    monkeypatch.setattr(cast.orchestrator, "stop_session", slowly)
    refuse_first_attempts(cast, a=60)
    async with tree_of(cast, virtual_clock) as tree:
        handle = await tree.submit(item("a"))
        await virtual_clock.advance(59)
        await tree.restart_agent("orchestrator")

        assert (await handle.result()).attempt == 2
        assert claims(tree) == [("a", 1, 0.0), ("a", 2, 62.0)]
        assert_lawful(tree)


# --- what survives ---


async def test_an_orchestrator_that_is_replaced_keeps_to_the_moment(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    refuse_first_attempts(cast, a=600)
    async with tree_of(cast, virtual_clock) as tree:
        handle = await tree.submit(item("a"))
        await tree.state.wait_until(lambda state: state.items["a"].not_before, 60)
        await virtual_clock.advance(200)
        await tree.restart_agent("orchestrator")

        assert (await handle.result()).attempt == 2
        assert claims(tree) == [("a", 1, 0.0), ("a", 2, 600.0)]
        assert_lawful(tree)


@pytest.mark.parametrize(
    ("away_s", "claimed_after_s"),
    [
        pytest.param(400, 200, id="before-the-moment"),
        pytest.param(600, 0, id="at-the-moment"),
        pytest.param(5_000, 0, id="long-after-it"),
        pytest.param(-86_400, 1_000, id="with-a-clock-that-was-set-back"),
    ],
)
async def test_a_tree_that_goes_on_from_the_database_keeps_to_the_moment(
    cast: Cast,
    virtual_clock: VirtualClock,
    tmp_path: Path,
    away_s: float,
    claimed_after_s: float,
) -> None:
    refuse_first_attempts(cast, a=600)
    bounds = {"database": tmp_path / "tree.db", "max_retry_after_s": 1_000}
    async with tree_of(cast, LoopClock(epoch=EPOCH), **bounds) as tree:
        await tree.submit(item("a"))
        await tree.state.wait_until(lambda state: state.items["a"].not_before, 60)

    later = LoopClock(epoch=EPOCH + timedelta(seconds=away_s))
    async with tree_of(cast, later, **bounds) as tree:
        began_s = virtual_clock.monotonic()
        result = await tree.handle("a").result()

        assert (result.success, result.attempt) == (True, 2)
        assert virtual_clock.monotonic() - began_s == claimed_after_s
