"""Making a tape that fails smaller: fewer choices, and smaller ones.

The method is delta debugging (Zeller and Hildebrandt, 2002) on the choices that are
not plain, then each number by halves. Every try is a run, so there is a budget.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_mnemosyne.simulation.schedules._tape import Tape


class Shrinker:
    """Shrinks one tape."""

    def __init__(self, still_fails: Callable[[Tape], Tape | None], *, budget: int) -> None:
        """Make a shrinker.

        Args:
            still_fails: Runs a tape: the tape of what the run really did, should it fail in
                the same way, else `None`.
            budget: How many runs it may make.
        """
        self._still_fails = still_fails
        self._left = budget
        self._known: dict[Tape, Tape | None] = {}

    @property
    def runs(self) -> int:
        """How many runs were made."""
        return len(self._known)

    def shrink(self, tape: Tape) -> Tape:
        """The smallest tape found that fails as `tape` does."""
        best = self._without_chunks(tape)
        return self._with_smaller_numbers(best)

    def _try(self, tape: Tape, best: Tape) -> Tape | None:
        """The tape, if it fails and is smaller than the best one."""
        if tape == best or self._left <= 0:
            return None
        if tape not in self._known:
            self._left -= 1
            self._known[tape] = self._still_fails(tape)
        found = self._known[tape]
        return found if found is not None and _size(found) < _size(best) else None

    def _without_chunks(self, best: Tape) -> Tape:
        smaller = self._try(Tape(), best)
        if smaller is not None:
            return smaller
        chunk = len(best)
        while chunk >= 1:
            start = 0
            while start < len(best):
                places = list(best)[start : start + chunk]
                kept = Tape({place: best[place] for place in best if place not in places})
                smaller = self._try(kept, best)
                if smaller is None:
                    start += chunk
                else:
                    best = smaller
            chunk //= 2
        return best

    def _with_smaller_numbers(self, best: Tape) -> Tape:
        for place in list(best):
            while place in best and best[place] > 1:
                smaller = self._try(Tape({**best, place: best[place] // 2}), best) or self._try(
                    Tape({**best, place: best[place] - 1}), best
                )
                if smaller is None:
                    break
                best = smaller
        return best


def _size(tape: Tape) -> tuple[int, int, int]:
    return len(tape), sum(tape.values()), sum(tape)
