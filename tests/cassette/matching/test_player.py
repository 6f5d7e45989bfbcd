"""Which recorded answer a request gets."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import Interaction, Request
from pytest_mnemosyne.cassette._key import request_key
from pytest_mnemosyne.cassette._player import Player

lanes = st.sampled_from([None, Lane("executor"), Lane("executor", 2), Lane("reviewer")])
crew = st.sampled_from([Lane(f"executor{below}") for below in ("", "/sub-1", "/sub-2")])
questions = st.sampled_from([b'"a"', b'"b"', b'"c"'])
recordings = st.lists(st.tuples(lanes, questions), max_size=20)


def recorded(lane: Lane | None, question: bytes) -> Interaction:
    return Interaction(
        request=Request(method="POST", url="/v1/messages", body=question), response=None, lane=lane
    )


def taken(player: Player, lane: Lane | None, question: bytes) -> int | None:
    return player.take(request_key(recorded(lane, question).request), lane)


@given(recordings, st.randoms(use_true_random=False))
def test_each_lane_gets_its_own_answers_in_order_whatever_the_order_of_arrival(
    written: list[tuple[Lane | None, bytes]], order: object
) -> None:
    player = Player([recorded(*each) for each in written])
    has_lanes = any(lane is not None for lane, _ in written)
    arriving = list(written)
    order.shuffle(arriving)  # type: ignore[attr-defined]

    got: dict[tuple[Lane | None, bytes], list[int | None]] = {}
    for each in arriving:
        got.setdefault(each, []).append(taken(player, *each))

    assert got == {
        each: [index for index, other in enumerate(written) if other == each] for each in got
    }
    assert all(player.is_played(index) for index in range(len(written)))
    assert [taken(player, *each) for each in written] == [None] * len(written)
    assert has_lanes or all(player.serves(i, Lane("any")) for i in range(len(written)))


def test_a_cassette_without_lanes_answers_every_agent() -> None:
    player = Player([recorded(None, b'"a"'), recorded(None, b'"a"')])

    assert taken(player, Lane("executor"), b'"a"') == 0
    assert taken(player, None, b'"a"') == 1


def test_beside_lanes_an_answer_without_one_is_nobody_else_s() -> None:
    player = Player([recorded(None, b'"a"'), recorded(Lane("executor"), b'"b"')])

    assert taken(player, Lane("executor"), b'"a"') is None
    assert taken(player, None, b'"a"') == 0


@pytest.mark.parametrize("asks", ["executor", "executor/sub-2", "executor/sub-2/of-it"])
def test_an_agent_takes_what_was_recorded_for_another_one_of_its_role(asks: str) -> None:
    player = Player([recorded(Lane("executor/sub-1"), b'"a"')])

    assert player.serves(0, Lane(asks))
    assert taken(player, Lane(asks), b'"a"') == 0


@pytest.mark.parametrize("asks", [Lane("reviewer"), Lane("executor", 2), Lane("executor-2"), None])
def test_a_group_is_one_attempt_of_one_role(asks: Lane | None) -> None:
    player = Player([recorded(Lane("executor/sub-1"), b'"a"')])

    assert not player.serves(0, asks)
    assert taken(player, asks, b'"a"') is None


def test_an_agent_s_own_answers_come_first_then_the_group_s_in_recorded_order() -> None:
    lanes = ("executor", "executor/sub-1", "executor/sub-1", "executor/sub-2")
    player = Player([recorded(Lane(lane), b'"a"') for lane in lanes])

    order = [taken(player, Lane("executor/sub-1"), b'"a"') for _ in range(5)]
    assert order == [1, 2, 0, 3, None]


def test_what_the_group_has_taken_is_gone_for_whom_it_was_recorded() -> None:
    player = Player([recorded(Lane(lane), b'"a"') for lane in ("executor", "executor/sub-1")])

    assert taken(player, Lane("executor/sub-2"), b'"a"') == 0
    assert taken(player, Lane("executor"), b'"a"') == 1
    assert taken(player, Lane("executor/sub-1"), b'"a"') is None


@given(
    st.lists(st.tuples(crew, questions), max_size=20), st.randoms(use_true_random=False), st.data()
)
def test_whoever_of_a_role_asks_each_answer_is_given_once(
    written: list[tuple[Lane, bytes]], order: Random, data: st.DataObject
) -> None:
    player = Player([recorded(*each) for each in written])
    asked = [question for _, question in written]
    order.shuffle(asked)

    got = [taken(player, data.draw(crew), question) for question in asked]
    assert sorted(index for index in got if index is not None) == list(range(len(written)))
    assert [written[index][1] for index in got if index is not None] == asked
    assert player.unplayed() == []


def test_how_many_answers_there_ever_were_outlasts_playing() -> None:
    player = Player([recorded(None, b'"a"')] * 3)
    key = player.keys[0]
    taken(player, None, b'"a"')

    assert player.recorded(key, None) == 3
    assert player.recorded(request_key(recorded(None, b'"x"').request), None) == 0


def test_a_request_spelled_otherwise_has_the_key_of_the_recorded_one() -> None:
    player = Player([recorded(None, b'{"a": 1, "b": 2}')])

    for body in (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}'):
        assert player.key_of(recorded(None, body).request) == player.keys[0]
    assert player.key_of(recorded(None, b'{"a":1}').request) != player.keys[0]


def test_what_nobody_took_is_unplayed() -> None:
    player = Player([recorded(None, each) for each in (b'"a"', b'"b"', b'"c"')])
    taken(player, None, b'"b"')

    assert [each.request.body for each in player.unplayed()] == [b'"a"', b'"c"']
    taken(player, None, b'"a"')
    taken(player, None, b'"c"')
    assert player.unplayed() == []


def test_a_lookup_does_not_grow_with_the_cassette() -> None:
    def cost_s(size: int) -> float:
        player = Player([recorded(None, str(number).encode()) for number in range(size)])
        best = 1.0
        for number in range(0, size, size // 50):
            started = time.perf_counter()
            assert player.take(player.keys[number], None) == number
            best = min(best, time.perf_counter() - started)
        return best

    assert cost_s(5_000) < 20 * cost_s(50)
