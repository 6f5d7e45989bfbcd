"""Putting together what several recordings have for one file.

A cassette that several tests share may be recorded by several processes at once. What
comes of it is what they would have recorded one after the other: whoever is later finds
the answers of those before him in the file, and adds what he asks beyond them. So nothing
is there twice, and nothing is missing. Where that cannot be, because Claude has given two of
them different answers to one question and each goes on from his, the later one has to ask
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._player import Player


class PartedTalks(Exception):  # noqa: N818 - a finding, for whoever knows the file
    """Two recordings have got different answers to one question, and both go on from theirs."""


def in_file_order(interactions: Iterable[Interaction]) -> tuple[Interaction, ...]:
    """Agents one after the other, each with its turns in the order given.

    So the file does not depend on whose answer came first.
    """
    return tuple(sorted(interactions, key=_lane_order))


def merged(
    there: Sequence[Interaction],
    *,
    before: Sequence[Interaction],
    replaced: Iterable[Interaction],
    asked: Iterable[Interaction],
    recorded: Sequence[Interaction],
    loosening: Loosening = EXACTLY,
) -> tuple[Interaction, ...]:
    """What a file holds when a recording has been added to it.

    Args:
        there: What it holds now.
        before: What it held when the recording began.
        replaced: Those of `before` that the recording stands for.
        asked: Everything that the recording test has got from the file or from Claude, in
            the order in which it asked.
        recorded: What it has got from Claude.
        loosening: What is not compared.

    Raises:
        PartedTalks: What is to be added goes on from an answer for which others have put
            another one there.
    """
    kept = without(there, replaced)
    if there == before:
        return in_file_order((*kept, *recorded))
    # Others have written meanwhile, and may have the same answers.
    added = {id(each) for each in unanswered(kept, asked, loosening)}
    new = [each for each in recorded if id(each) in added]
    _check_goes_on(new, kept, [each for each in recorded if id(each) not in added])
    return in_file_order((*kept, *new))


def _check_goes_on(
    new: Iterable[Interaction], kept: Iterable[Interaction], dropped: Sequence[Interaction]
) -> None:
    """Check that a replay that is answered with what is kept comes to what is new."""
    if not dropped:
        return
    from pytest_mnemosyne.cassette._said import Said

    theirs, lost = Said(), Said()
    for each in kept:
        theirs.listen(each)
    for each in dropped:
        if not theirs.has_heard(each):
            lost.listen(each)
    if any(lost.is_repeated_in(each.request.body) for each in new):
        raise PartedTalks


def without(interactions: Sequence[Interaction], taken: Iterable[Interaction]) -> list[Interaction]:
    """`interactions` without one that is equal for each that is taken."""
    gone = Counter(taken)
    kept = []
    for interaction in interactions:
        if gone[interaction]:
            gone[interaction] -= 1
        else:
            kept.append(interaction)
    return kept


def unanswered(
    there: Sequence[Interaction], asked: Iterable[Interaction], loosening: Loosening = EXACTLY
) -> list[Interaction]:
    """Those of `asked`, one after the other, that have no answer among those that are there."""
    player = Player(there, loosening=loosening)
    return [each for each in asked if player.take(player.key_of(each.request), each.lane) is None]


def _lane_order(interaction: Interaction) -> tuple[str, int]:
    lane = interaction.lane
    return (lane.agent, lane.attempt) if lane is not None else ("", 0)
