"""Tapes: what a run leaves to chance, drawn so that one shrinker owns it all."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_mnemosyne.simulation.schedules import Tape

# About as many choices as a run of a few steps has.
_EARLY = 16


def schedule_tapes(
    *, places: int = 200, max_size: int = 4, max_choice: int = 3
) -> SearchStrategy[Tape]:
    """Tapes that differ from the plain run in few places, for `Schedule(Replay(tape))`.

    A run has thousands of choices, and nearly every bug of order needs a handful of them to be
    other than the plain one; so those are drawn, not all. Where a tape names an option that a
    run does not have, the run takes its last one. Half of the places are among the first 16.
    Shrinks to the plain tape, to fewer places, earlier ones, and smaller delays.

    Args:
        places: How many choices of a run may be other than plain, from the first one on.
        max_size: In how many places at most a tape is not plain.
        max_choice: The highest option that is taken; 1 puts off one task by one step.
    """
    anywhere = st.integers(0, places - 1)
    # An example that shrinks well is a short run, which has only the first places.
    early = st.integers(0, min(places, _EARLY) - 1)
    choices = st.dictionaries(early | anywhere, st.integers(1, max_choice), max_size=max_size)
    return choices.map(Tape)
