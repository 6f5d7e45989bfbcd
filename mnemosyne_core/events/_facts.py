"""What can happen in a tree: one class for each kind of fact, in the past tense.

A fact says what happened; the event around it says when, to whom, in which
order and because of what.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from mnemosyne_core._value import Value
from mnemosyne_core.work import AgentRole, Failure, Phase, Usage, Verdict, WorkItem, WorkResult

# --- the tree --------------------------------------------------------------------------


class TreeStarted(Value):
    """The supervision tree begins its run; what starts, or cannot, has events of its own."""

    kind: Literal["tree_started"] = "tree_started"


class TreeStopped(Value):
    """The supervision tree has ended."""

    kind: Literal["tree_stopped"] = "tree_stopped"
    reason: str


class PhaseChanged(Value):
    """The project entered its next phase."""

    kind: Literal["phase_changed"] = "phase_changed"
    previous: Phase
    phase: Phase


class LoopBlocked(Value):
    """The event loop did not turn: something in it ran on without ever waiting."""

    kind: Literal["loop_blocked"] = "loop_blocked"
    blocked_s: NonNegativeFloat
    """For how long, in real seconds, whatever time the loop keeps."""

    stack: str
    """What its thread was doing when that was noticed, innermost last; empty if it was not."""


# --- supervision -----------------------------------------------------------------------


class Occasion(StrEnum):
    """What a supervisor was doing when something happened to a child of it."""

    START = auto()
    """It started the child for the first time, or by hand."""

    RUNNING = auto()
    """Nothing: the child ended by itself."""

    RESTART = auto()
    """It restarted the child, for its own or a sibling's sake."""

    SHUTDOWN = auto()
    """It stopped the child: with all the others, or by hand."""


class ChildStarted(Value):
    """A supervised child has finished its start; also after each restart."""

    kind: Literal["child_started"] = "child_started"
    child: str
    incarnation: PositiveInt
    leaked: NonNegativeInt = 0
    """How many earlier incarnations were left behind and still run beside it."""

    supervisor: str | None = None
    occasion: Occasion | None = None


class ChildIgnored(Value):
    """A child's start said that there is nothing to run; no failure, and not tried again."""

    kind: Literal["child_ignored"] = "child_ignored"
    child: str
    incarnation: PositiveInt
    reason: str
    supervisor: str
    occasion: Occasion


class ChildStartFailed(Value):
    """A child's start raised, for the first time or during a restart."""

    kind: Literal["child_start_failed"] = "child_start_failed"
    child: str
    reason: str
    incarnation: PositiveInt | None = None
    supervisor: str | None = None
    occasion: Occasion | None = None


class ChildTerminated(Value):
    """A child has ended: by itself, by a crash, or by its supervisor."""

    kind: Literal["child_terminated"] = "child_terminated"
    child: str
    incarnation: PositiveInt
    reason: str
    abnormal: bool
    supervisor: str | None = None
    occasion: Occasion | None = None


class ChildShutdownFailed(Value):
    """A child that was stopped ended otherwise than it should: it crashed, or had to be killed."""

    kind: Literal["child_shutdown_failed"] = "child_shutdown_failed"
    child: str
    incarnation: PositiveInt
    reason: str
    supervisor: str
    occasion: Occasion


class ChildLeaked(Value):
    """A child did not end within its shutdown time and was left behind."""

    kind: Literal["child_leaked"] = "child_leaked"
    child: str
    shutdown_s: NonNegativeFloat
    incarnation: PositiveInt | None = None
    supervisor: str | None = None


class LeakEnded(Value):
    """An incarnation that was left behind has ended at last."""

    kind: Literal["leak_ended"] = "leak_ended"
    child: str
    incarnation: PositiveInt
    leaked: NonNegativeInt
    """How many others of this name still run that were left behind."""


class RestartDelayed(Value):
    """A child is restarted later, as its back-off says; its group waits with it."""

    kind: Literal["restart_delayed"] = "restart_delayed"
    child: str
    incarnation: PositiveInt
    """The one that ended or did not start."""

    delay_s: NonNegativeFloat
    """Seconds from this event until the restart is due."""

    in_a_row: PositiveInt
    """Which restart without a stable period in between this is."""

    supervisor: str


