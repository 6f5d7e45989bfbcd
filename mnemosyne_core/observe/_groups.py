"""What a fact is about: the tree, a supervised child, an agent, or a work item.

Every fact is in exactly one group. A fold asks for the group first and closes
both questions with `assert_never`, so a new kind of fact cannot be forgotten.
"""

from __future__ import annotations

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStopped,
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    FeedbackConsolidated,
    MessageDropped,
    PhaseChanged,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
    WorkBlocked,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkReviewed,
    WorkSubmitted,
)

TreeFact = TreeStarted | TreeStopped | PhaseChanged

ChildFact = (
    ChildStarted
    | ChildStartFailed
    | ChildTerminated
    | ChildLeaked
    | RestartIntensityReached
    | MessageDropped
)

AgentFact = (
    AgentRegistered
    | AgentHeartbeat
    | AgentActive
    | AgentIdle
    | AgentDegraded
    | AgentRecovered
    | AgentFailed
    | AgentRestarted
    | AgentStopped
    | AgentErred
)

WorkFact = (
    WorkSubmitted
    | WorkBlocked
    | WorkClaimed
    | WorkReturned
    | WorkReviewed
    | FeedbackConsolidated
    | WorkReleased
    | WorkCompleted
    | WorkFailed
    | WorkCancelled
)
