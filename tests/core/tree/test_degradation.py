"""A role without its agent: what the tree still does, what waits, what fails; then it comes."""

from __future__ import annotations

import pytest

from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.errors import MissingKeyError, MissingSdkError
from mnemosyne_core.events import AgentFailed, AgentStale
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.tree import AgentHealth, HealthStatus, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult, WorkState
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.tree.cast import Call, Cast, ToldAgent, done, refused
from tests.core.tree.laws import assert_lawful

WAIT, FAIL = MissingAgent.WAIT, MissingAgent.FAIL
ROLES = list(AgentRole)
FINDINGS = {"context": {"findings": ["for the optimizer, who expects some"]}}


def agent_of(cast: Cast, role: AgentRole) -> ToldAgent:
    agent: ToldAgent = getattr(cast, role.value)
    return agent


def tree_of(
    cast: Cast, clock: VirtualClock, policy: MissingAgent, **fields: object
) -> SupervisionTree:
    config = SupervisionConfig.model_validate({"missing_agent": policy, **fields})
    return SupervisionTree(config, agents=cast.makers(), ids=CountedIds(), clock=clock)


def health_of(tree: SupervisionTree, role: AgentRole) -> AgentHealth:
    return tree.health().agents[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("policy", [WAIT, FAIL])
async def test_a_missing_agent_degrades_the_tree_which_says_what_it_can_and_cannot(
    cast: Cast, virtual_clock: VirtualClock, role: AgentRole, policy: MissingAgent
) -> None:
    agent_of(cast, role).missing = "/somewhere"
    async with tree_of(cast, virtual_clock, policy) as tree:
        assert tree.health().status is HealthStatus.DEGRADED
        health = health_of(tree, role)
        assert "/somewhere" in (health.reason or "")
        assert health.can
        assert health.cannot
        assert ("fail with agent_unavailable" in health.cannot) is (policy is FAIL)
        assert ("for it" in health.cannot) is (policy is WAIT)
        assert health.tries_again
        for other in set(AgentRole) - {role}:
            assert (health_of(tree, other).can, health_of(tree, other).cannot) == (None, None)

        agent_of(cast, role).missing = None
        await virtual_clock.advance(5)
        assert tree.is_healthy()
        assert health_of(tree, role) == AgentHealth(status=health_of(tree, role).status)
    assert health_of(tree, role).can is None, "a tree that is down does nothing"


@pytest.mark.parametrize("role", ROLES)
async def test_what_waits_for_an_agent_goes_on_by_itself_when_it_comes(
    cast: Cast, virtual_clock: VirtualClock, role: AgentRole
) -> None:
    agent_of(cast, role).missing = "/somewhere"
    if role is AgentRole.REVIEWER:
        item: dict[str, object] = {"id": "a", "description": "x"}
    else:
        item = {"id": "a", "description": "x", "role": role.value, "review": False, **FINDINGS}
    async with tree_of(cast, virtual_clock, WAIT) as tree:
        handle = await tree.submit(item)
        await virtual_clock.advance(100)
        waits = WorkState.REVIEWING if role is AgentRole.REVIEWER else WorkState.WAITING
        assert handle.state is waits
        blocked = tree.state.snapshot().items["a"].blocked
        assert blocked is not None
        assert "/somewhere" in blocked
        assert len(tree.journal.events(kind="work_blocked")) == 1
        assert len(tree.journal.events(kind="agent_failed")) == 1, "tries are no news"

        agent_of(cast, role).missing = None
        result = await handle.result()
        assert (result.success, result.attempt) == (True, 1)
        assert tree.is_healthy()
        assert_lawful(tree)


@pytest.mark.parametrize("role", [AgentRole.EXECUTOR, AgentRole.OPTIMIZER, AgentRole.ORCHESTRATOR])
async def test_where_nothing_waits_an_item_fails_at_once_and_the_next_one_does_not(
    cast: Cast, virtual_clock: VirtualClock, role: AgentRole
) -> None:
    agent_of(cast, role).missing = "/somewhere"
    item = {"description": "x", "role": role.value, "review": False, **FINDINGS}
    async with tree_of(cast, virtual_clock, FAIL) as tree:
        result = await (await tree.submit(item)).result()
        assert result.error is not None
        assert (result.error.code, result.error.recovery) == ("agent_unavailable", "configuration")
        assert "/somewhere" in result.error.message
        assert virtual_clock.monotonic() == 0

        agent_of(cast, role).missing = None
        await virtual_clock.advance(5)
        assert (await (await tree.submit(item)).result()).success
        assert_lawful(tree)


async def test_without_a_reviewer_what_wants_no_review_is_completed_and_the_rest_fails(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    cast.reviewer.missing = "/somewhere"
    async with tree_of(cast, virtual_clock, FAIL) as tree:
        reviewed, plain = await tree.submit_all(
            [{"description": "x"}, {"description": "y", "review": False}]
        )
        result = await reviewed.result()
        assert result.error is not None
        assert (result.error.code, result.data) == ("agent_unavailable", "done")
        assert (await plain.result()).success


@pytest.mark.parametrize("policy", [WAIT, FAIL])
async def test_without_an_optimizer_the_findings_go_to_the_next_attempt_as_they_are(
    cast: Cast, virtual_clock: VirtualClock, policy: MissingAgent
) -> None:
    cast.optimizer.missing = "/somewhere"
    cast.verdicts = [refused("no docstring")]
    async with tree_of(cast, virtual_clock, policy) as tree:
        result = await (await tree.submit({"description": "x"})).result()
        assert (result.success, result.attempt) == (True, 2)
        assert cast.executor.calls[1].guidance == ("no docstring",)
        assert virtual_clock.monotonic() == 0, "nobody waits for it"


@pytest.mark.parametrize("policy", [WAIT, FAIL])
async def test_without_the_orchestrators_agent_everything_else_goes_its_way(
    cast: Cast, virtual_clock: VirtualClock, policy: MissingAgent
) -> None:
    cast.orchestrator.missing = "/somewhere"
    cast.verdicts = [refused("no docstring")]
    async with tree_of(cast, virtual_clock, policy) as tree:
        first, second = await tree.submit_all(
            [{"id": "a", "description": "x"}, {"description": "y", "dependencies": ["a"]}]
        )
        assert (await first.result()).success
        assert (await second.result()).success
        assert_lawful(tree)


async def test_a_key_that_is_set_later_is_found(cast: Cast, virtual_clock: VirtualClock) -> None:
    has_key = False

    async def start_session() -> None:
        if not has_key:
            raise MissingKeyError(looked_in=("ANTHROPIC_API_KEY",))

    cast.executor.start_session = start_session  # type: ignore[method-assign]
    async with tree_of(cast, virtual_clock, WAIT) as tree:
        handle = await tree.submit({"description": "x"})
        await virtual_clock.advance(3600)
        assert "set ANTHROPIC_API_KEY" in (health_of(tree, AgentRole.EXECUTOR).reason or "")
        has_key = True
        assert (await handle.result()).success


async def test_a_package_that_is_missing_is_not_looked_for_again_but_by_hand(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    has_sdk = False

    async def start_session() -> None:
        if not has_sdk:
            raise MissingSdkError(reason="no module")

    cast.executor.start_session = start_session  # type: ignore[method-assign]
    async with tree_of(cast, virtual_clock, WAIT) as tree:
        handle = await tree.submit({"description": "x"})
        assert not health_of(tree, AgentRole.EXECUTOR).tries_again
        has_sdk = True
        await virtual_clock.advance(3600)
        assert handle.state is WorkState.WAITING
        await tree.restart_agent("executor")
        assert (await handle.result()).success


async def test_an_agent_that_is_lost_and_cannot_come_back_at_once_is_waited_for(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    config = {"bridge": BridgeSettings(degraded_after=1, restart_after=1)}
    broken = True

    async def fail_and_go(call: Call) -> WorkResult:
        if not broken:
            return done(call)
        cast.executor.missing = "/gone"
        raise RuntimeError("boom")

    cast.executor.answer = fail_and_go
    async with tree_of(cast, virtual_clock, WAIT, **config) as tree:
        handle = await tree.submit({"description": "x"})
        await virtual_clock.advance(60)
        assert handle.state is WorkState.WAITING
        assert "/gone" in (health_of(tree, AgentRole.EXECUTOR).reason or "")
        broken, cast.executor.missing = False, None
        result = await handle.result()
        assert (result.success, result.attempt) == (True, 2)
        (lost,) = tree.journal.events(kind="agent_failed")
        assert isinstance(lost.fact, AgentFailed)
        assert lost.fact.tries_again
        assert_lawful(tree)


async def test_a_silent_agent_is_shown_and_does_not_count_as_well(
    cast: Cast, virtual_clock: VirtualClock
) -> None:
    async with tree_of(cast, virtual_clock, WAIT) as tree:
        tree.journal.record(AgentStale(silent_s=75.0), agent="executor")
        health = health_of(tree, AgentRole.EXECUTOR)
        assert (health.status, health.reason) == ("stale", "no sign of life for 75 s")
        assert not health.is_well
        assert health.can is None, "work is still given to it"
        assert tree.health().status is HealthStatus.DEGRADED


async def test_tries_end_with_the_tree(cast: Cast, virtual_clock: VirtualClock) -> None:
    for role in AgentRole:
        agent_of(cast, role).missing = "/somewhere"
    async with tree_of(cast, virtual_clock, WAIT):
        await virtual_clock.advance(7)
    assert virtual_clock.monotonic() == 7
