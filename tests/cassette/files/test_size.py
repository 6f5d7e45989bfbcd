"""A file is about as large as what is new in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pytest_mnemosyne.cassette import CassetteFile
from pytest_mnemosyne.cassette._file import render

from ._make import compact
from ._talks import Turn, talk

KINDS = pytest.mark.parametrize(
    ("talked", "is_streamed"),
    [
        pytest.param(talk, False, id="whole"),
        pytest.param(lambda turns: talk(turns, words=8, tools=False), False, id="short"),
        pytest.param(talk, True, id="streamed"),
    ],
)
Talked = Callable[[int], Sequence[Turn]]


def size(turns: Sequence[Turn], *, is_streamed: bool) -> int:
    """The bytes of the file that holds these."""
    interactions = [turn.streamed() if is_streamed else turn.whole() for turn in turns]
    return len(render(CassetteFile(interactions=interactions)))


def unique_bytes(turns: Sequence[Turn]) -> int:
    """How much there is to keep: every different message and answer once, as compact JSON."""
    messages = {compact(message) for turn in turns for message in turn.asked["messages"]}
    return sum(map(len, messages | {compact(turn.answer) for turn in turns}))


@KINDS
def test_forty_turns_have_under_twice_the_unique_bytes(talked: Talked, is_streamed: bool) -> None:
    turns = list(talked(40))

    assert size(turns, is_streamed=is_streamed) < 2 * unique_bytes(turns)


@KINDS
def test_twice_the_turns_are_twice_the_bytes(talked: Talked, is_streamed: bool) -> None:
    sizes = [size(list(talked(turns)), is_streamed=is_streamed) for turns in (20, 40, 80)]

    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert second < 2.05 * first


def test_a_conversation_that_branches_shares_its_beginning() -> None:
    trunk = list(talk(40))
    branches = [
        Turn(
            {**trunk[-1].asked, "messages": [*trunk[-1].asked["messages"], {"branch": at}]},
            {"id": at},
        )
        for at in range(100)
    ]
    grown = size([*trunk, *branches], is_streamed=False) - size(trunk, is_streamed=False)

    assert grown < 100 * 400
