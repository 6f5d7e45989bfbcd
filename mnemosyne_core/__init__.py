"""Supervised agents on Claude: trees, bridges, work items, events.

The names below are the ones that most programs need; the packages under
`mnemosyne_core` hold the rest. Importing this front imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from mnemosyne_core.agents import create_agent
    from mnemosyne_core.bridge import ClaudeAgentBridge
    from mnemosyne_core.errors import Abort, MnemosyneError
    from mnemosyne_core.events import Event
    from mnemosyne_core.observe import EventBroadcaster, StateManager
    from mnemosyne_core.tree import SupervisionConfig, SupervisionTree, WorkHandle
    from mnemosyne_core.work import (
        AgentRole,
        Namespace,
        Phase,
        Verdict,
        WorkItem,
        WorkResult,
        WorkState,
    )

__all__ = [
    "Abort",
    "AgentRole",
    "ClaudeAgentBridge",
    "Event",
    "EventBroadcaster",
    "MnemosyneError",
    "Namespace",
    "Phase",
    "StateManager",
    "SupervisionConfig",
    "SupervisionTree",
    "Verdict",
    "WorkHandle",
    "WorkItem",
    "WorkResult",
    "WorkState",
    "create_agent",
]

_MODULES = {
    "Abort": "mnemosyne_core.errors",
    "AgentRole": "mnemosyne_core.work",
    "ClaudeAgentBridge": "mnemosyne_core.bridge",
    "Event": "mnemosyne_core.events",
    "EventBroadcaster": "mnemosyne_core.observe",
    "MnemosyneError": "mnemosyne_core.errors",
    "Namespace": "mnemosyne_core.work",
    "Phase": "mnemosyne_core.work",
    "StateManager": "mnemosyne_core.observe",
    "SupervisionConfig": "mnemosyne_core.tree",
    "SupervisionTree": "mnemosyne_core.tree",
    "Verdict": "mnemosyne_core.work",
    "WorkHandle": "mnemosyne_core.tree",
    "WorkItem": "mnemosyne_core.work",
    "WorkResult": "mnemosyne_core.work",
    "WorkState": "mnemosyne_core.work",
    "create_agent": "mnemosyne_core.agents",
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
