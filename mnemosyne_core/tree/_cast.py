"""The cast: which actors a tree has, and what stands behind each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pluggy import PluginManager

from mnemosyne_core.agents import AgentMaker, AgentPlace, default_agent
from mnemosyne_core.bridge import AgentSource, ClaudeAgentBridge, transport_of
from mnemosyne_core.claude import ClaudeClient
from mnemosyne_core.clock import Clock
from mnemosyne_core.failpoints import Failpoints
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
    SubAgents,
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
class Cast:
    """All that the four actors are made from."""

    config: SupervisionConfig
    client: ClaudeClient
    makers: Mapping[AgentRole, AgentMaker]
    workspace: Path
    journal: Journal
    state: StateManager
    peers: Peers
    clock: Clock
    ids: IdSource
    plugins: PluginManager
    failpoints: Failpoints | None = None

    def child_specs(self) -> list[ChildSpec]:
        """One for each role, in start order."""
        return [
            ChildSpec(id=role.value, start=self._starter(role), shutdown=self.config.shutdown_s)
            for role in START_ORDER
        ]

    def _starter(self, role: AgentRole) -> Callable[[], AgentActor]:
        # Made now, for a wrong setting is not the failure of a start.
        bridge = self._bridge_maker(role)
        match role:
            case AgentRole.REVIEWER:
                return lambda: Reviewer(bridge)
            case AgentRole.OPTIMIZER:
                return lambda: Optimizer(bridge)
            case AgentRole.EXECUTOR:
                return lambda: Executor(bridge, sub_agents=self._sub_agents(role))
            case AgentRole.ORCHESTRATOR:
                return lambda: Orchestrator(
                    bridge,
                    journal=self.journal,
                    state=self.state,
                    peers=self.peers,
                    settings=OrchestratorSettings(
                        queue_capacity=self.config.queue_capacity,
                        max_concurrent=self.config.max_concurrent_agents,
                        default_timeout_s=self.config.default_timeout_s,
                        max_retry_after_s=self.config.max_retry_after_s,
                        missing_agent=self.config.missing_agent,
                    ),
                )

    def _sub_agents(self, role: AgentRole) -> SubAgents:
        return SubAgents(
            most=self.config.max_concurrent_agents - 1,
            bridge=lambda path: self._bridge_maker(role, path)(),
            intensity=self.config.intensity,
            shutdown=self.config.shutdown_s,
        )

    def _bridge_maker(
        self, role: AgentRole, path: str | None = None
    ) -> Callable[[], ClaudeAgentBridge]:
        """What makes the bridge to a role's agent, or to the one at `path`."""
        place = AgentPlace(
            path=path or role.value,
            role=role,
            client=self.client,
            workspace=self.workspace,
            settings=self.config.agent,
            ids=self.ids,
            clock=self.clock,
            plugins=self.plugins,
        )
        source = AgentSource.of(
            self.makers.get(role, default_agent), place, failpoints=self.failpoints
        )
        settings = self.config.bridge_settings
        make_transport = transport_of(settings, self.plugins)
        if role is AgentRole.EXECUTOR:
            # For more items at once it has more agents.
            settings = settings.model_copy(update={"max_concurrent": 1})

        def bridge() -> ClaudeAgentBridge:
            return ClaudeAgentBridge(
                role,
                path=place.path,
                recorder=self.journal,
                transport=make_transport(source),
                clock=self.clock,
                settings=settings,
            )

        return bridge
