"""What becomes of an item, decided on values.

After an attempt:

=======================================  ======================
result                                   next
=======================================  ======================
failed, another attempt can help         retry
failed, no other attempt can help        fail
succeeded, the item wants a review       review
succeeded, the item wants none           complete
=======================================  ======================

After a review: approve completes, revise retries with guidance, reject fails.
A retry beyond the item's `max_attempts` is a failure.
"""

from __future__ import annotations

from enum import StrEnum, auto

from mnemosyne_core.work import Decision, Failure, Verdict, WorkItem, WorkResult


class Step(StrEnum):
    """What happens to an item next."""

    COMPLETE = auto()
    REVIEW = auto()
    RETRY = auto()
    FAIL = auto()


def after_attempt(item: WorkItem, result: WorkResult) -> Step:
    """The step after an agent handed in `result`."""
    if result.error is not None:
        return Step.RETRY if result.error.retryable else Step.FAIL
    return Step.REVIEW if item.wants_review else Step.COMPLETE


def after_review(verdict: Verdict) -> Step:
    """The step after a reviewer judged a result."""
    match verdict.decision:
        case Decision.APPROVE:
            return Step.COMPLETE
        case Decision.REVISE:
            return Step.RETRY
        case Decision.REJECT:
            return Step.FAIL


def attempts_exhausted(item: WorkItem, last: Failure) -> Failure:
    """Why an item fails that has been tried as often as it may be."""
    return Failure(
        code="attempts_exhausted",
        message=f"{item.max_attempts} attempts were not enough; the last one: {last.message}",
        retryable=False,
    )


def not_approved(verdict: Verdict) -> Failure:
    """Why an item fails whose result no reviewer approves."""
    return Failure(
        code="not_approved",
        message=f"the reviewer says {verdict.decision.value}: {'; '.join(verdict.issues)}",
        retryable=verdict.decision is Decision.REVISE,
    )


def dependency_failed(item_id: str, state: str) -> Failure:
    """Why an item fails that waited for another one."""
    return Failure(
        code="dependency_failed",
        message=f"it depends on {item_id!r}, which {state}",
        retryable=False,
    )
