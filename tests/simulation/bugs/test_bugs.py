"""The policies find the seeded bugs, and find nothing where there is none."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_mnemosyne.simulation.schedules import Plan, PolicyName, Properties, search
from tests.simulation.bugs.bug import RELIABLE, Bug, seeded
from tests.simulation.bugs.registry import BUGS
from tests.simulation.schedules.programs import runs_of


def _named(bug: Bug, *more: str) -> str:
    return "-".join((bug.name.replace(" ", "_"), *more))


EVERY_SEARCH = pytest.mark.parametrize(
    ("bug", "policy"),
    [
        pytest.param(bug, policy, id=_named(bug, policy))
        for bug in BUGS
        for policy in PolicyName
        if policy not in bug.elusive
    ],
)


@EVERY_SEARCH
def test_a_bug_is_found_and_found_again(bug: Bug, policy: PolicyName) -> None:
    found = search(runs_of(bug.wrong), Plan(runs=RELIABLE, policy=policy)).found

    assert found is not None
    assert found.ran.failure == bug.fails_with
    assert found.number > 0, "the plain order has to pass, or no search is needed"
    assert found.comes_again


@EVERY_SEARCH
def test_there_is_no_false_alarm_without_the_bug(bug: Bug, policy: PolicyName) -> None:
    report = search(runs_of(bug.right), Plan(runs=RELIABLE, policy=policy))

    assert report.found is None
    assert report.unstable is None
    assert report.runs == RELIABLE or report.exhausted


def test_bugs_have_names_of_their_own() -> None:
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []


def test_every_bug_is_found_reliably_by_some_policy() -> None:
    assert [bug.name for bug in BUGS if set(bug.elusive) == set(PolicyName)] == []


def test_a_bug_that_nobody_tells_is_refused() -> None:
    async def scenario(properties: Properties, part: object) -> None:
        """Never runs."""

    with pytest.raises(ValueError, match="broken part of 'mute' needs a docstring"):
        seeded("mute", scenario, right=lambda: 1, wrong=lambda: 2)
