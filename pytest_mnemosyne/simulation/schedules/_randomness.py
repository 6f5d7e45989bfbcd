"""The module `random`, seeded from the tape for the time of a run.

Much code draws from it without being asked: the SDK's back-off has jitter from there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_mnemosyne.simulation.draws import Draws

_SEEDS = 1 << 32


@contextmanager
def seeded_random(draws: Draws) -> Iterator[None]:
    """Seed the module `random` for a block; afterwards it goes on as if nothing had been."""
    before = random.getstate()
    random.seed(draws.draw("seed of random", _SEEDS))
    try:
        yield
    finally:
        random.setstate(before)
