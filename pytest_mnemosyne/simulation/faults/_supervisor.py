"""What can go wrong in what a supervisor does with its children.

==================  ======================================================  ==============
word                what happens                                            `agent` names
==================  ======================================================  ==============
crash_storm         each life of an actor ends in a crash, so many per      the actor
                    second
crash_in_restart    it crashes while its supervisor starts a child again    the actor
crash_in_shutdown   it crashes as its supervisor begins to stop everybody   the actor
parent_dies         it dies between two steps of a restart                  the supervisor
name_race           somebody else starts a child of that id a moment        the child
                    before
==================  ======================================================  ==============
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from pytest_mnemosyne.simulation.faults._checks import check_number
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place

Death: TypeAlias = Literal["crash", "cancel"]
"""How a supervisor dies: by an error of its own, or because somebody cancels it."""


@dataclass(frozen=True, slots=True)
class SupervisorFault(Fault):
    """A fault in what a supervisor does with its children."""

    place: ClassVar[Place] = Place.SUPERVISOR


@dataclass(frozen=True, slots=True)
class CrashStorm(SupervisorFault):
    """Every life of an actor ends in a crash soon after it began."""

    word: ClassVar[str] = "crash_storm"

    per_s: float
    """Crashes per second of the loop's clock, those of one actor."""

    def __post_init__(self) -> None:
        check_number("per_s", self.per_s, unit="crashes per second")
        if self.per_s == 0:
            raise FaultPlanError("per_s is more than 0; without crashes there is no storm")

    @property
    def occasion(self) -> Occasion:
        """Its time has come."""
        return Occasion.TICK


@dataclass(frozen=True, slots=True)
class CrashInRestart(SupervisorFault):
    """An actor that runs crashes while its supervisor starts a child again."""

    word: ClassVar[str] = "crash_in_restart"

    @property
    def occasion(self) -> Occasion:
        """A step of the restart."""
        return Occasion.RESTART


@dataclass(frozen=True, slots=True)
class CrashInShutdown(SupervisorFault):
    """An actor crashes as its supervisor begins to stop its children."""

    word: ClassVar[str] = "crash_in_shutdown"

    @property
    def occasion(self) -> Occasion:
        """The end begins."""
        return Occasion.SHUTDOWN


@dataclass(frozen=True, slots=True)
class ParentDies(SupervisorFault):
    """A supervisor dies in the middle of a restart."""

    word: ClassVar[str] = "parent_dies"

    how: str = "crash"
    """`crash` or `cancel`."""

    def __post_init__(self) -> None:
        if self.how not in get_args(Death):
            known = ", ".join(map(repr, get_args(Death)))
            raise FaultPlanError(f"how is one of {known}, got {self.how!r}")

    @property
    def occasion(self) -> Occasion:
        """A step of the restart."""
        return Occasion.STEP


@dataclass(frozen=True, slots=True)
class NameRace(SupervisorFault):
    """Whoever starts a child by hand finds that somebody else was quicker."""

    word: ClassVar[str] = "name_race"

    @property
    def occasion(self) -> Occasion:
        """The child is started by hand."""
        return Occasion.START_BY_HAND


SUPERVISOR_FAULTS: tuple[type[SupervisorFault], ...] = (
    CrashStorm,
    CrashInRestart,
    CrashInShutdown,
    ParentDies,
    NameRace,
)
"""Every kind there is."""
