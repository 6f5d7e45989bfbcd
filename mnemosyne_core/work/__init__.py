"""Work items and results, phases, and the dependency-aware queue: values and pure rules."""

from __future__ import annotations

from mnemosyne_core.work._claim import Claim, Progress, QueuedItem, QueueSnapshot
from mnemosyne_core.work._graph import dependency_order
from mnemosyne_core.work._phase import Phase
from mnemosyne_core.work._queue import WorkQueue
from mnemosyne_core.work._values import (
    AgentRole,
    Decision,
    Failure,
    Gate,
    Guidance,
    Namespace,
    Usage,
    Verdict,
    WorkItem,
    WorkResult,
    WorkState,
    problems_of,
)

__all__ = [
    "AgentRole",
    "Claim",
    "Decision",
    "Failure",
    "Gate",
    "Guidance",
    "Namespace",
    "Phase",
    "Progress",
    "QueueSnapshot",
    "QueuedItem",
    "Usage",
    "Verdict",
    "WorkItem",
    "WorkQueue",
    "WorkResult",
    "WorkState",
    "dependency_order",
    "problems_of",
]
