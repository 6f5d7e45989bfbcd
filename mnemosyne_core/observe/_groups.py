"""What a fact is about: the tree, a supervised child, an agent, its calls of Claude, or work.

Every fact is in exactly one group. A fold asks for the group first and closes
both questions with `assert_never`, so a new kind of fact cannot be forgotten.
"""

from __future__ import annotations

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentDied,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStale,
    AgentStopped,
    BudgetExhausted,
    BudgetWarned,
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ClaudeDeadlineExceeded,
    ClaudeRateLimited,
    ClaudeRetried,
    ClaudeRetryRefused,
    FeedbackConsolidated,
    LeakEnded,
    LoopBlocked,
    MessageDropped,
    PhaseChanged,
    RestartDelayed,
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

TreeFact = TreeStarted | TreeStopped | PhaseChanged | LoopBlocked

ChildFact = (
    ChildStarted
    | ChildIgnored
    | ChildStartFailed
    | ChildTerminated
    | ChildShutdownFailed
    | ChildLeaked
    | LeakEnded
    | RestartDelayed
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
    | AgentStale
    | AgentDied
    | AgentFailed
    | AgentRestarted
    | AgentStopped
    | AgentErred
)

ClaudeFact = (
    ClaudeDeadlineExceeded
    | ClaudeRateLimited
    | ClaudeRetried
    | ClaudeRetryRefused
    | CircuitOpened
    | CircuitHalfOpened
    | CircuitClosed
    | BudgetWarned
    | BudgetExhausted
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
