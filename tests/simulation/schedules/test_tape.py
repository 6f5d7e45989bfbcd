"""Tapes as values and as text."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.schedules import Tape, TapeError

TAPES = st.dictionaries(st.integers(0, 10_000), st.integers(0, 1 << 40)).map(Tape)


@given(TAPES)
def test_a_tape_survives_being_printed_and_parsed(tape: Tape) -> None:
    assert Tape.parse(str(tape)) == tape
    assert hash(Tape.parse(str(tape))) == hash(tape)


def test_plain_choices_are_not_on_the_tape() -> None:
    assert str(Tape({5: 0, 7: 2})) == "7=2"
    assert str(Tape({5: 0})) == "plain"
    assert Tape({5: 0}) == Tape()


@pytest.mark.parametrize(
    "text", ["", "35", "35=", "=2", "a=b", "3=0", "5=1,3=1", "3=1,3=2", "3=-1"]
)
def test_a_text_that_is_no_tape_is_refused(text: str) -> None:
    with pytest.raises(TapeError, match="is no tape") as caught:
        Tape.parse(text)

    assert caught.value.given == text
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_places_and_choices_count_from_zero() -> None:
    with pytest.raises(UsageError, match="count from 0"):
        Tape({-1: 3})
