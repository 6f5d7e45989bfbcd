"""One run's chance: a policy that chooses, and a record of what it chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.loop import Trace
from pytest_mnemosyne.simulation.schedules._tape import Tape

ORDER = "order"
"""The label of choices of what runs next."""


class Policy(Protocol):
    """Makes the choices of one run, one after the other."""

    def pick(self, owners: Sequence[int]) -> int:
        """Which of several steps runs next; 0 is the one whose turn it is.

        Args:
            owners: For each the number of its task; 0 for a callback that is no task's.
        """
        ...

    def draw(self, label: str, options: int) -> int:
        """Any other choice: a number below `options`; 0 is the plain one."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a run."""

    label: str
    options: int
    chosen: int


class Schedule:
    """The chance of one run. It is the `Order` of a virtual loop, and the `Draws` of the rest."""

    def __init__(self, policy: Policy) -> None:
        """A run whose choices `policy` makes."""
        self.trace = Trace()
        self.choices: list[Choice] = []
        """Every choice so far."""

        self._policy = policy

    @property
    def tape(self) -> Tape:
        """What replays this run."""
        return Tape({place: choice.chosen for place, choice in enumerate(self.choices)})

    def pick(self, owners: Sequence[int]) -> int:
        """Choose the step that runs next, as the policy says."""
        chosen = self._policy.pick(owners)
        self.choices.append(Choice(ORDER, len(owners), chosen))
        return chosen

    def draw(self, label: str, options: int) -> int:
        """Choose a number, as the policy says."""
        if options < 1:
            raise UsageError(f"a draw for {label!r} has at least 1 option, got {options!r}")
        chosen = self._policy.draw(label, options) if options > 1 else 0
        self.choices.append(Choice(label, options, chosen))
        return chosen