class RestartIntensityReached(Value):
    """A supervisor gave up; its parent decides."""

    kind: Literal["restart_intensity_reached"] = "restart_intensity_reached"
    supervisor: str
    max_restarts: NonNegativeInt
    period_s: NonNegativeFloat
    child: str | None = None
    """Whose failure was one too many."""

    incarnation: PositiveInt | None = None
    reason: str | None = None


class MessageDropped(Value):
    """A message could not be delivered: its actor is gone, or was restarted before its turn."""

    kind: Literal["message_dropped"] = "message_dropped"
    message: str
    reason: str


# --- agents and bridge -----------------------------------------------------------------


class AgentRegistered(Value):
    """An agent showed its first sign of life; also after a restart."""

    kind: Literal["agent_registered"] = "agent_registered"
    role: AgentRole
    incarnation: PositiveInt = 1


class AgentHeartbeat(Value):
    """An agent is alive."""

    kind: Literal["agent_heartbeat"] = "agent_heartbeat"


class AgentActive(Value):
    """An agent took up a work item."""

    kind: Literal["agent_active"] = "agent_active"
    item_id: str


class AgentIdle(Value):
    """An agent has nothing to do."""

    kind: Literal["agent_idle"] = "agent_idle"


class AgentDegraded(Value):
    """An agent fails often enough to be distrusted, or lacks what no restart would give it."""

    kind: Literal["agent_degraded"] = "agent_degraded"
    errors: NonNegativeInt
    reason: str


class AgentRecovered(Value):
    """What made an agent degraded or stale has passed."""

    kind: Literal["agent_recovered"] = "agent_recovered"
    errors: NonNegativeInt = 0
    """How many are still in the window."""


class AgentStale(Value):
    """An agent has given no sign of life for longer than it should."""

    kind: Literal["agent_stale"] = "agent_stale"
    silent_s: PositiveFloat


class AgentDied(Value):
    """An agent has been silent for so long that it is given up; its bridge replaces it."""

    kind: Literal["agent_died"] = "agent_died"
    silent_s: PositiveFloat


class AgentFailed(Value):
    """An agent is not there: it could not start, or it ended."""

    kind: Literal["agent_failed"] = "agent_failed"
    role: AgentRole
    error: Failure
    tries_again: bool = False
    """Whether its bridge goes on trying to start it; said again only when the error changes."""


class AgentRestarted(Value):
    """The bridge replaced an agent that failed too often, or was gone or dead."""

    kind: Literal["agent_restarted"] = "agent_restarted"
    errors: NonNegativeInt
    reason: str


class AgentStopped(Value):
    """An agent ended because it was asked to."""

    kind: Literal["agent_stopped"] = "agent_stopped"


class AgentErred(Value):
    """The bridge counted an error of its agent."""

    kind: Literal["agent_erred"] = "agent_erred"
    error: Failure
    errors: PositiveInt
    """How many there are in the current window, with this one."""


# --- calls of Claude -------------------------------------------------------------------


class ClaudeDeadlineExceeded(Value):
    """A call of Claude was abandoned, for it took too long."""

    kind: Literal["claude_deadline_exceeded"] = "claude_deadline_exceeded"
    deadline_s: NonNegativeFloat


class ClaudeRateLimited(Value):
    """A call of Claude has to wait before it is made."""

    kind: Literal["claude_rate_limited"] = "claude_rate_limited"
    reason: str
    wait_s: NonNegativeFloat | None = None
    """How long, where that can be told."""


class ClaudeRetried(Value):
    """A call of Claude failed for a passing reason and is made again."""

    kind: Literal["claude_retried"] = "claude_retried"
    retry: PositiveInt
    """The how manieth retry of this call it is."""

    wait_s: NonNegativeFloat
    error: Failure


class ClaudeRetryRefused(Value):
    """A call of Claude failed for a passing reason and is still not made again."""

    kind: Literal["claude_retry_refused"] = "claude_retry_refused"
    reason: str
    error: Failure


