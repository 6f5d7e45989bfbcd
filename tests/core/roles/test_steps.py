"""What becomes of an item, row by row of the tables in the module."""

from __future__ import annotations

import pytest

from mnemosyne_core.roles._steps import (
    Step,
    after_attempt,
    after_review,
    attempts_exhausted,
    not_approved,
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
