"""The executor with several items at once: who works, who is told, and what an end ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import pytest

from mnemosyne_core import lane
from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.events import Event
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.supervision import Supervisor
from mnemosyne_core.tree import AgentMaker, AgentPlace, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult, WorkState
from pytest_mnemosyne.simulation import VirtualClock, assert_recovers
from pytest_mnemosyne.simulation.draws import Seeded
from pytest_mnemosyne.simulation.faults import FaultPlan, PlannedFailpoints, RunningPlan
from pytest_mnemosyne.simulation.loop import VirtualLoop, leftovers
from pytest_mnemosyne.simulation.schedules import Pct, Policy, Schedule
from pytest_mnemosyne.simulation.schedules import Random as AnyOrder
from tests.core.tree.cast import Call, Cast, done, failed
from tests.core.tree.laws import assert_lawful

FIRST, SECOND, THIRD = "executor", "executor/sub-1", "executor/sub-2"


@dataclass
class Crew:
    """The executor's agents, each at its path; an item is done when the test says so."""

    lanes: list[tuple[str, lane.Lane | None]] = field(default_factory=list)
    """Item ids, and the lane in which they were worked on."""
    at_work: dict[str, str] = field(default_factory=dict)
    """Paths by item id."""
    most_at_work: int = 0
    missing: set[str] = field(default_factory=set)
    """Paths of agents that cannot start."""
    failing: set[str] = field(default_factory=set)
    """Paths of agents whose work fails."""
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    """Paths and item ids."""
    slow_start_s: float = 0.0
    """Of sub-agents."""
    slow_cancel_s: float = 0.0
    slow_end_s: float = 0.0
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    all_open: bool = False

    def makers(self) -> Mapping[AgentRole, AgentMaker]:
        return {**Cast().makers(), AgentRole.EXECUTOR: lambda place: OneOfCrew(self, place)}

    def let_go(self, *items: str) -> None:
        for item in items:
            self.gates[item].set()

    def let_all_go(self) -> None:
        self.all_open = True
        self.let_go(*self.gates)


@dataclass
class OneOfCrew:
    crew: Crew
    place: AgentPlace
    role: AgentRole = AgentRole.EXECUTOR

    async def start_session(self) -> None:
        if self.place.path != FIRST:
            await asyncio.sleep(self.crew.slow_start_s)
        if self.place.path in self.crew.missing:
            raise OSError(2, "No such file or directory", f"/lost/by/{self.place.path}")

    async def stop_session(self) -> None:
        await asyncio.sleep(self.crew.slow_end_s)

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        crew, path = self.crew, self.place.path
        call = Call(item, attempt, guidance)
        crew.lanes.append((item.id, lane.current.get()))
        assert path not in crew.at_work.values(), f"{path} has two items at once"
        crew.at_work[item.id] = path
        crew.most_at_work = max(crew.most_at_work, len(crew.at_work))
        gate = crew.gates.setdefault(item.id, asyncio.Event())
        try:
            if not crew.all_open:
                await gate.wait()
        except asyncio.CancelledError:
            crew.cancelled.append((path, item.id))
            await asyncio.sleep(crew.slow_cancel_s)
            raise
        finally:
            del crew.at_work[item.id]
        return failed(call) if path in crew.failing else done(call, path)


@pytest.fixture
def crew() -> Crew:
    return Crew()


def tree_of(crew: Crew, clock: VirtualClock, **fields: object) -> SupervisionTree:
    config = SupervisionConfig.model_validate({"max_concurrent_agents": 3, **fields})
    return SupervisionTree(config, agents=crew.makers(), ids=CountedIds(), clock=clock)


def items(*ids: str, **fields: object) -> list[dict[str, object]]:
    return [{"id": each, "description": "x", "review": False, **fields} for each in ids]


def of_kind(tree: SupervisionTree, kind: str, agent: str | None = None) -> list[Event]:
    return [e for e in tree.journal.events(kind=kind) if agent in (None, e.agent)]


def crash(tree: SupervisionTree, path: str) -> None:
    """Cancel the task of the actor at `path` from outside."""
    supervisor: Supervisor = tree._supervisor  # type: ignore[assignment]
    owner, _, child = path.rpartition("/")
    under = supervisor.nested(owner) if owner else supervisor
    under._loop.children.get(child).life.task.cancel()  # type: ignore[union-attr]


# --- who works -----------------------------------------------------------------------------


