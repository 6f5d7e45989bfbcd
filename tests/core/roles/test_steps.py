"""What becomes of an item, row by row of the tables in the module."""

from __future__ import annotations

import pytest

from mnemosyne_core.errors import (
    ClaudeConnectionError,
    ClaudeStatusError,
    ClaudeStreamError,
    MnemosyneError,
    WorkTimeoutError,
)
from mnemosyne_core.roles._steps import (
    Step,
    after_attempt,
    after_review,
    attempts_exhausted,
    not_approved,
    not_retried,
    rest_s,
)
from mnemosyne_core.work import AgentRole, Decision, Failure, Verdict, WorkItem, WorkResult

ITEM = WorkItem(id="a", description="x")


def verdict(decision: Decision) -> Verdict:
    issues = () if decision is Decision.APPROVE else ("too short",)
    return Verdict(decision=decision, gates={}, confidence=1.0, issues=issues)


@pytest.mark.parametrize(
    ("item", "error", "step"),
    [
        pytest.param(
            ITEM, Failure(code="crash", message="!", retryable=True), Step.RETRY, id="retryable"
        ),
        pytest.param(
            ITEM, Failure(code="refusal", message="!", retryable=False), Step.FAIL, id="final"
        ),
        pytest.param(ITEM, None, Step.REVIEW, id="wants-a-review"),
        pytest.param(
            ITEM.model_copy(update={"review": False}), None, Step.COMPLETE, id="wants-none"
        ),
        pytest.param(
            ITEM.model_copy(update={"role": AgentRole.REVIEWER}),
            None,
            Step.COMPLETE,
            id="is-a-review",
        ),
    ],
)
def test_the_step_after_an_attempt(item: WorkItem, error: Failure | None, step: Step) -> None:
    result = WorkResult(item_id=item.id, success=error is None, error=error)

    assert after_attempt(item, result) is step


@pytest.mark.parametrize(
    ("decision", "step"),
    [
        (Decision.APPROVE, Step.COMPLETE),
        (Decision.REVISE, Step.RETRY),
        (Decision.REJECT, Step.FAIL),
    ],
)
def test_the_step_after_a_review(decision: Decision, step: Step) -> None:
    assert after_review(verdict(decision)) is step


def test_a_refusal_is_a_failure_that_says_what_the_reviewer_said() -> None:
    revised = not_approved(verdict(Decision.REVISE))
    rejected = not_approved(verdict(Decision.REJECT))

    assert "too short" in revised.message
    assert revised.retryable
    assert not rejected.retryable
    exhausted = attempts_exhausted(ITEM, revised)
    assert "3 attempts" in exhausted.message
    assert "too short" in exhausted.message
    assert not exhausted.retryable


LOST = ClaudeConnectionError(reason="connection reset")


def status(code: int, *, retry_after_s: float | None = None) -> ClaudeStatusError:
    kind = ClaudeStatusError.kind_of(code, "")
    return kind(status=code, error_type="", message="because", retry_after_s=retry_after_s)


def crash(*, retry_after_s: float | None) -> Failure:
    return Failure(code="crash", message="it broke", hint="wait", retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("retry_after_s", "rests_s"),
    [
        pytest.param(None, 0.0, id="nothing-of-when"),
        pytest.param(0.0, 10.0, id="any-moment"),
        pytest.param(0.5, 0.5, id="soon"),
        pytest.param(600.0, 600.0, id="later"),
    ],
)
def test_how_long_an_item_rests(retry_after_s: float | None, rests_s: float) -> None:
    last = crash(retry_after_s=retry_after_s)
    assert rest_s(last, attempt=3, max_retry_after_s=3600.0) == rests_s


@pytest.mark.parametrize(
    ("error", "rests_s"),
    [
        pytest.param(LOST, [10.0, 20.0, 40.0], id="connection"),
        pytest.param(status(529), [10.0, 20.0, 40.0], id="529"),
        pytest.param(status(503), [10.0, 20.0, 40.0], id="503"),
        pytest.param(status(429), [10.0, 20.0, 40.0], id="429"),
        pytest.param(status(529, retry_after_s=3.0), [3.0, 3.0, 3.0], id="529-that-says-when"),
        pytest.param(ClaudeStreamError(reason="cut"), [0.0, 0.0, 0.0], id="cut"),
        pytest.param(
            WorkTimeoutError(item_id="a", timeout_s=1.0), [0.0, 0.0, 0.0], id="agent-s-fault"
        ),
    ],
)
def test_an_item_rests_longer_and_longer_while_claude_is_out(
    error: MnemosyneError, rests_s: list[float]
) -> None:
    last = Failure.of(error)
    rests = [rest_s(last, attempt=attempt, max_retry_after_s=3600.0) for attempt in (1, 2, 3)]
    assert rests == rests_s


def test_no_rest_is_longer_than_the_bound() -> None:
    assert rest_s(crash(retry_after_s=0.0), attempt=1, max_retry_after_s=4.0) == 4.0
    assert rest_s(Failure.of(LOST), attempt=10_000, max_retry_after_s=4.0) == 4.0


@pytest.mark.parametrize(
    ("attempt", "most", "retry_after_s", "code"),
    [
        pytest.param(1, 3, None, None, id="at-once"),
        pytest.param(2, 3, 60.0, None, id="as-late-as-may-be"),
        pytest.param(1, 3, 60.5, "retry_too_late", id="too-late"),
        pytest.param(3, 3, None, "attempts_exhausted", id="no-attempt-left"),
        pytest.param(3, 3, 60.5, "attempts_exhausted", id="no-attempt-left-and-too-late"),
        pytest.param(1, 1, 60.5, "crash", id="never-more-than-one"),
    ],
)
def test_whether_there_is_another_attempt(
    attempt: int, most: int, retry_after_s: float | None, code: str | None
) -> None:
    item = WorkItem(id="a", description="x", max_attempts=most)
    last = crash(retry_after_s=retry_after_s)

    final = not_retried(item, attempt, last, max_retry_after_s=60.0)

    assert (None if final is None else final.code) == code
    assert final is None or final.retry_after_s == retry_after_s


def test_an_item_that_would_rest_too_long_says_how_long_and_what_to_do() -> None:
    last = crash(retry_after_s=7200.0)

    final = not_retried(ITEM, 1, last, max_retry_after_s=3600.0)

    assert final is not None
    assert not final.retryable
    assert "in 7200 s, and an item waits at most 3600 s" in final.message
    assert "it broke" in final.message
    assert "max_retry_after_s" in final.hint
