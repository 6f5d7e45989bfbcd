"""What each agent asked, beside what is recorded for it."""

from __future__ import annotations

import json

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import Interaction, Request, Response, Source, Turn
from pytest_mnemosyne.cassette._calls import AgentCalls, calls_by_agent

EXECUTOR, REVIEWER = Lane("executor"), Lane("reviewer")
HELPER, OTHER_HELPER = Lane("executor/sub-1"), Lane("executor/sub-2")


def asking(text: str) -> Request:
    body = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": text}]}
    return Request(method="POST", url="/v1/messages", body=json.dumps(body).encode())


def recorded(*calls: tuple[str, Lane | None]) -> dict[int, Interaction]:
    return {
        index: Interaction(request=asking(text), response=Response(status=200), lane=lane)
        for index, (text, lane) in enumerate(calls)
    }


def turn(text: str, lane: Lane | None, index: int | None) -> Turn:
    return Turn(
        number=1,
        source=Source.MISSED if index is None else Source.PLAYED,
        request=asking(text),
        lane=lane,
        tries=1,
        interaction=None,
        index=index,
        started_s=0.0,
    )


def told(calls: tuple[AgentCalls, ...]) -> list[str]:
    return [line for each in calls if not each.is_as_recorded for line in each.lines()]


def test_calls_that_are_as_recorded_are_not_told() -> None:
    file = recorded(("one", EXECUTOR), ("two", REVIEWER))

    assert told(calls_by_agent(file, [turn("two", REVIEWER, 1), turn("one", EXECUTOR, 0)])) == []


def test_extra_and_missing_calls_are_told_under_their_agents() -> None:
    file = recorded(("one", EXECUTOR), ("look", REVIEWER), ("look again", REVIEWER))
    turns = [turn("one", EXECUTOR, 0), turn("more", EXECUTOR, None), turn("look", REVIEWER, 1)]

    assert told(calls_by_agent(file, turns)) == [
        "executor: asked 2, recorded 1",
        '  extra:     POST /v1/messages (claude-sonnet-5-5, 1 message) "more"',
        "reviewer: asked 1, recorded 2",
        '  not asked: 2. POST /v1/messages (claude-sonnet-5-5, 1 message) "look again"',
    ]


def test_a_changed_order_is_told_in_numbers_of_that_agent() -> None:
    file = recorded(("x", EXECUTOR), ("a", REVIEWER), ("b", REVIEWER), ("c", REVIEWER))
    turns = [turn("a", REVIEWER, 1), turn("c", REVIEWER, 3), turn("b", REVIEWER, 2)]

    (_, reviewer) = calls_by_agent(file, [turn("x", EXECUTOR, 0), *turns])

    assert reviewer.order == (1, 3, 2)
    assert reviewer.lines()[1:] == ["  order:     recorded 1, 2, 3, asked 1, 3, 2"]


def test_two_agents_whose_calls_interleave_have_kept_their_orders() -> None:
    file = recorded(("a", EXECUTOR), ("b", EXECUTOR), ("c", REVIEWER), ("d", REVIEWER))
    turns = [
        turn("c", REVIEWER, 2),
        turn("a", EXECUTOR, 0),
        turn("d", REVIEWER, 3),
        turn("b", EXECUTOR, 1),
    ]

    assert told(calls_by_agent(file, turns)) == []


def test_sub_agents_count_with_their_role_and_may_take_turns() -> None:
    file = recorded(("a", HELPER), ("b", OTHER_HELPER))
    turns = [turn("b", HELPER, 1), turn("a", OTHER_HELPER, 0)]

    (executor,) = calls_by_agent(file, turns)

    assert (executor.agent, executor.asked, executor.recorded) == ("executor", 2, 2)
    assert executor.is_as_recorded


def test_each_attempt_is_told_apart() -> None:
    file = recorded(("a", EXECUTOR), ("a", Lane("executor", 2)))

    assert told(calls_by_agent(file, [turn("a", EXECUTOR, 0)])) == [
        "executor, attempt 2: asked 0, recorded 1",
        '  not asked: 1. POST /v1/messages (claude-sonnet-5-5, 1 message) "a"',
    ]


@pytest.mark.parametrize("lane", [None, EXECUTOR], ids=["outside-any-agent", "inside-one"])
def test_a_cassette_without_agents_has_one_list(lane: Lane | None) -> None:
    file = recorded(("a", None), ("b", None))

    (calls,) = calls_by_agent(file, [turn("a", lane, 0)])

    assert calls.agent == "outside any agent"
    assert (calls.asked, calls.recorded, len(calls.missing)) == (1, 2, 1)


def test_a_long_list_is_cut_and_says_by_how_much() -> None:
    file = recorded(*((str(number), EXECUTOR) for number in range(100)))

    (calls,) = calls_by_agent(file, [])

    assert len(calls.missing) == 100
    assert calls.lines()[-1] == "  not asked: and 92 more"


def test_what_was_said_is_shown_in_one_short_line() -> None:
    file = recorded(("Write\n  the tests " + "for it " * 30, EXECUTOR))

    (calls,) = calls_by_agent(file, [])

    assert calls.missing[0].endswith('"Write the tests for it for it for it for it for …"')
