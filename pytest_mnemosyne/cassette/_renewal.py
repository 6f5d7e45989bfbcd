"""What becomes of a file that several tests share when some of them record it anew.

A new answer stands where the old one to the same question stood, and nothing else is
touched. So what other tests have in the file stays, it does not matter which test was
first, and where every answer is as it was, so is the file. What nothing new stands for is
told apart: only a run of all tests knows whether somebody still asks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._key import Key
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._merging import in_file_order
from pytest_mnemosyne.cassette._player import Player
from pytest_mnemosyne.cassette._sameness import Renaming

Question = tuple[Lane | None, Key]
"""Who asks, and what."""


class Renewed(NamedTuple):
    """A file some of whose questions were asked anew."""

    interactions: tuple[Interaction, ...]
    left: tuple[Interaction, ...]
    """Those of them that were there before and that nothing new stands for."""


def renewed(
    before: Sequence[Interaction],
    anew: Sequence[Interaction],
    loosening: Loosening = EXACTLY,
) -> Renewed:
    """What a file holds when a run has recorded some of it anew, and maybe more.

    Of several answers to one question the first stands for the first. What was not asked
    before stands behind what its agent asked just before it in the run, or before what it
    asked then.

    Args:
        before: What the file held before the run.
        anew: What the run has recorded, whoever of its tests.
        loosening: What is not compared.
    """
    player = Player(before, loosening=loosening)
    questions = [(each.lane, player.key_of(each.request)) for each in anew]
    places = _places(player, anew, questions)
    # What stands where each of the old ones stood, and around them.
    standing: list[list[Interaction]] = [[] for _ in range(2 * len(before) + 1)]
    standing[1::2] = ([each] for each in before)
    # Where the last one of each agent stands, and the last one of those that ask the same.
    ends: dict[Lane | None, int] = {}
    equal: dict[Question, int] = {}
    for each, place in zip(anew, places, strict=True):
        if place is not None:
            ends.setdefault(each.lane, 2 * place)
    for each, question, place in zip(anew, questions, places, strict=True):
        if place is None:
            # Equal questions are answered in the order in which they stand.
            at = max(ends.get(each.lane, len(standing) - 1), equal.get(question, 0))
            standing[at].append(each)
        else:
            at = 2 * place + 1
            standing[at][0] = each
        ends[each.lane] = equal[question] = at
    taken = set(places)
    return Renewed(
        in_file_order(chain.from_iterable(standing)),
        tuple(each for place, each in enumerate(before) if place not in taken),
    )


def _places(
    player: Player, anew: Sequence[Interaction], questions: Sequence[Question]
) -> list[int | None]:
    """For each new interaction, which of the old ones answers the same question."""
    # What follows an answer names its ids, and those are new; so old ones follow from old ones.
    renaming = Renaming()
    places: list[int | None] = [None] * len(anew)
    waiting = list(range(len(anew)))
    count = 0
    while len(waiting) != count:
        count = len(waiting)
        passed_over: set[Question] = set()
        for at in waiting:
            place = None
            if questions[at] not in passed_over:
                place = _place(player, anew[at], renaming)
            if place is None:
                # Of equal ones the first comes first, also where more is known by then.
                passed_over.add(questions[at])
            else:
                places[at] = place
                renaming.learn(player.interactions[place], anew[at])
        waiting = [at for at in waiting if places[at] is None]
    return places


def _place(player: Player, new: Interaction, renaming: Renaming) -> int | None:
    for request in renaming.spellings(new.request):
        place = player.take(player.key_of(request), new.lane)
        if place is not None:
            return place
    return None
