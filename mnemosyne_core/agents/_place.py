"""The place of an agent in a system, and what makes an agent for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pluggy import PluginManager

from mnemosyne_core.agents._agent import Agent, create_agent
from mnemosyne_core.agents._settings import AgentSettings
from mnemosyne_core.claude import ClaudeClient
from mnemosyne_core.clock import Clock
from mnemosyne_core.ids import IdSource
from mnemosyne_core.work import AgentRole


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlace:
    """Where an agent is put: what a factory of one needs to know."""

    path: str
    role: AgentRole
    client: ClaudeClient | None
    """Claude as the tree was given it; `None`: the agent finds the SDK and key itself."""

    workspace: Path | None
    """Folder for the agent; `None`: a temporary one of its session."""

    settings: AgentSettings
    ids: IdSource
    clock: Clock
    plugins: PluginManager


AgentMaker: TypeAlias = Callable[[AgentPlace], Agent]
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
