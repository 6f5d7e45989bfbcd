"""What an invariant has to say, and the error that says it of all of them together.

MnemosyneError
  - InvariantError (also an AssertionError)
"""

from __future__ import annotations

from dataclasses import dataclass

from mnemosyne_core.errors import MnemosyneError
from mnemosyne_core.events import Event


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that cannot be right."""

    invariant: str
    """The invariant's name, such as `each_item_ends_once`."""

    problem: str
    """What is wrong, in words, with the values."""

    events: tuple[Event, ...] = ()
    """The events that show it, in their order."""

    def __str__(self) -> str:
        shown = [
            f"event {event.seq}: {event.kind} of {event.agent}, attempt {event.attempt}"
            for event in self.events
        ]
        return "\n    ".join((f"{self.invariant}: {self.problem}", *shown))


class InvariantError(MnemosyneError, AssertionError):
    """A history or a tree shows what must never happen.

    Attributes:
        violations: All that was found, in the order of the invariants.
    """

    code = "invariant"

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        self.violations = violations
        names = sorted({violation.invariant for violation in violations})
        listed = "\n".join(f"  {violation}" for violation in violations)
        does = "invariant does" if len(names) == 1 else "invariants do"
        super().__init__(
            f"{len(names)} {does} not hold:\n{listed}\n"
            "events are numbered as in tree.journal.events(); look at what came before the "
            "first of them"
        )
