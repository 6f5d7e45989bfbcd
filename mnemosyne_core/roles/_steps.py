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
A retry beyond the item's `max_attempts` is a failure, and so is one that would have
to wait too long. When it begins:

=======================================  ======================
the failure says                         the item rests for
=======================================  ======================
nothing of when                          0 s
nothing of when, but that Claude cannot  10, 20, 40, ... s, twice as
be reached, or does not serve            long after each attempt
that it may go well at any moment (0 s)  10 s
when it may go well again                as long as that
=======================================  ======================

Without a rest an outage would use up all attempts at once. "At any moment" is what a circuit
says while one call tries its provider: without a rest the item would be refused again and
again, and be out of attempts before that is decided.
"""

from __future__ import annotations

from enum import StrEnum, auto

from mnemosyne_core.errors import (
    ClaudeConnectionError,
    ClaudeOverloadedError,
    ClaudeRateLimitError,
    ClaudeStatusError,
)
from mnemosyne_core.work import Decision, Failure, Verdict, WorkItem, WorkResult

SOON_S = 10.0
"""How long an item rests that may be tried again at any moment: about as long as a call."""

_OUTAGES = frozenset(
    kind.code
    for kind in (
        ClaudeConnectionError,
        ClaudeOverloadedError,
        ClaudeRateLimitError,
        ClaudeStatusError,
    )
)
"""Troubles of Claude that time mends. What the agent is at fault for another attempt may mend."""


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


def not_retried(
    item: WorkItem, attempt: int, last: Failure, *, max_retry_after_s: float
) -> Failure | None:
    """Why an item fails although another attempt could help; `None` if it gets another one.

    Args:
        item: The item.
        attempt: The attempt that has failed.
        last: What it failed of.
        max_retry_after_s: How long an item waits at most to be tried again, in seconds.
    """
    if attempt >= item.max_attempts:
        return attempts_exhausted(item, last) if item.max_attempts > 1 else last
    if last.retry_after_s is not None and last.retry_after_s > max_retry_after_s:
        return retry_too_late(last, last.retry_after_s, max_retry_after_s)
    return None


def rest_s(last: Failure, *, attempt: int, max_retry_after_s: float) -> float:
    """How many seconds an item rests that is tried again after `attempt`, which met `last`."""
    if last.retry_after_s is not None:
        return last.retry_after_s or min(SOON_S, max_retry_after_s)
    if last.code not in _OUTAGES:
        return 0.0
    # The power of a high attempt is no float any more.
    return min(SOON_S * 2.0 ** min(attempt - 1, 64), max_retry_after_s)


def retry_too_late(last: Failure, retry_after_s: float, max_retry_after_s: float) -> Failure:
    """Why an item fails that could only be tried again when nobody waits for it any more."""
    return Failure(
        code="retry_too_late",
        message=f"it can be tried again in {retry_after_s:g} s, and an item waits at most "
        f"{max_retry_after_s:g} s; the last attempt: {last.message}",
        retryable=False,
        recovery=last.recovery,
        hint="submit it again later, or raise SupervisionConfig.max_retry_after_s",
        retry_after_s=retry_after_s,
    )


def attempts_exhausted(item: WorkItem, last: Failure) -> Failure:
    """Why an item fails that has been tried as often as it may be."""
    return Failure(
        code="attempts_exhausted",
        message=f"{item.max_attempts} attempts were not enough; the last one: {last.message}",
        retryable=False,
        recovery=last.recovery,
        hint=last.hint,
        retry_after_s=last.retry_after_s,
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