class CircuitOpened(Value):
    """A provider fails so often that it is left alone for a while."""

    kind: Literal["circuit_opened"] = "circuit_opened"
    provider: str
    open_s: NonNegativeFloat
    reason: str


class CircuitHalfOpened(Value):
    """One call tries whether a provider is well again."""

    kind: Literal["circuit_half_opened"] = "circuit_half_opened"
    provider: str


class CircuitClosed(Value):
    """A provider answers again."""

    kind: Literal["circuit_closed"] = "circuit_closed"
    provider: str


class BudgetWarned(Value):
    """Most of a budget is used up; told once for each."""

    kind: Literal["budget_warned"] = "budget_warned"
    unit: str
    limit: NonNegativeFloat
    spent: NonNegativeFloat


class BudgetExhausted(Value):
    """A call was refused because of a budget, for the first time."""

    kind: Literal["budget_exhausted"] = "budget_exhausted"
    unit: str
    limit: NonNegativeFloat
    spent: NonNegativeFloat
    needed: NonNegativeFloat
    """What the call may have used at most."""


# --- work ------------------------------------------------------------------------------


class WorkSubmitted(Value):
    """An item was accepted and stored."""

    kind: Literal["work_submitted"] = "work_submitted"
    item: WorkItem


class WorkBlocked(Value):
    """An item is ready but cannot start, because its agent is missing."""

    kind: Literal["work_blocked"] = "work_blocked"
    item_id: str
    reason: str


class WorkClaimed(Value):
    """An item's turn has come: an attempt begins."""

    kind: Literal["work_claimed"] = "work_claimed"
    item_id: str
    worker: str
    """Path of the agent that has it now."""


class WorkReturned(Value):
    """An agent handed in a result; nothing is decided yet."""

    kind: Literal["work_returned"] = "work_returned"
    item_id: str
    result: WorkResult


class WorkReviewed(Value):
    """A reviewer gave its verdict."""

    kind: Literal["work_reviewed"] = "work_reviewed"
    item_id: str
    verdict: Verdict
    usage: Usage = Usage()
    """What the review itself cost."""


class FeedbackConsolidated(Value):
    """An optimizer turned a verdict or a failure into guidance for the next attempt."""

    kind: Literal["feedback_consolidated"] = "feedback_consolidated"
    item_id: str
    guidance: tuple[str, ...]
    usage: Usage = Usage()
    """What the consolidation itself cost."""


class WorkReleased(Value):
    """An attempt came to nothing; the item goes round again."""

    kind: Literal["work_released"] = "work_released"
    item_id: str
    reason: str
    not_before: AwareDatetime | None = None
    """When the next attempt may begin; absent: at once."""


class WorkCompleted(Value):
    """An item is done."""

    kind: Literal["work_completed"] = "work_completed"
    item_id: str
    result: WorkResult


class WorkFailed(Value):
    """An item will not be done."""

    kind: Literal["work_failed"] = "work_failed"
    item_id: str
    result: WorkResult


class WorkCancelled(Value):
    """An item was taken back before it was done."""

    kind: Literal["work_cancelled"] = "work_cancelled"
    item_id: str
    reason: str


Fact = Annotated[
    TreeStarted
    | TreeStopped
    | PhaseChanged
    | LoopBlocked
    | ChildStarted
    | ChildIgnored
    | ChildStartFailed
    | ChildTerminated
    | ChildShutdownFailed
    | ChildLeaked
    | LeakEnded
    | RestartDelayed
    | RestartIntensityReached
    | MessageDropped
    | AgentRegistered
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
    | ClaudeDeadlineExceeded
    | ClaudeRateLimited
    | ClaudeRetried
    | ClaudeRetryRefused
    | CircuitOpened
    | CircuitHalfOpened
    | CircuitClosed
    | BudgetWarned
    | BudgetExhausted
    | WorkSubmitted
    | WorkBlocked
    | WorkClaimed
    | WorkReturned
    | WorkReviewed
    | FeedbackConsolidated
    | WorkReleased
    | WorkCompleted
    | WorkFailed
    | WorkCancelled,
    Field(discriminator="kind"),
]
"""Any fact, told apart by its `kind`."""
