"""Policies in a tree: one set of them for all its agents, and one client."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.claude.policies import (
    BudgetSettings,
    CircuitSettings,
    PolicySettings,
    RetrySettings,
)
from mnemosyne_core.events import BudgetExhausted, CircuitOpened
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult
from pytest_mnemosyne import ScriptedClaude
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.claude.policies.doubles import FakeClaude, status, used


def tree_on(
    claude: FakeClaude | AnthropicClient, clock: VirtualClock, folder: Path, **policies: object
) -> SupervisionTree:
    config = SupervisionConfig(workspace=folder, claude=PolicySettings.model_validate(policies))
    return SupervisionTree(config, client=claude, clock=clock, ids=CountedIds())


async def result_of(tree: SupervisionTree, role: str, **fields: object) -> WorkResult:
    item = {"description": f"do it, {role}", "role": role, "review": False, **fields}
    return await (await tree.submit(item)).result(timeout=600)


def facts(tree: SupervisionTree, kind: type) -> list[str]:
    """Who a kind of fact happened to."""
    return [event.agent for event in tree.journal.events() if isinstance(event.fact, kind)]


async def test_agents_of_all_roles_share_a_budget_and_no_attempt_is_wasted_on_it(
    clock: VirtualClock, tmp_path: Path
) -> None:
    claude = FakeClaude(used(20_000, 1_000))
    budget = BudgetSettings(tokens=25_000, warn_at=1.0)
    async with tree_on(claude, clock, tmp_path, budget=budget) as tree:
        assert (await result_of(tree, "executor")).success
        refused = await result_of(tree, "orchestrator")

        assert refused.error is not None
        assert (refused.error.code, refused.error.retryable) == ("budget_exceeded", False)
        assert refused.attempt == 1
        assert facts(tree, BudgetExhausted) == ["orchestrator"]
        # The agent did nothing wrong.
        assert tree.health().agents[AgentRole.ORCHESTRATOR].errors == 0


async def test_a_circuit_that_one_agent_opened_is_open_for_the_others(
    clock: VirtualClock, tmp_path: Path
) -> None:
    claude = FakeClaude(status(529))
    circuit = CircuitSettings(consecutive_failures=1)
    async with tree_on(claude, clock, tmp_path, circuit=circuit) as tree:
        await result_of(tree, "executor", max_attempts=1)
        refused = await result_of(tree, "orchestrator", max_attempts=1)

        assert refused.error is not None
        assert (refused.error.code, refused.error.retryable) == ("circuit_open", True)
        assert facts(tree, CircuitOpened) == ["executor"]
    assert len(claude.prompts) == 1


async def test_a_retry_is_an_event_of_the_agent_and_the_work_goes_on(
    clock: VirtualClock, tmp_path: Path
) -> None:
    claude = ScriptedClaude()
    claude.fail(429, retry_after=50).reply("It is done.", times=None)
    async with (
        claude.client() as sdk,
        tree_on(AnthropicClient(sdk), clock, tmp_path, retry=RetrySettings()) as tree,
    ):
        assert (await result_of(tree, "executor")).success
        counted = tree.metrics.snapshot().facts
    assert counted["claude_retried"] == 1
    assert clock.monotonic() >= 50


async def test_agents_without_a_client_share_one_that_the_tree_opens_and_closes(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[AnthropicClient] = []
    opened: list[AnthropicClient] = []
    closed: list[AnthropicClient] = []

    class Noted(AnthropicClient):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        async def open(self) -> None:
            opened.append(self)
            await super().open()

        async def aclose(self) -> None:
            closed.append(self)
            await super().aclose()

    monkeypatch.setattr("mnemosyne_core.tree._tree.AnthropicClient", Noted)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    async with SupervisionTree(SupervisionConfig(workspace=tmp_path), clock=clock) as tree:
        assert tree.is_healthy()
        assert closed == []
    (client,) = made
    assert opened == [client] * 4
    assert closed == [client]


async def test_a_key_that_is_there_later_is_found_by_the_next_start(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with SupervisionTree(SupervisionConfig(workspace=tmp_path), clock=clock) as tree:
        reason = tree.health().agents[AgentRole.EXECUTOR].reason
        assert reason is not None
        assert "ANTHROPIC_API_KEY" in reason

        monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
        await tree.restart_agent(AgentRole.EXECUTOR)
        await tree.state.wait_until(lambda _: tree.health().agents[AgentRole.EXECUTOR].is_well, 60)
