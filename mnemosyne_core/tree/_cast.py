"""The cast: which actors a tree has, and what stands behind each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pluggy import PluginManager

from mnemosyne_core.agents import Agent, AgentSettings, create_agent
from mnemosyne_core.bridge import ClaudeAgentBridge, transport_to
from mnemosyne_core.claude import ClaudeClient
from mnemosyne_core.clock import Clock
from mnemosyne_core.ids import IdSource
from mnemosyne_core.observe import StateManager
from mnemosyne_core.roles import (
    AgentActor,
    Executor,
    Optimizer,
    Orchestrator,
    OrchestratorSettings,
    Peers,
    Reviewer,
)
from mnemosyne_core.storage import Journal
from mnemosyne_core.supervision import ChildSpec
from mnemosyne_core.tree._config import SupervisionConfig
from mnemosyne_core.work import AgentRole

START_ORDER = (
    AgentRole.REVIEWER,
    AgentRole.OPTIMIZER,
    AgentRole.EXECUTOR,
    AgentRole.ORCHESTRATOR,
)
"""The orchestrator comes last and goes first: it needs the others, not they it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlace:
    """Where an agent is put: what a factory of one needs to know."""

    path: str
    role: AgentRole
    client: ClaudeClient | None
    """Claude as the tree was given it; `None`: the agent finds the SDK and key itself."""

    workspace: Path
    settings: AgentSettings
    ids: IdSource
    clock: Clock
    plugins: PluginManager


AgentMaker = Callable[[AgentPlace], Agent]
"""Makes an agent for a place; called once for each incarnation."""


def default_agent(place: AgentPlace) -> Agent:
    """The agent of this package for a place."""
    return create_agent(
        place.role,
        client=place.client,
        workspace=place.workspace,
        settings=place.settings,
        ids=place.ids,
        clock=place.clock,
        plugins=place.plugins,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All that the four actors are made from."""

    config: SupervisionConfig
    client: ClaudeClient | None
    makers: Mapping[AgentRole, AgentMaker]
    workspace: Path
    journal: Journal
    state: StateManager
    peers: Peers
    clock: Clock
    ids: IdSource
    plugins: PluginManager

    def child_specs(self) -> list[ChildSpec]:
        """One for each role, in start order."""
        return [
            ChildSpec(id=role.value, start=self._starter(role), shutdown=self.config.shutdown_s)
            for role in START_ORDER
        ]

    def _starter(self, role: AgentRole) -> Callable[[], AgentActor]:
        match role:
            case AgentRole.REVIEWER:
                return lambda: Reviewer(self._bridge_maker(role))
            case AgentRole.OPTIMIZER:
                return lambda: Optimizer(self._bridge_maker(role))
            case AgentRole.EXECUTOR:
                return lambda: Executor(self._bridge_maker(role))
            case AgentRole.ORCHESTRATOR:
                return lambda: Orchestrator(
                    self._bridge_maker(role),
                    journal=self.journal,
                    state=self.state,
                    peers=self.peers,
                    settings=OrchestratorSettings(
                        queue_capacity=self.config.queue_capacity,
                        max_concurrent=self.config.max_concurrent_agents,
                        default_timeout_s=self.config.default_timeout_s,
                        missing_agent=self.config.missing_agent,
                    ),
                )

    def _bridge_maker(self, role: AgentRole) -> Callable[[], ClaudeAgentBridge]:
        place = AgentPlace(
            path=role.value,
            role=role,
            client=self.client,
            workspace=self.workspace,
            settings=self.config.agent,
            ids=self.ids,
            clock=self.clock,
            plugins=self.plugins,
        )
        make = self.makers.get(role, default_agent)
        settings = self.config.bridge_settings

        def bridge() -> ClaudeAgentBridge:
            transport = transport_to(lambda: make(place), settings=settings, plugins=self.plugins)
            return ClaudeAgentBridge(
                role,
                path=place.path,
                recorder=self.journal,
                transport=transport,
                clock=self.clock,
                settings=settings,
            )

        return bridge
