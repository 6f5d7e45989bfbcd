"""Work items and results, phases, and the dependency-aware queue: values and pure rules."""

from __future__ import annotations

from mnemosyne_core.work._phase import Phase
from mnemosyne_core.work._values import (
    AgentRole,
    Decision,
    Failure,
    Gate,
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
    "Decision",
    "Failure",
    "Gate",
    "Namespace",
    "Phase",
    "Usage",
    "Verdict",
    "WorkItem",
    "WorkResult",
    "WorkState",
    "problems_of",
]
