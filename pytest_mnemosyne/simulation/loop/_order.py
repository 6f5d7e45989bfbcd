"""In which order a loop runs what is ready; the loop asks, somebody else decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pytest_mnemosyne.simulation.draws import Draws


class Order(Draws, Protocol):
    """Decides who is next, and everything else that is left to chance in a run."""

    def pick(self, owners: Sequence[int]) -> int:
        """Which of several steps runs next; 0 is the one whose turn it is.

        Args:
            owners: For each of them the number of its task, at least two; 0 for a callback
                that is no task's, which can only be the last.
        """
        ...
