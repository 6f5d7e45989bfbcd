"""A file that some of its tests record anew: nothing of others is lost, whoever is first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import CassetteFile, Interaction, are_same
from pytest_mnemosyne.cassette._key import Key, request_key
from pytest_mnemosyne.cassette._merging import in_file_order, unanswered
from pytest_mnemosyne.cassette._renewal import renewed
from tests.cassette.files._make import interaction

EXECUTOR, SUB, REVIEWER = Lane("executor"), Lane("executor/sub-1"), Lane("reviewer")

Call = tuple[Lane | None, str]
"""Who asks, and what."""

Tests = list[list[Call]]
"""What each test asks."""

OUTSIDE = st.tuples(st.none(), st.sampled_from("abcd"))
IN_ROLES = st.tuples(st.sampled_from((EXECUTOR, REVIEWER)), st.sampled_from("abc"))


def runs_of(calls: st.SearchStrategy[Call]) -> st.SearchStrategy[Tests]:
    return st.lists(st.lists(calls, max_size=5), min_size=1, max_size=4)


TESTS = runs_of(OUTSIDE) | runs_of(IN_ROLES)
TWO_RUNS = st.tuples(runs_of(OUTSIDE), runs_of(OUTSIDE)) | st.tuples(
    runs_of(IN_ROLES), runs_of(IN_ROLES)
)
"""What tests have recorded, and what these or others record anew."""


def exchange(call: Call, answer: object) -> Interaction:
    lane, question = call
    return interaction({"messages": [question]}, answer, lane=lane)


def run(tests: Iterable[Sequence[Call]], *, says: str) -> tuple[Interaction, ...]:
    """What tests record, one after the other, into one file that begins empty."""
    numbers = count()
    there: tuple[Interaction, ...] = ()
    for calls in tests:
        asked = [exchange(each, f"{says} {next(numbers)}") for each in calls]
        there = in_file_order((*there, *unanswered(there, asked)))
    return there


def calls_of(interactions: Iterable[Interaction]) -> list[tuple[Lane | None, Key]]:
    return [(each.lane, request_key(each.request)) for each in interactions]


@given(TWO_RUNS)
def test_what_nobody_has_asked_anew_stays_as_it_was(runs: tuple[Tests, Tests]) -> None:
    before, now = runs
    there, anew = run(before, says="old"), run(now, says="new")

    found = renewed(there, anew)

    asked, held = Counter(calls_of(anew)), Counter(calls_of(there))
    assert Counter(calls_of(found.interactions)) == asked | held
    assert Counter(calls_of(found.left)) == held - asked
    assert not Counter(anew) - Counter(found.interactions)
    assert not Counter(found.left) - Counter(found.interactions)
    assert set(found.left) <= set(there)


@given(TWO_RUNS)
def test_recording_anew_twice_is_as_recording_anew_once(runs: tuple[Tests, Tests]) -> None:
    before, now = runs
    anew = run(now, says="new")
    once = renewed(run(before, says="old"), anew)

    again = renewed(once.interactions, anew)

    assert again.interactions == once.interactions
    assert again.left == once.left


@given(TESTS, st.data())
def test_it_does_not_matter_which_of_the_tests_is_first(tests: Tests, data: st.DataObject) -> None:
    there = run(tests, says="old")
    others = data.draw(st.permutations(tests))

    found = renewed(there, run(others, says="new"))

    assert calls_of(found.interactions) == calls_of(there)
    assert not found.left


@given(TWO_RUNS)
def test_equal_questions_are_answered_in_the_order_in_which_they_were_recorded_anew(
    runs: tuple[Tests, Tests],
) -> None:
    before, now = runs
    anew = run(now, says="new")

    found = renewed(run(before, says="old"), anew).interactions

    for call in set(calls_of(anew)):
        mine = [each for each in anew if calls_of([each]) == [call]]
        assert [each for each in found if calls_of([each]) == [call]][: len(mine)] == mine


@given(TWO_RUNS, st.data())
def test_recording_anew_bit_by_bit_comes_to_the_same_as_at_once(
    runs: tuple[Tests, Tests], data: st.DataObject
) -> None:
    before, now = runs
    there, anew = run(before, says="old"), run(now, says="new")
    part = data.draw(st.integers(0, len(now)))

    partly = renewed(there, run(now[:part], says="new")).interactions

    at_once = renewed(there, anew).interactions
    assert Counter(renewed(partly, anew).interactions) == Counter(at_once)


@pytest.mark.parametrize(
    ("asked", "held"),
    [("acd", "xyacdb"), ("bca", "xyabc"), ("cb", "xyacb"), ("c", "xyabc"), ("acbc", "xyacbc")],
)
def test_what_is_new_stands_beside_what_its_agent_asked_before_and_after(
    asked: str, held: str
) -> None:
    before = [[(EXECUTOR, each) for each in "xy"], [(REVIEWER, each) for each in "ab"]]
    anew = run([[(REVIEWER, each) for each in asked]], says="new")

    found = renewed(run(before, says="old"), anew).interactions

    assert "".join(json.loads(each.request.body)["messages"][0] for each in found) == held


def test_an_agent_stands_for_another_one_of_its_role() -> None:
    there = run([[(EXECUTOR, "a"), (SUB, "b")]], says="old")
    anew = run([[(EXECUTOR, "b")]], says="new")

    found = renewed(there, anew)

    assert calls_of(found.interactions) == calls_of(run([[(EXECUTOR, x) for x in "ab"]], says=""))
    assert calls_of(found.left) == calls_of(there[:1])


def talk(about: str, mark: str, *, lane: Lane | None = None) -> tuple[Interaction, ...]:
    """A question that is answered with a tool call, and what follows from that."""
    call = {"type": "tool_use", "id": f"toolu_{mark}", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{mark}", "content": "done"}
    return (
        interaction({"messages": [about]}, {"id": f"msg_{mark}", "content": [call]}, lane=lane),
        interaction({"messages": [about, call, result]}, {"id": f"msg_{mark}_2"}, lane=lane),
        interaction(
            {},
            {"id": f"msg_{mark}_3"},
            url=f"https://api.anthropic.com/v1/batches/batch_{mark}/toolu_{mark}",
            lane=lane,
        ),
    )


def test_what_follows_an_answer_is_known_by_the_id_that_stood_in_its_place() -> None:
    there = (*talk("north", "1a"), *talk("south", "2b"))

    found = renewed(there, (*talk("south", "9z")[:2], *talk("north", "8y")[:2]))

    assert found.interactions == (
        *talk("north", "8y")[:2],
        there[2],
        *talk("south", "9z")[:2],
        there[5],
    )
    assert are_same(
        CassetteFile(interactions=found.interactions[:2]), CassetteFile(interactions=there[:2])
    )


def test_an_id_is_known_also_where_it_stands_before_its_answer_or_in_an_url() -> None:
    question, follow, _ = talk("north", "1a")
    asks = replace(follow, lane=EXECUTOR)
    url = interaction({}, {}, url="https://api.anthropic.com/v1/files/toolu_1a", lane=EXECUTOR)
    there = (asks, url, replace(question, lane=REVIEWER))
    anew = tuple(
        replace(
            each,
            request=replace(
                each.request,
                url=each.request.url.replace("1a", "9z"),
                body=each.request.body.replace(b"1a", b"9z"),
            ),
            response=each.response
            and replace(each.response, body=each.response.body.replace(b"1a", b"9z")),
        )
        for each in there
    )

    assert renewed(there, anew).interactions == anew


@pytest.mark.parametrize("same", [True, False], ids=["its-own", "the-others"])
def test_of_two_that_differ_in_an_id_only_the_one_that_follows_is_replaced(same: bool) -> None:
    def one(about: str, mark: str) -> tuple[Interaction, Interaction]:
        call, result = (
            {"type": "tool_use", "id": f"toolu_{mark}", "name": "read", "input": {}},
            {"type": "tool_result", "tool_use_id": f"toolu_{mark}", "content": "done"},
        )
        return (
            interaction({"messages": [about]}, {"id": f"msg_{mark}", "content": [call]}),
            interaction({"messages": [result]}, {"id": f"msg_{mark}_2"}),
        )

    there = (*one("north", "1a"), *one("south", "2b"))
    about = "north" if same else "south"

    found = renewed(there, one(about, "9z"))

    assert found.left == (there[2:] if same else there[:2])
