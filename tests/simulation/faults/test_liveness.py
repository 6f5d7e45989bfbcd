"""A whole tree under faults that stop: everything comes right again, in bounded time."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.ids import CountedIds
from mnemosyne_core.supervision import Strategy
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import WorkResult
from pytest_mnemosyne.simulation import assert_recovers
from pytest_mnemosyne.simulation.draws import Seeded
from pytest_mnemosyne.simulation.faults import FaultPlan, PlannedFailpoints, RunningPlan
from tests.core.tree.cast import Call, Cast, done

pytestmark = pytest.mark.virtual_time

CONFIG = SupervisionConfig(max_restarts=50, restart_period_s=60, default_timeout_s=30)


def failpoints_of(plan: str) -> PlannedFailpoints:
    return PlannedFailpoints(RunningPlan(FaultPlan.parse(plan), draws=Seeded(7)))


async def come_right(failpoints: PlannedFailpoints, config: SupervisionConfig = CONFIG) -> None:
    """Have a tree of quick agents do three items, one after another, under a plan."""
    cast = Cast()

    async def work(call: Call) -> WorkResult:
        await asyncio.sleep(1)
        return done(call)

    cast.executor.answer = work
    tree = SupervisionTree(config, agents=cast.makers(), ids=CountedIds(), failpoints=failpoints)
    async with tree:
        handles = await tree.submit_all(
            [
                {"id": "a", "description": "x"},
                {"id": "b", "description": "y", "dependencies": ["a"]},
                {"id": "c", "description": "z"},
            ]
        )
        await assert_recovers(tree, within_s=600)

        assert all([(await handle.result()).success for handle in handles])
    await failpoints.release()
    failpoints.check_met()


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param("crash(agent='executor', message='Delegate', count=2)", id="crash"),
        pytest.param("crash(agent='reviewer', call=2)", id="crash-of-the-reviewer"),
        pytest.param(
            "crash(agent='orchestrator', at='idle', after_s=1.5)", id="crash-of-the-orchestrator"
        ),
        pytest.param("crash(agent='executor', at='idle', after_s=1.5)", id="idle"),
        pytest.param(
            "crash(agent='executor', call=1); crash(agent='executor', at='start', call=2, count=3)",
            id="starts-fail",
        ),
        pytest.param("slow(20, agent='executor', message='Delegate', count=2)", id="slow"),
        pytest.param("foreign_cancel(agent='executor', message='Delegate')", id="foreign_cancel"),
        pytest.param("exit_normally(agent='executor', at='idle')", id="exit_normally"),
        pytest.param("exit_normally(agent='executor', message='Delegate')", id="exit_with_work"),
        pytest.param("die_asking(agent='orchestrator')", id="die_asking"),
        pytest.param("leak_task(agent='executor')", id="leak_task"),
    ],
)
async def test_a_tree_recovers_from_faults_of_actors(plan: str) -> None:
    await come_right(failpoints_of(plan))


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param("crash_storm(2, agent='executor', count=2)", id="storm"),
        pytest.param("crash_storm(0.5, agent='orchestrator', count=3)", id="orchestrator"),
        pytest.param(
            "crash(agent='executor'); crash_in_restart(agent='reviewer')", id="crash_in_restart"
        ),
        pytest.param("crash_in_shutdown(agent='reviewer')", id="crash_in_shutdown"),
    ],
)
@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_tree_recovers_from_faults_of_its_supervisor(plan: str, strategy: Strategy) -> None:
    await come_right(failpoints_of(plan), CONFIG.model_copy(update={"strategy": strategy}))


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param("delay(10, agent='executor', count=3)", id="late-work"),
        pytest.param("delay(0, up_to_s=5, count=20)", id="late-by-chance"),
        pytest.param("duplicate(agent='executor')", id="duplicate"),
        pytest.param("reorder(1, agent='orchestrator', count=None)", id="reorder"),
        pytest.param("overflow(2, agent='executor', message='Delegate')", id="overflow"),
        pytest.param("lose(agent='orchestrator', message='Wake', count=3)", id="lost-wake-up"),
    ],
)
async def test_a_tree_recovers_from_faults_of_mailboxes(plan: str) -> None:
    await come_right(failpoints_of(plan))


async def test_who_follows_a_tree_too_slowly_is_told_and_sees_its_end() -> None:
    failpoints = failpoints_of("slow_subscriber(30, message='work_submitted'); lag(call=3)")
    tree = SupervisionTree(CONFIG, agents=Cast().makers(), ids=CountedIds(), failpoints=failpoints)
    async with tree:
        with tree.broadcaster.subscribe() as subscription:
            await tree.submit({"id": "a", "description": "x"})
            kinds = []
            async for event in subscription:
                kinds.append(getattr(event, "kind", "lagged"))
                if kinds[-1] == "work_completed":
                    break

    assert "lagged" in kinds
    assert kinds[-1] == "work_completed"
    assert asyncio.get_running_loop().time() >= 30
    failpoints.check_met()
