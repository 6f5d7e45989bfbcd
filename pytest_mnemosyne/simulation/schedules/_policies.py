"""Policies: ways to choose among the legal orders of a run.

A policy is made anew for each run and sees one choice at a time. Number 0 of a search
is always the plain run, in which everybody has their turn.

``random`` takes every choice at random. It finds bugs that need many small shifts.

``pct`` gives each task a random priority, always runs the highest, and lowers one at
few random steps: a bug that needs d constraints on the order is found with probability
at least 1/(n * k**(d-1)) for n tasks and k steps, which for d of 1 to 3 is often far
more than at random (Burckhardt et al., "A Randomized Scheduler with Probabilistic
Guarantees of Finding Bugs", ASPLOS 2010).

``exhaustive`` goes through all orders that differ from the plain one in one choice,
then in two, and so on (Emmi et al., "Delay-Bounded Scheduling", POPL 2011); see
`_search`, because which ones there are shows only while it goes. Numbers of which there
are many, such as the seed of `random`, stay the plain ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

PCT_DEPTH: Final = 3
"""How many constraints on the order a bug may need: two changes of priority, here."""

_PATIENCE: Final = 50
"""Steps in a row after which a task gives way: one that polls would go on for ever."""


class Random:
    """Every choice at random."""

    def __init__(self, seed: int | str) -> None:
        """The run with this seed."""
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def pick(self, owners: Sequence[int]) -> int:
        """Any of them."""
        return self._random.randrange(len(owners))

    def draw(self, label: str, options: int) -> int:  # noqa: ARG002
        """Any number."""
        return self._random.randrange(options)


class Pct:
    """Priorities, with few changes."""

    def __init__(self, seed: int | str, *, steps: int, depth: int = PCT_DEPTH) -> None:
        """The run with this seed.

        Args:
            seed: Priorities and changes follow from it.
            steps: About how many choices a run has; changes are spread over them.
            depth: How many constraints on the order are looked for.
        """
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._priorities: dict[int, float] = {}
        self._changes = {self._random.randrange(max(steps, 1)) for _ in range(depth - 1)}
        self._step = 0
        self._last = -1
        self._in_a_row = 0

    def pick(self, owners: Sequence[int]) -> int:
        """The one with the highest priority; of one task's steps, which are not two, the first."""
        for owner in owners:
            if owner not in self._priorities:
                self._priorities[owner] = self._random.random()
        best = max(owners, key=self._priorities.__getitem__)
        if self._step in self._changes or self._is_tired_of(best):
            # Below everybody, also those who were lowered before.
            self._priorities[best] = min(self._priorities.values()) - 1
            best = max(owners, key=self._priorities.__getitem__)
        self._step += 1
        self._in_a_row = self._in_a_row + 1 if best == self._last else 0
        self._last = best
        return owners.index(best)

    def draw(self, label: str, options: int) -> int:  # noqa: ARG002
        """Any number."""
        return self._random.randrange(options)

    def _is_tired_of(self, owner: int) -> bool:
        return owner == self._last and self._in_a_row >= _PATIENCE


class Replay:
    """The choices of a tape, as far as there are that many options."""

    def __init__(self, choices: Mapping[int, int]) -> None:
        """A run along a tape."""
        self._choices = choices
        self._place = -1
        self.misfits: list[int] = []
        """Places at which the tape names an option that there is not: it is another run's."""

    def pick(self, owners: Sequence[int]) -> int:
        """What the tape says."""
        return self._next(len(owners))

    def draw(self, label: str, options: int) -> int:  # noqa: ARG002
        """What the tape says."""
        return self._next(options)

    @property
    def unread(self) -> list[int]:
        """Places of the tape that the run did not come to."""
        return [place for place in self._choices if place > self._place]

    def _next(self, options: int) -> int:
        self._place += 1
        choice = self._choices.get(self._place, 0)
        if choice >= options:
            self.misfits.append(self._place)
            return options - 1
        return choice
