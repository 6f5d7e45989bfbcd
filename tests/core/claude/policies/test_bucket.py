"""The arithmetic of a bucket; what comes in a minute is its limit, one a second here."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.claude.policies._bucket import Bucket


def bucket() -> Bucket:
    return Bucket(60.0, 0.0)


def test_a_full_bucket_gives_all_at_once_and_then_as_it_fills() -> None:
    full = bucket()
    assert full.wait_s(60, 0.0) == 0.0
    full.take(60, 0.0)
    assert [full.wait_s(10, at_s) for at_s in (0.0, 4.0, 10.0)] == [10.0, 6.0, 0.0]


def test_it_never_holds_more_than_its_limit() -> None:
    full = bucket()
    full.take(60, 1_000.0)
    assert full.wait_s(1, 1_000.0) == 1.0


def test_it_fills_while_calls_are_under_way() -> None:
    full = bucket()
    full.take(60, 0.0)
    full.take(10, 10.0)
    full.settle(60, 60, 50.0)
    assert full.wait_s(40, 50.0) == 0.0
    assert full.wait_s(41, 50.0) == pytest.approx(1.0)


def test_what_a_call_has_not_used_is_there_again() -> None:
    full = bucket()
    full.take(50, 0.0)
    full.settle(50, 20, 0.0)
    assert full.wait_s(40, 0.0) == 0.0
    assert full.wait_s(41, 0.0) == 1.0


def test_what_a_call_has_used_beyond_it_is_owed() -> None:
    full = bucket()
    full.take(10, 0.0)
    full.settle(10, 90, 0.0)
    assert full.wait_s(1, 0.0) == 31.0


def test_what_is_too_large_for_it_waits_for_all_of_it() -> None:
    full = bucket()
    assert full.wait_s(1_000, 0.0) == 0.0
    full.take(60, 0.0)
    assert full.wait_s(1_000, 0.0) == 60.0


@dataclass(frozen=True)
class Told:
    level: float
    full_in_s: float
    wait_for_ten_s: float


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(Told(level=60, full_in_s=0.0, wait_for_ten_s=0.0), id="full"),
        pytest.param(Told(level=8, full_in_s=26.0, wait_for_ten_s=1.0), id="fills-at-its-own-pace"),
        pytest.param(Told(level=0, full_in_s=60.0, wait_for_ten_s=10.0), id="empty"),
        pytest.param(Told(level=0, full_in_s=75.0, wait_for_ten_s=25.0), id="in-debt"),
        pytest.param(Told(level=0, full_in_s=20.0, wait_for_ten_s=10.0), id="empty-as-it-says"),
        pytest.param(Told(level=0, full_in_s=-5.0, wait_for_ten_s=0.0), id="full-by-now"),
    ],
)
def test_what_it_is_told_replaces_what_it_knew(told: Told) -> None:
    other = Bucket(7.0, 0.0)
    other.tell(told.level, 60.0, full_in_s=told.full_in_s, now_s=10.0)
    assert other.wait_s(10, 10.0) == pytest.approx(told.wait_for_ten_s)


def test_what_it_is_told_leaves_out_the_calls_under_way() -> None:
    full = bucket()
    full.take(5, 0.0)
    full.tell(5, 60.0, full_in_s=55.0, now_s=0.0)
    assert full.wait_s(5, 0.0) == 5.0
    full.settle(5, 0, 0.0)  # it was counted in what was told
    assert full.wait_s(5, 0.0) == 0.0


passing = st.floats(0.0, 50.0)
needs = st.floats(0.0, 80.0)


@given(st.lists(st.tuples(passing, needs), max_size=30))
def test_who_waits_as_told_never_takes_more_than_there_is(calls: list[tuple[float, float]]) -> None:
    full = bucket()
    now_s = taken = 0.0
    for passed_s, asked in calls:
        need = min(asked, 60.0)
        now_s += passed_s
        now_s += full.wait_s(need, now_s)
        assert full.wait_s(need, now_s) == 0.0
        full.take(need, now_s)
        taken += need
        assert taken <= 60.0 + now_s + 1e-3
