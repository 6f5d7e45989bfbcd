"""The executor: does the work."""

from __future__ import annotations

from mnemosyne_core.roles._agent_actor import AgentActor


class Executor(AgentActor):
    """Has its agent do the items; without an agent it can do none."""
