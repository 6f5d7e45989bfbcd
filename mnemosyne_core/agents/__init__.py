"""What runs behind the bridge: an agent's session, its tool loop, its tools and prompts."""

from __future__ import annotations

from mnemosyne_core.agents._agent import Agent, ClaudeAgent, create_agent
from mnemosyne_core.agents._place import AgentMaker, AgentPlace, default_agent
from mnemosyne_core.agents._settings import AgentSettings
from mnemosyne_core.agents._tool import AnyTool, Tool, ToolContext
from mnemosyne_core.agents._toolset import tools_for
from mnemosyne_core.agents._workspace import Workspace

__all__ = [
    "Agent",
    "AgentMaker",
    "AgentPlace",
    "AgentSettings",
    "AnyTool",
    "ClaudeAgent",
    "Tool",
    "ToolContext",
    "Workspace",
    "create_agent",
    "default_agent",
    "tools_for",
]
