"""The supervision tree, and what a caller of it holds."""

from __future__ import annotations

from mnemosyne_core.agents import AgentMaker, AgentPlace, default_agent
from mnemosyne_core.tree._config import SupervisionConfig
from mnemosyne_core.tree._handle import WorkHandle
from mnemosyne_core.tree._health import AgentHealth, Health, HealthStatus
from mnemosyne_core.tree._signals import ends_on_signals
from mnemosyne_core.tree._tree import SupervisionTree

__all__ = [
    "AgentHealth",
    "AgentMaker",
    "AgentPlace",
    "Health",
    "HealthStatus",
    "SupervisionConfig",
    "SupervisionTree",
    "WorkHandle",
    "default_agent",
    "ends_on_signals",
]
