"""Where a work item stands, as a fold over the facts about it.

=====================  ==========================================================
fact                   what it changes
=====================  ==========================================================
work_submitted         the item exists, waiting
work_blocked           why it cannot start
work_claimed           active, with a worker; the attempt begins
work_returned          the result; reviewing if it is a success and to be reviewed
work_reviewed          one more review; nothing keeps it any more
feedback_consolidated  guidance for the next attempt
work_released          waiting for the next attempt, and until when
work_completed         completed, with the result
work_failed            failed, with the result
work_cancelled         cancelled
=====================  ==========================================================

A final state is final: facts that come later change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from mnemosyne_core.events import (
    Event,
    FeedbackConsolidated,
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
from mnemosyne_core.observe._groups import WorkFact
from mnemosyne_core.work import WorkItem, WorkResult, WorkState

_UNDER_WAY = (WorkState.ACTIVE, WorkState.REVIEWING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemState:
    """One work item and how far it has come."""

    item: WorkItem
    submitted_seq: int
    """Sequence number of its submission; orders items."""

    state: WorkState = WorkState.WAITING
    attempt: int = 1
    """The attempt that comes next, is under way, or was the last."""

    guidance: tuple[str, ...] = ()
    """What earlier attempts taught."""

    worker: str | None = None
    """Path of the agent that has it; absent while it waits and when it is finished."""

    blocked: str | None = None
    """Why it cannot start although it is ready."""

    not_before: datetime | None = None
    """When its next attempt may begin; absent while nothing but its turn is to come."""

    reviews: int = 0
    """Verdicts given on it."""

    result: WorkResult | None = None
    """The last word so far."""


def item_id_of(fact: WorkFact) -> str:
    """The id of the item that a fact is about."""
    return fact.item.id if isinstance(fact, WorkSubmitted) else fact.item_id


def item_after(before: ItemState | None, fact: WorkFact, event: Event) -> ItemState | None:
    """An item's state after `event`, whose fact is `fact`.

    Args:
        before: The state before; `None` for an item that was never submitted.
        fact: The event's fact.
        event: Where in the story it stands.

    Returns:
        The new state; `before` itself if the fact changes nothing.
    """
    if before is None:
        if isinstance(fact, WorkSubmitted):
            return ItemState(item=fact.item, submitted_seq=event.seq)
        return None
    if before.state.is_final:
        return before
    match fact:
        case WorkSubmitted():
            return before
        case WorkBlocked(reason=reason):
            return replace(before, blocked=reason)
        case WorkClaimed(worker=worker):
            return replace(
                before,
                state=WorkState.ACTIVE,
                attempt=max(before.attempt, event.attempt),
                worker=worker,
                blocked=None,
                not_before=None,
            )
        case WorkReturned(result=result):
            return _returned(before, result)
        case WorkReviewed():
            return replace(before, reviews=before.reviews + 1, blocked=None)
        case FeedbackConsolidated(guidance=guidance):
            return replace(before, guidance=guidance)
        case WorkReleased(not_before=not_before):
            return _released(before, not_before)
        case WorkCompleted(result=result):
            return _finished(before, WorkState.COMPLETED, result)
        case WorkFailed(result=result):
            return _finished(before, WorkState.FAILED, result)
        case WorkCancelled():
            return _finished(before, WorkState.CANCELLED, before.result)
        case _:
            assert_never(fact)


def _returned(before: ItemState, result: WorkResult) -> ItemState:
    to_be_reviewed = before.item.wants_review and result.success
    if before.state is WorkState.ACTIVE and to_be_reviewed:
        return replace(before, state=WorkState.REVIEWING, result=result)
    return replace(before, result=result)


def _released(before: ItemState, not_before: datetime | None) -> ItemState:
    if before.state not in _UNDER_WAY:
        return before
    return replace(
        before,
        state=WorkState.WAITING,
        attempt=before.attempt + 1,
        worker=None,
        not_before=not_before,
    )


def _finished(before: ItemState, state: WorkState, result: WorkResult | None) -> ItemState:
    return replace(before, state=state, result=result, worker=None, blocked=None, not_before=None)
