"""Where everything random in a simulated run comes from.

A draw is a number with a label and a bound. Whoever hands the draws in decides what
they are: always the plain choice, numbers from a seed, or a tape that is searched and
shrunk. So one value reproduces all that a run left to chance.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol


class Draws(Protocol):
    """Where everything random in a simulated run comes from."""

    def draw(self, label: str, options: int) -> int:
        """A number from 0 to `options` - 1; 0 is the plain choice.

        Args:
            label: What is decided, for whoever reads a tape.
            options: How many choices there are, at least 1.
        """
        ...


class Plain:
    """Always the plain choice: nothing is left to chance."""

    def draw(self, label: str, options: int) -> int:  # noqa: ARG002 - the protocol's
        """Draw 0."""
        return 0


class Seeded:
    """Numbers from a seed, the same ones for the same seed and the same order of draws."""

    def __init__(self, seed: int | str) -> None:
        """Any seed will do, such as a test's name."""
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets

    def draw(self, label: str, options: int) -> int:  # noqa: ARG002 - the protocol's
        """Draw the next number, all of them equally likely."""
        return self._random.randrange(options)


class OfRunningLoop:
    """The draws of the running loop, where it searches; others everywhere else."""

    def __init__(self, otherwise: Draws) -> None:
        """`otherwise` draws on loops of real time, without one, and where all is plain."""
        self._otherwise = otherwise

    def draw(self, label: str, options: int) -> int:
        """Draw from whichever it is now."""
        found = of_running_loop()
        source = self._otherwise if found is None or isinstance(found, Plain) else found
        return source.draw(label, options)


_STEPS = 100
"""How finely seconds are drawn; coarse enough for every one of them to be tried."""


def drawn_seconds(draws: Draws, label: str, low_s: float, high_s: float) -> float:
    """Seconds from `low_s` to `high_s`; the plain choice is `low_s`."""
    return low_s + (high_s - low_s) * draws.draw(label, _STEPS + 1) / _STEPS


def of_running_loop() -> Draws | None:
    """The draws that the running loop offers; `None` on a loop of real time, and without one.

    A loop that offers draws is a simulated one, whose time is virtual.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return getattr(loop, "draws", None)
