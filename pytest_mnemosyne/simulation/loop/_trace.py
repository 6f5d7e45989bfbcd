"""What a run did, step by step, so that two runs can be compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first step in which two runs differ."""

    place: int
    """Counts the steps from 0."""

    one: str
    """What the first run did there; `(ended)` where it did nothing any more."""

    other: str

    def __str__(self) -> str:
        return f"step {self.place}: one run did {self.one!r}, the other {self.other!r}"


class Trace:
    """The steps of one run, with the time of each; equal runs have equal traces."""

    def __init__(self) -> None:
        self._steps: list[str] = []
        self._end: int | None = None

    def note(self, label: str, now_ns: int) -> None:
        """A step is about to run."""
        self._steps.append(f"{now_ns} {label}")

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def digest(self) -> str:
        """One short text for the whole of it."""
        rolling = hashlib.blake2b(digest_size=16)
        for step in self._steps:
            rolling.update(step.encode())
            rolling.update(b"\n")
        return rolling.hexdigest()

    def mark_end(self) -> None:
        """What the run was made for is over; the steps that follow clean up."""
        self._end = len(self._steps)

    def recent(self, count: int) -> list[str]:
        """The last steps before the end that was marked, the latest one last."""
        end = len(self._steps) if self._end is None else self._end
        return [self._shown(step) for step in self._steps[max(0, end - count) : end]]

    def divergence(self, other: Trace) -> Divergence | None:
        """Where the two part; `None` for equal ones."""
        longest = max(len(self), len(other))
        for place in range(longest):
            one, two = self._at(place), other._at(place)
            if one != two:
                return Divergence(place, self._shown(one), self._shown(two))
        return None

    def _at(self, place: int) -> str:
        return self._steps[place] if place < len(self._steps) else ""

    @staticmethod
    def _shown(step: str) -> str:
        if not step:
            return "(ended)"
        nanoseconds, _, label = step.partition(" ")
        return f"{label} at {int(nanoseconds) / 1e9:.9g} s"
