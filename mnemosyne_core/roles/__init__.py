"""The four actors: who schedules, who works, who judges, who improves."""

from __future__ import annotations

from mnemosyne_core.roles._agent_actor import AgentActor, BridgeFactory
from mnemosyne_core.roles._attempt import MissingAgent
from mnemosyne_core.roles._executor import Executor, SubAgents
from mnemosyne_core.roles._messages import (
    AdvancePhase,
    Cancel,
    Consolidate,
    Consolidated,
    Delegate,
    Judged,
    Recall,
    Review,
    Submit,
    Wake,
)
from mnemosyne_core.roles._optimizer import Optimizer
from mnemosyne_core.roles._orchestrator import Orchestrator, OrchestratorSettings
from mnemosyne_core.roles._peers import Peers
from mnemosyne_core.roles._reviewer import Reviewer, ReviewFailedError

__all__ = [
    "AdvancePhase",
    "AgentActor",
    "BridgeFactory",
    "Cancel",
    "Consolidate",
    "Consolidated",
    "Delegate",
    "Executor",
    "Judged",
    "MissingAgent",
    "Optimizer",
    "Orchestrator",
    "OrchestratorSettings",
    "Peers",
    "Recall",
    "Review",
    "ReviewFailedError",
    "Reviewer",
    "SubAgents",
    "Submit",
    "Wake",
]
