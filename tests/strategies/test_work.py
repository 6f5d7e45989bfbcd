from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemosyne_core.errors import InvalidWorkItemError, UsageError
from mnemosyne_core.work import (
    AgentRole,
    Decision,
    Gate,
    Verdict,
    WorkItem,
    WorkResult,
)
from pytest_mnemosyne.strategies import (
    failures,
    invalid_work_items,
    usages,
    verdicts,
    work_items,
    work_results,
)
from tests.strategies.finding import check_reach, simplest

some = settings(max_examples=50)


@some
@given(work_items())
def test_an_item_can_be_submitted_and_stored(item: WorkItem) -> None:
    assert WorkItem.parse(item) == item
    assert WorkItem.model_validate_json(item.model_dump_json()) == item


def test_every_field_of_an_item_takes_other_values_than_its_default() -> None:
    default = dict(WorkItem(id="0", description="0"))

    check_reach(
        work_items(),
        WorkItem.model_fields,
        lambda item: [name for name, value in item if value != default[name]],
    )


def test_an_item_shrinks_to_the_defaults() -> None:
    assert simplest(work_items()) == WorkItem(id="0", description="0")


@some
@given(work_items(role=AgentRole.REVIEWER, priority=st.integers(8, 10), dependencies=()))
def test_a_value_pins_a_field_and_a_strategy_narrows_it(item: WorkItem) -> None:
    assert item.role is AgentRole.REVIEWER
    assert item.priority >= 8
    assert item.dependencies == ()


def test_a_field_that_there_is_not_is_named() -> None:
    with pytest.raises(UsageError, match="no field is called colour; there are id, description"):
        work_items(colour="red")


def test_a_pinned_value_that_is_not_legal_is_refused_like_any_other() -> None:
    with pytest.raises(InvalidWorkItemError, match="priority"):
        simplest(work_items(priority=11))


@settings(max_examples=200)
@given(invalid_work_items())
def test_an_invalid_item_is_refused_for_the_field_at_fault(
    case: tuple[dict[str, Any], str],
) -> None:
    given_fields, fault = case

    with pytest.raises(InvalidWorkItemError) as caught:
        WorkItem.parse(given_fields)

    assert {place.partition(".")[0] for place, _ in caught.value.problems} == {fault}


def test_every_field_is_at_fault_once() -> None:
    fields = (*WorkItem.model_fields, "colour", "value")

    check_reach(invalid_work_items(), fields, lambda case: [case[1]])


@some
@given(work_results())
def test_a_result_crosses_the_bridge_as_it_is(result: WorkResult) -> None:
    assert result.success is (result.error is None)
    assert WorkResult.model_validate_json(result.model_dump_json()) == result


def test_results_succeed_and_fail() -> None:
    check_reach(work_results(), (True, False), lambda result: [result.success])


@some
@given(work_results(item_id="a", success=True, attempt=st.integers(2, 3)))
def test_a_result_can_be_pinned(result: WorkResult) -> None:
    assert (result.item_id, result.success, result.error) == ("a", True, None)
    assert result.attempt in (2, 3)


@some
@given(verdicts())
def test_a_verdict_means_what_it_says(verdict: Verdict) -> None:
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_verdicts_of_every_kind_are_given_on_every_gate() -> None:
    check_reach(
        verdicts(),
        (*Decision, *((gate, holds) for gate in Gate for holds in (True, False))),
        lambda verdict: (verdict.decision, *verdict.gates.items()),
    )


@some
@given(verdicts(decision=Decision.REVISE, issues=("no tests",)))
def test_a_verdict_can_be_pinned(verdict: Verdict) -> None:
    assert (verdict.decision, verdict.issues) == (Decision.REVISE, ("no tests",))


def test_the_simplest_of_each_is_plain() -> None:
    result = simplest(work_results())

    assert simplest(verdicts()) == Verdict(decision=Decision.APPROVE, gates={}, confidence=0.0)
    assert simplest(failures()).code == "crash"
    assert simplest(usages()).total_input_tokens == 0
    assert (result.item_id, result.attempt, result.success) == ("0", 1, False)
