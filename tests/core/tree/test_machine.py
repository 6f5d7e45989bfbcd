"""A whole tree under random work and random harm: the invariants hold, and it comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.supervision import Strategy
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole
from pytest_mnemosyne.strategies.stateful import rule, run_state_machine_as_test
from pytest_mnemosyne.strategies.supervision import SupervisionMachine
from tests.core.tree.told_by_item import Act, agent_told_by_item, context_of, is_missing

# One failure at a time: each is worth its own repair, and looking for others takes long.
SETTINGS = settings(report_multiple_bugs=False)

WORK = (
    Act.SUCCEED,
    Act.FAIL,
    Act.CRASH,
    Act.HANG,
    Act.TAKE_LONG,
    Act.REFUSE,
    Act.TALK_NONSENSE,
)
VERDICTS = (Act.OBJECT, Act.REJECT)


class TreeMachine(SupervisionMachine):
    """A tree whose agents are told by their items what to do."""

    acts: ClassVar[tuple[Act, ...]] = WORK
    transport: ClassVar[str] = "task"

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="machine-")
        self.workspace = Path(self.folder.name)

    def configs(self) -> SearchStrategy[SupervisionConfig]:
        return st.builds(
            SupervisionConfig,
            strategy=st.sampled_from(Strategy),
            max_restarts=st.sampled_from((3, 0, 10_000)),
            max_concurrent_agents=st.sampled_from((4, 1)),
            queue_capacity=st.sampled_from((1000, 3)),
            missing_agent=st.sampled_from(MissingAgent),
            bridge=st.just(BridgeSettings(transport=self.transport)),
        )

    def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
        return SupervisionTree(
            config.model_copy(update={"workspace": self.workspace}),
            agents=dict.fromkeys(AgentRole, agent_told_by_item),
            ids=CountedIds(),
            clock=self.clock,
        )

    def work(self) -> SearchStrategy[Mapping[str, object]]:
        acts = st.builds(context_of, stories(self.acts), stories((*self.acts, *VERDICTS)))
        return st.fixed_dictionaries(
            {
                "description": st.just("work"),
                "role": st.sampled_from((AgentRole.EXECUTOR, *AgentRole)),
                "priority": st.sampled_from((5, 9)),
                "timeout_s": st.sampled_from((30.0, 1.0)),
                "max_attempts": st.integers(1, 3),
                "review": st.booleans(),
                "context": acts,
            }
        )

    @rule(role=st.sampled_from(AgentRole))
    async def lose_agent(self, role: AgentRole) -> None:
        """From now on the agent cannot start, and it is to be started now."""
        is_missing(self.workspace, role).touch()
        await self.restart_agent(role)

    @rule(role=st.sampled_from(AgentRole))
    async def find_agent(self, role: AgentRole) -> None:
        """What the agent was missing is there again."""
        is_missing(self.workspace, role).unlink(missing_ok=True)
        await self.restart_agent(role)

    async def stop_faults(self) -> None:
        for role in AgentRole:
            is_missing(self.workspace, role).unlink(missing_ok=True)

    async def teardown(self) -> None:  # type: ignore[override]
        try:
            await super().teardown()
        finally:
            self.folder.cleanup()


class ProcessMachine(TreeMachine):
    """The same with agents in processes of their own, where what takes time takes real time."""

    acts = (*(act for act in WORK if act is not Act.TAKE_LONG), Act.DIE)
    transport = "subprocess"

    async def stop_faults(self) -> None:
        await super().stop_faults()
        # The time stands still while a process is at work; what hangs there has to be ended.
        for stored in self.tree.journal.live_items() if self.tree.is_running else ():
            await self.cancel(stored.item.id)


def stories(acts: Sequence[Act]) -> SearchStrategy[Sequence[Act]]:
    """What an item's attempts are like: each in its way, or all of them the same."""
    return st.lists(st.sampled_from(acts), max_size=3) | st.sampled_from(acts).map(
        lambda act: [act] * 3
    )


def test_a_tree_keeps_the_invariants_and_comes_back() -> None:
    run_state_machine_as_test(
        TreeMachine, settings=settings(SETTINGS, max_examples=10, stateful_step_count=10)
    )


@pytest.mark.slow
def test_a_tree_keeps_the_invariants_and_comes_back_in_many_stories() -> None:
    run_state_machine_as_test(
        TreeMachine, settings=settings(SETTINGS, max_examples=40, stateful_step_count=20)
    )


@pytest.mark.slow
def test_a_tree_of_processes_keeps_the_invariants_and_comes_back() -> None:
    run_state_machine_as_test(
        ProcessMachine, settings=settings(SETTINGS, max_examples=4, stateful_step_count=6)
    )
