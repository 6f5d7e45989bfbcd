"""What can happen in a tree: one class for each kind of fact, in the past tense.

A fact says what happened; the event around it says when, to whom, in which
order and because of what.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

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


# --- supervision -----------------------------------------------------------------------


class ChildStarted(Value):
    """A supervised child has finished its start; also after each restart."""

    kind: Literal["child_started"] = "child_started"
    child: str
    incarnation: PositiveInt


class ChildStartFailed(Value):
    """A child's start raised, for the first time or during a restart."""

    kind: Literal["child_start_failed"] = "child_start_failed"
    child: str
    reason: str


class ChildTerminated(Value):
    """A child has ended: by itself, by a crash, or by its supervisor."""

    kind: Literal["child_terminated"] = "child_terminated"
    child: str
    incarnation: PositiveInt
    reason: str
    abnormal: bool


class ChildLeaked(Value):
    """A child did not end within its shutdown time and was left behind."""

    kind: Literal["child_leaked"] = "child_leaked"
    child: str
    shutdown_s: NonNegativeFloat


class RestartIntensityReached(Value):
    """A supervisor gave up; its parent decides."""

    kind: Literal["restart_intensity_reached"] = "restart_intensity_reached"
    supervisor: str
    max_restarts: NonNegativeInt
    period_s: NonNegativeFloat


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
    """An agent fails often enough to be distrusted."""

    kind: Literal["agent_degraded"] = "agent_degraded"
    errors: NonNegativeInt
    reason: str


class AgentRecovered(Value):
    """A degraded agent's errors have passed out of the window."""

    kind: Literal["agent_recovered"] = "agent_recovered"


class AgentFailed(Value):
    """An agent is not there: it could not start, or it ended."""

    kind: Literal["agent_failed"] = "agent_failed"
    role: AgentRole
    error: Failure


class AgentRestarted(Value):
    """The bridge replaced an agent that failed too often."""

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
    | ChildStarted
    | ChildStartFailed
    | ChildTerminated
    | ChildLeaked
    | RestartIntensityReached
    | MessageDropped
    | AgentRegistered
    | AgentHeartbeat
    | AgentActive
    | AgentIdle
    | AgentDegraded
    | AgentRecovered
    | AgentFailed
    | AgentRestarted
    | AgentStopped
    | AgentErred
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