async def test_while_the_executor_is_busy_items_go_to_sub_agents_which_are_kept(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        assert crew.at_work == {"a": FIRST, "b": SECOND, "c": THIRD}

        crew.let_go("a", "b", "c")
        await virtual_clock.settle()
        await tree.submit_all(items("d", "e"))
        await virtual_clock.settle()
        assert crew.at_work == {"d": FIRST, "e": SECOND}
        assert [child.incarnation for child in tree.sub_agents()] == [1, 1]
        crew.let_all_go()
        assert_lawful(tree)


async def test_one_item_after_the_other_needs_no_sub_agent(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.all_open = True
    async with tree_of(crew, virtual_clock) as tree:
        for item in items("a", "b", "c"):
            assert (await (await tree.submit(item)).result()).data == FIRST
        assert tree.sub_agents() == ()


async def test_an_executor_that_may_have_one_agent_has_one(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock, max_concurrent_agents=1) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        assert crew.at_work == {"a": FIRST}
        crew.let_all_go()
        await tree.handle("b").result()
        assert tree.sub_agents() == ()


async def test_each_agent_asks_claude_in_its_own_lane(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        crew.let_all_go()
    assert crew.lanes == [("a", lane.Lane(FIRST)), ("b", lane.Lane(SECOND))]


async def test_every_agent_is_registered_and_gives_signs_of_life(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.advance(61)
        (registered,) = of_kind(tree, "agent_registered", SECOND)
        assert registered.fact.role is AgentRole.EXECUTOR  # type: ignore[union-attr]
        assert len(of_kind(tree, "agent_heartbeat", SECOND)) == 3
        assert tree.state.agent(SECOND).items == ("b",)  # type: ignore[union-attr]
        crew.let_all_go()


async def test_the_start_of_a_sub_agent_is_told_as_what_the_item_led_to(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        (started,) = of_kind(tree, "child_started", SECOND)
        assert started.by is not None
        cause = tree.journal.events()[started.by - 1]
        assert (cause.kind, cause.fact.item_id) == ("work_claimed", "b")  # type: ignore[union-attr]
        crew.let_all_go()


# --- what is told --------------------------------------------------------------------------


async def test_the_tree_lists_its_sub_agents_apart_from_its_roles(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        assert [child.path for child in tree.sub_agents()] == [SECOND, THIRD]
        assert {child.path for child in tree.children()} == {role.value for role in AgentRole}
        health = tree.health()
        assert set(health.agents) == set(AgentRole)
        assert {path: each.is_well for path, each in health.sub_agents.items()} == {
            SECOND: True,
            THIRD: True,
        }
        assert tree.is_healthy()
        crew.let_all_go()
    assert tree.sub_agents() == ()
    assert tree.health().sub_agents == {}


async def test_a_tree_with_an_unwell_sub_agent_is_degraded_and_says_which(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.missing = {SECOND}
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        health = tree.health()
        assert health.status == "degraded"
        ill = health.sub_agents[SECOND]
        assert f"/lost/by/{SECOND}" in (ill.reason or "")
        assert (ill.can, ill.cannot) == ("the role's other agents do its items", None)
        assert ill.tries_again
        assert health.agents[AgentRole.EXECUTOR].is_well
        crew.let_all_go()


async def test_a_sub_agent_that_is_still_starting_is_no_trouble(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.slow_start_s = 5
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        assert tree.is_healthy()
        assert crew.at_work == {"a": FIRST}
        crew.let_go("a")
        await virtual_clock.settle()
        assert crew.at_work == {"b": FIRST}, "it does not wait for who is not there yet"
        await virtual_clock.advance(5)
        assert tree.health().sub_agents[SECOND].is_well
        crew.let_all_go()


async def test_a_sub_agent_that_fails_too_often_is_replaced_alone(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.failing = {SECOND}
    bridge = BridgeSettings(degraded_after=1, restart_after=2)
    async with tree_of(crew, virtual_clock, bridge=bridge) as tree:
        await tree.submit_all(items("a", "b", max_attempts=2))
        await virtual_clock.settle()
        crew.let_go("b")
        await tree.handle("b").result()
        assert [e.agent for e in of_kind(tree, "agent_restarted")] == [SECOND]
        assert tree.health().sub_agents[SECOND].restarts == 1
        assert tree.sub_agents()[0].incarnation == 1
        assert crew.at_work == {"a": FIRST}
        crew.let_all_go()


# --- who cannot start ----------------------------------------------------------------------


async def test_items_wait_in_order_for_who_works_when_a_sub_agent_cannot_start(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.missing = {SECOND, THIRD}
    async with tree_of(crew, virtual_clock) as tree:
        handles = await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        assert crew.at_work == {"a": FIRST}
        crew.let_all_go()
        results = [await handle.result() for handle in handles]
        assert [(result.success, result.attempt) for result in results] == [(True, 1)] * 3
        assert crew.lanes == [(item, lane.Lane(FIRST)) for item in ("a", "b", "c")]
        assert_lawful(tree)


async def test_what_the_agents_that_work_cannot_do_yet_waits_in_the_queue_by_priority(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.missing = {SECOND, THIRD}
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        crew.let_all_go()
        await virtual_clock.settle()
        crew.all_open = False

        await tree.submit_all(items("d"))
        await tree.submit_all(items("e"))
        await tree.submit_all(items("f", priority=9))
        await virtual_clock.settle()
        assert tree.state.snapshot().item_counts()[WorkState.ACTIVE] == 1
        for item in ("d", "f", "e"):
            await virtual_clock.advance(290)
            crew.let_go(item)
        results = [await tree.handle(each).result() for each in "def"]
        assert [(result.success, result.attempt) for result in results] == [(True, 1)] * 3
        assert_lawful(tree)


async def test_a_sub_agent_that_comes_later_takes_what_waits(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.missing = {SECOND}
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        crew.missing = set()
        await virtual_clock.advance(5)
        assert crew.at_work == {"a": FIRST, "b": SECOND}
        assert tree.is_healthy()
        crew.let_all_go()


@pytest.mark.parametrize("policy", MissingAgent)
async def test_without_its_own_agent_the_executor_works_with_those_that_it_has(
    crew: Crew, virtual_clock: VirtualClock, policy: MissingAgent
) -> None:
    bridge = BridgeSettings(degraded_after=1, restart_after=1)
    async with tree_of(crew, virtual_clock, missing_agent=policy, bridge=bridge) as tree:
        await tree.submit_all(items("a", "b", max_attempts=1))
        await virtual_clock.settle()
        crew.missing, crew.failing = {FIRST}, {FIRST}
        crew.let_all_go()
        await virtual_clock.settle()
        health = tree.health().agents[AgentRole.EXECUTOR]
        assert (health.can, health.cannot) == ("the role's other agents do its items", None)

        (handle,) = await tree.submit_all(items("c"))
        assert (await handle.result()).data == SECOND


async def test_only_when_none_of_its_agents_works_an_item_fails(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    crew.missing = {FIRST}
    async with tree_of(crew, virtual_clock) as tree:
        (handle,) = await tree.submit_all(items("a"))
        error = (await handle.result()).error
        assert error is not None
        assert error.code == "agent_unavailable"
        assert f"/lost/by/{FIRST}" in error.message
        assert tree.sub_agents() == (), "another one would lack the same"


async def test_or_waits_until_one_of_them_does(crew: Crew, virtual_clock: VirtualClock) -> None:
    crew.missing = {FIRST}
    async with tree_of(crew, virtual_clock, missing_agent=MissingAgent.WAIT) as tree:
        (handle,) = await tree.submit_all(items("a"))
        await virtual_clock.settle()
        crew.missing, crew.all_open = set(), True
        result = await handle.result()
        assert (result.success, result.attempt) == (True, 1)


# --- ends ----------------------------------------------------------------------------------


async def test_the_crash_of_a_sub_agent_concerns_its_item_alone(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        handles = await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        crash(tree, SECOND)
        await virtual_clock.settle()
        assert crew.at_work == {"a": FIRST, "b": SECOND, "c": THIRD}
        crew.let_all_go()
        results = [await handle.result() for handle in handles]
        assert [(r.success, r.attempt) for r in results] == [(True, 1), (True, 2), (True, 1)]
        assert [c.incarnation for c in tree.sub_agents()] == [2, 1]
        assert [c.incarnation for c in tree.children()] == [1] * 4
        assert_lawful(tree)


async def test_a_crash_of_the_executor_ends_its_sub_agents_and_all_items_go_round_again(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        handles = await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        crash(tree, FIRST)
        await virtual_clock.settle()
        assert sorted(crew.cancelled) == [(FIRST, "a"), (SECOND, "b"), (THIRD, "c")]
        assert sorted(crew.at_work.values()) == [FIRST, SECOND, THIRD]
        crew.let_all_go()
        results = [await handle.result() for handle in handles]
        assert [(result.success, result.attempt) for result in results] == [(True, 2)] * 3
        assert tree.is_healthy()
        assert_lawful(tree)


async def test_an_executor_that_is_restarted_begins_without_sub_agents(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        crew.let_all_go()
        await virtual_clock.settle()
        await tree.restart_agent(AgentRole.EXECUTOR)
        assert tree.sub_agents() == ()
        assert tree.is_healthy()
        assert tree.health().sub_agents == {}


async def test_sub_agents_that_crash_too_often_take_the_executor_with_them(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock, max_restarts=1) as tree:
        handles = await tree.submit_all(items("a", "b", max_attempts=5))
        for _ in range(2):
            await virtual_clock.settle()
            crash(tree, SECOND)
        await virtual_clock.settle()
        restarted = {child.path: child.incarnation for child in tree.children()}
        assert restarted[FIRST] == 2
        crew.let_all_go()
        for handle in handles:
            assert (await handle.result()).success
        assert_lawful(tree)


@pytest.mark.parametrize("path", [FIRST, SECOND, THIRD])
async def test_an_item_is_taken_back_from_the_agent_that_has_it(
    crew: Crew, virtual_clock: VirtualClock, path: str
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        item_id = next(item for item, at in crew.at_work.items() if at == path)
        await tree.handle(item_id).cancel()
        await virtual_clock.settle()
        assert crew.cancelled == [(path, item_id)]
        await tree.submit_all(items("d"))
        await virtual_clock.settle()
        assert crew.at_work["d"] == path
        crew.let_all_go()
        assert_lawful(tree)


@pytest.mark.parametrize("item_id", ["a", "b"])
async def test_an_agent_has_no_other_item_before_it_has_let_go_of_the_one_taken_back(
    crew: Crew, virtual_clock: VirtualClock, item_id: str
) -> None:
    crew.slow_cancel_s = 0.5
    async with tree_of(crew, virtual_clock, max_concurrent_agents=2) as tree:
        await tree.submit_all(items("a", "b"))
        await virtual_clock.settle()
        path = crew.at_work[item_id]
        await tree.handle(item_id).cancel()
        await tree.submit_all(items("c"))
        await virtual_clock.settle()
        assert "c" not in crew.at_work
        await virtual_clock.advance(0.5)
        assert crew.at_work["c"] == path
        assert crew.most_at_work == 2
        crew.let_all_go()


@pytest.mark.parametrize("item_id", ["a", "b"])
async def test_an_agent_that_has_not_let_go_yet_is_not_free_but_others_are(
    crew: Crew, virtual_clock: VirtualClock, item_id: str
) -> None:
    crew.slow_cancel_s = 0.5
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a", "b", "c"))
        await virtual_clock.settle()
        crew.let_go("c")
        await tree.handle(item_id).cancel()
        await tree.submit_all(items("d"))
        await virtual_clock.settle()
        assert crew.at_work["d"] == THIRD
        crew.let_all_go()


async def test_an_item_that_takes_too_long_is_cancelled_where_it_is_and_goes_round_again(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    async with tree_of(crew, virtual_clock) as tree:
        await tree.submit_all(items("a"))
        (late,) = await tree.submit_all(items("b", timeout_s=10))
        await virtual_clock.advance(10)
        assert crew.cancelled == [(SECOND, "b")]
        assert crew.at_work == {"a": FIRST, "b": SECOND}
        crew.let_all_go()
        assert (await late.result()).attempt == 2
        assert_lawful(tree)


async def test_all_agents_are_stopped_at_the_same_time(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    tree = tree_of(crew, virtual_clock)
    await tree.start()
    await tree.submit_all(items("a", "b", "c"))
    await virtual_clock.settle()
    crew.let_all_go()
    await virtual_clock.settle()
    crew.slow_end_s = 3
    began_s = virtual_clock.monotonic()
    await tree.stop()
    assert virtual_clock.monotonic() - began_s == 3


async def test_agents_that_do_not_stop_are_left_behind_in_bounded_time(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    tree = tree_of(crew, virtual_clock, shutdown_s=2)
    await tree.start()
    await tree.submit_all(items("a", "b", "c"))
    await virtual_clock.settle()
    crew.slow_end_s = 3600
    began_s = virtual_clock.monotonic()
    await tree.stop()
    assert virtual_clock.monotonic() - began_s <= 2 + 2 * 1


# --- any order -----------------------------------------------------------------------------


async def tell(crew: Crew, seed: int, most: int) -> None:
    """Items come, are cancelled and crash with their agents, in the seed's order."""
    clock, chance = VirtualClock.of_running_loop(), Random(seed)
    async with tree_of(crew, clock, max_concurrent_agents=most, max_restarts=1000) as tree:
        for number in range(12):
            item_id = f"item-{number}"
            crew.gates[item_id] = asyncio.Event()
            await tree.submit_all(items(item_id, max_attempts=20, timeout_s=60))
            acts: list[Callable[[], Awaitable[object] | None]] = [
                lambda: crew.let_go(*chance.sample(sorted(crew.gates), 1)),
                lambda: crew.let_go(*chance.sample(sorted(crew.gates), 1)),
                tree.handle(f"item-{chance.randint(0, number)}").cancel,
                lambda: crash(tree, chance.choice([c.path for c in tree.sub_agents()] or [FIRST])),
            ]
            if (waiting := chance.choice(acts)()) is not None:
                await waiting
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
        crew.let_all_go()
        for number in range(12):
            await tree.handle(f"item-{number}").result()
        await clock.settle()
        assert crew.at_work == {}
        assert_lawful(tree)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(AnyOrder, id="random"),
        pytest.param(lambda seed: Pct(seed, steps=2_000), id="pct"),
    ],
)
def test_under_no_order_more_agents_work_than_may(
    seed: int, policy: Callable[[int], Policy]
) -> None:
    most, crew = 1 + seed % 4, Crew()
    schedule = Schedule(policy(seed))

    async def main() -> tuple[str, ...]:
        await tell(crew, seed, most)
        return leftovers(VirtualClock.of_running_loop().loop)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(order=schedule)) as runner:
        assert runner.run(main()) == ()
    assert 1 <= crew.most_at_work <= most
    worked = Counter(item for item, _ in crew.lanes)
    assert max(worked.values()) <= 20


# --- faults --------------------------------------------------------------------------------


def failpoints_of(plan: str) -> PlannedFailpoints:
    return PlannedFailpoints(RunningPlan(FaultPlan.parse(plan), draws=Seeded(7)))


@pytest.mark.parametrize(
    "plan",
    [
        "crash(agent='executor/sub-1', at='start')",
        "crash(agent='executor/sub-1', at='start'); crash(agent='executor/sub-2', at='start')",
        "crash(agent='executor/sub-1', message='Delegate')",
        "crash(agent='executor/sub-1', message='Delegate', count=2)",
        "exit_normally(agent='executor/*', message='Delegate')",
        "hang(agent='executor/sub-1', message='Delegate')",
        "crash(agent='executor', message='Delegate', call=2)",
        "crash(agent='executor', message='Wake')",
    ],
)
async def test_whatever_happens_to_a_sub_agent_the_items_are_done_in_the_end(
    crew: Crew, virtual_clock: VirtualClock, plan: str
) -> None:
    crew.all_open = True
    failpoints = failpoints_of(plan)
    config = SupervisionConfig(max_concurrent_agents=3, default_timeout_s=30, max_restarts=20)
    async with SupervisionTree(
        config, agents=crew.makers(), ids=CountedIds(), clock=virtual_clock, failpoints=failpoints
    ) as tree:
        handles = await tree.submit_all(items("a", "b", "c", "d", max_attempts=5))
        (late,) = await tree.submit_all(items("e", max_attempts=5, timeout_s=0.001))
        await assert_recovers(tree, within_s=600)
        for handle in (*handles, late):
            assert (await handle.result()).success
        assert crew.most_at_work <= 3
        assert_lawful(tree)
    await failpoints.release()
    failpoints.check_met()


async def test_an_executor_that_was_left_behind_still_ends_its_agent_when_it_comes_to_an_end(
    crew: Crew, virtual_clock: VirtualClock
) -> None:
    failpoints = failpoints_of("swallow_cancel(agent='executor', message='Delegate', call=2)")
    tree = SupervisionTree(
        SupervisionConfig(max_concurrent_agents=3, shutdown_s=1),
        agents=crew.makers(),
        ids=CountedIds(),
        clock=virtual_clock,
        failpoints=failpoints,
    )
    await tree.start()
    await tree.submit_all(items("a", "b"))
    await virtual_clock.settle()
    await tree.stop()
    await failpoints.release()
    await virtual_clock.settle()
    assert leftovers(virtual_clock.loop) == ()
