"""The tree itself: start, stop, health, restarts, and what survives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from mnemosyne_core.agents import Agent
from mnemosyne_core.claude import Block, Prompt, Reply
from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    RestartIntensityError,
    StorageError,
    TreeNotRunningError,
    UnknownRoleError,
)
from mnemosyne_core.events import WorkBlocked
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.tree import AgentPlace, HealthStatus, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult, WorkState
from tests.core.tree.cast import Call, Cast, done, refused


async def test_a_started_tree_has_four_registered_agents_and_is_healthy(cast: Cast) -> None:
    async with cast.tree() as tree:
        assert tree.is_healthy()
        assert {role: agent.is_well for role, agent in tree.health().agents.items()} == (
            dict.fromkeys(AgentRole, True)
        )
        assert [(child.path, child.incarnation) for child in tree.children()] == [
            ("reviewer", 1),
            ("optimizer", 1),
            ("executor", 1),
            ("orchestrator", 1),
        ]


async def test_a_stopped_tree_is_down_and_refuses_work(cast: Cast) -> None:
    tree = cast.tree()
    assert tree.health().status is HealthStatus.DOWN
    await tree.start()
    await tree.stop()

    assert tree.health().status is HealthStatus.DOWN
    with pytest.raises(TreeNotRunningError):
        await tree.submit({"description": "x"})
    with pytest.raises(TreeNotRunningError):
        await tree.start()
    await tree.stop()


async def test_nothing_outlives_the_tree(cast: Cast) -> None:
    places: list[AgentPlace] = []

    def make(place: AgentPlace) -> Agent:
        places.append(place)
        return cast.executor

    before = asyncio.all_tasks()
    makers = {**cast.makers(), AgentRole.EXECUTOR: make}
    async with SupervisionTree(agents=makers) as tree:
        cast.executor.answer = forever
        await tree.submit({"description": "x"})
        (workspace,) = {place.workspace for place in places}
        assert workspace is not None
        assert workspace.is_dir()

    assert asyncio.all_tasks() == before
    assert not workspace.exists()


async def test_a_handle_that_waits_hears_that_the_tree_has_stopped(cast: Cast) -> None:
    cast.executor.answer = forever
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        waiting = asyncio.create_task(handle.result())
        await tree.state.wait_until(lambda s: s.item_counts()[WorkState.ACTIVE] == 1, 5)
    with pytest.raises(ActorDownError, match="stopped"):
        await waiting


async def test_stop_comes_in_the_reverse_order_of_start(cast: Cast) -> None:
    async with cast.tree() as tree:
        with tree.broadcaster.subscribe() as following:
            await tree.stop()
            kinds = []
            while (event := following.take_nowait()) is not None:
                kinds.append((event.kind, event.agent))  # type: ignore[union-attr]
    ended = [agent for kind, agent in kinds if kind == "child_terminated"]
    assert ended[:4] == ["orchestrator", "executor", "optimizer", "reviewer"]
    assert kinds[-1] == ("tree_stopped", "tree")


async def test_a_tree_without_a_key_runs_on_degraded_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with SupervisionTree() as tree:
        health = tree.health()
        assert health.status is HealthStatus.DEGRADED
        assert "ANTHROPIC_API_KEY" in (health.agents[AgentRole.EXECUTOR].reason or "")

        result = await (await tree.submit({"description": "x"})).result(timeout=5)
        assert result.error is not None
        assert result.error.code == "agent_unavailable"
        assert "ANTHROPIC_API_KEY" in result.error.message


async def test_nothing_is_complete_that_no_reviewer_could_judge(cast: Cast) -> None:
    cast.reviewer.missing = "/reviewer"
    async with cast.tree() as tree:
        result = await (await tree.submit({"description": "x"})).result(timeout=5)
        assert not result.success
        assert result.error is not None
        assert result.error.code == "agent_unavailable"
        unreviewed = await tree.submit({"description": "x", "review": False})
        assert (await unreviewed.result(timeout=5)).success


async def test_without_an_optimizer_the_verdicts_own_words_are_the_guidance(cast: Cast) -> None:
    cast.optimizer.missing = "/optimizer"
    cast.verdicts = [refused("no docstring")]
    async with cast.tree() as tree:
        assert tree.health().status is HealthStatus.DEGRADED
        assert (await (await tree.submit({"description": "x"})).result(timeout=5)).success
    assert cast.executor.calls[1].guidance == ("no docstring",)


@pytest.mark.parametrize("role", [AgentRole.EXECUTOR, AgentRole.REVIEWER])
async def test_an_item_may_wait_for_an_agent_that_comes_later(cast: Cast, role: AgentRole) -> None:
    agent = cast.executor if role is AgentRole.EXECUTOR else cast.reviewer
    agent.missing = "/somewhere"
    async with cast.tree(SupervisionConfig(missing_agent=MissingAgent.WAIT)) as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        waits = (WorkState.WAITING, WorkState.ACTIVE, WorkState.REVIEWING)
        await tree.state.wait_until(
            lambda state: state.items["a"].blocked or state.items["a"].result, 5
        )
        assert handle.state in waits

        agent.missing = None
        await tree.restart_agent(role)
        assert (await handle.result(timeout=5)).success
        assert tree.is_healthy()


async def test_a_waiting_item_without_its_agent_does_not_hold_up_others(cast: Cast) -> None:
    cast.optimizer.missing = "/optimizer"
    config = SupervisionConfig(missing_agent=MissingAgent.WAIT, max_concurrent_agents=1)
    async with cast.tree(config) as tree:
        await tree.submit({"description": "x", "role": "optimizer", "priority": 10})
        other = await tree.submit({"description": "y", "priority": 0})
        assert (await other.result(timeout=5)).success
        (blocked,) = tree.journal.events(kind="work_blocked")
        assert isinstance(blocked.fact, WorkBlocked)
        assert "/optimizer" in blocked.fact.reason


async def test_restarting_an_agent_by_hand_sends_its_work_round_again(cast: Cast) -> None:
    begun = asyncio.Event()

    async def hang_once(call: Call) -> WorkResult:
        begun.set()
        if call.attempt == 1:
            await asyncio.Event().wait()
        return done(call)

    cast.executor.answer = hang_once
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x"})
        await begun.wait()
        await tree.restart_agent("executor")
        result = await handle.result(timeout=5)
        assert result.success
        assert result.attempt == 2
        with pytest.raises(UnknownRoleError):
            await tree.restart_agent("janitor")


async def test_an_abort_ends_the_tree_and_reaches_whoever_waits(cast: Cast) -> None:
    class Pointless(Abort):
        pass

    async def abort(_: Call) -> WorkResult:
        raise Pointless("no point in going on")

    cast.executor.answer = abort
    tree = cast.tree()
    await tree.start()
    handle = await tree.submit({"description": "x"})
    with pytest.raises(Pointless):
        await handle.result(timeout=5)
    assert tree.health().status is HealthStatus.DOWN
    assert tree.journal.events(kind="child_started")[-1].agent == "orchestrator"
    assert len(cast.executor.calls) == 1, "nobody tries again"
    with pytest.raises(Pointless):
        await tree.stop()


async def test_an_agent_that_cannot_be_made_degrades_the_tree(cast: Cast) -> None:
    def make(_: AgentPlace) -> Agent:
        raise SystemError("no such thing as an agent")

    async with SupervisionTree(agents={**cast.makers(), AgentRole.EXECUTOR: make}) as tree:
        health = tree.health()
        assert health.status is HealthStatus.DEGRADED
        assert "no such thing as an agent" in (health.agents[AgentRole.EXECUTOR].reason or "")


async def test_a_tree_that_cannot_store_gives_up_and_tells_everybody(cast: Cast) -> None:
    cast.executor.answer = forever
    tree = cast.tree(SupervisionConfig(max_restarts=0))
    await tree.start()
    handle = await tree.submit({"description": "x"})
    tree.journal.close()  # as when the disk is gone

    with pytest.raises(ActorDownError, match="StorageError"):
        await tree.submit({"description": "y"})
    with pytest.raises((RestartIntensityError, StorageError)):
        await handle.result(timeout=5)
    with pytest.raises(TreeNotRunningError):
        await tree.submit({"description": "z"})
    assert tree.health().status is HealthStatus.DOWN
    with pytest.raises(StorageError):
        await tree.stop()


async def test_items_of_an_earlier_run_go_on_with_the_next_attempt(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db", max_concurrent_agents=1)
    begun = asyncio.Event()

    async def hang(_: Call) -> WorkResult:
        begun.set()
        return await forever(_)

    cast.executor.answer = hang
    async with cast.tree(config) as tree:
        await tree.submit({"id": "active", "description": "x"})
        await tree.submit({"id": "waiting", "description": "y", "dependencies": ["active"]})
        await begun.wait()

    later = Cast()
    async with later.tree(config) as tree:
        active = await tree.handle("active").result(timeout=5)
        waiting = await tree.handle("waiting").result(timeout=5)
    assert (active.success, active.attempt) == (True, 2)
    assert (waiting.success, waiting.attempt) == (True, 1)

    async with Cast().tree(config) as tree:
        assert (await tree.handle("active").result(timeout=5)).attempt == 2
        assert tree.state.snapshot().children["executor"].incarnation == 1


async def test_an_interrupted_last_attempt_is_a_failure_at_the_next_start(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")
    cast.executor.answer = forever
    async with cast.tree(config) as tree:
        await tree.submit({"id": "a", "description": "x", "max_attempts": 1})
        await tree.state.wait_until(lambda s: s.item_counts()[WorkState.ACTIVE] == 1, 5)

    async with Cast().tree(config) as tree:
        result = await tree.handle("a").result(timeout=5)
    assert result.error is not None
    assert result.error.code == "attempts_exhausted"


async def test_a_database_that_cannot_be_used_is_named(cast: Cast, tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    path.write_bytes(b"this is no database, whatever its name may say" * 10)
    tree = cast.tree(SupervisionConfig(database=path))
    with pytest.raises(StorageError, match=r"no\.db"):
        await tree.start()
    assert tree.health().status is HealthStatus.DOWN


async def test_all_agents_share_the_client_and_the_workspace(tmp_path: Path) -> None:
    prompts: list[Prompt] = []

    class Claude:
        async def open(self) -> None:
            pass

        def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            raise AssertionError("nobody asked for streams")

        async def send(self, prompt: Prompt) -> Reply:
            prompts.append(prompt)
            text: Block = {"type": "text", "text": "I did it."}
            return Reply(id="m", model=prompt.model, content=(text,), stop_reason="end_turn")

        async def aclose(self) -> None:
            raise AssertionError("a client that was handed in stays its owner's")

    config = SupervisionConfig(workspace=tmp_path)
    async with SupervisionTree(config, client=Claude()) as tree:
        for role in ("executor", "orchestrator"):
            item = {"description": f"do it, {role}", "role": role, "review": False}
            assert (await (await tree.submit(item)).result(timeout=5)).success

    assert len(prompts) == 2
    assert tmp_path.is_dir()


async def forever(_: Call) -> WorkResult:
    await asyncio.Event().wait()
    raise AssertionError("nobody lets it go on")
