"""Our agents: an actor, a bridge and an agent each, under one supervisor."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anthropic import AsyncAnthropic
from crowd import Crowd

from mnemosyne_core.agents import ClaudeAgent, create_agent
from mnemosyne_core.bridge import BridgeState, ClaudeAgentBridge, TaskTransport
from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.roles import AgentActor
from mnemosyne_core.storage import Journal
from mnemosyne_core.supervision import ChildSpec, Supervisor
from mnemosyne_core.work import AgentRole


class Agents(Crowd):
    """With open sessions; Claude is never asked."""

    @asynccontextmanager
    async def members(self, count: int) -> AsyncIterator[None]:
        bridges: list[ClaudeAgentBridge] = []
        # As in a tree, which looks for plug-ins once.
        plugins = plugin_manager()
        with Journal.open() as journal, tempfile.TemporaryDirectory() as workspace:
            async with AsyncAnthropic(api_key="none", base_url="http://127.0.0.1:9") as sdk:
                client = AnthropicClient(sdk)

                def make_agent() -> ClaudeAgent:
                    return create_agent(
                        AgentRole.EXECUTOR,
                        client=client,
                        workspace=Path(workspace),
                        plugins=plugins,
                    )

                def spec(number: int) -> ChildSpec:
                    def make_bridge() -> ClaudeAgentBridge:
                        bridge = ClaudeAgentBridge(
                            AgentRole.EXECUTOR,
                            recorder=journal,
                            transport=TaskTransport(make_agent),
                            path=f"agent-{number}",
                        )
                        bridges.append(bridge)
                        return bridge

                    return ChildSpec(id=f"agent-{number}", start=lambda: AgentActor(make_bridge))

                async with Supervisor(map(spec, range(count)), recorder=journal):
                    # A bridge that cannot start is no crash: its actor lives on without it.
                    ready = sum(bridge.state is BridgeState.READY for bridge in bridges)
                    if ready != count:
                        raise RuntimeError(f"only {ready} of {count} agents are ready")
                    yield
