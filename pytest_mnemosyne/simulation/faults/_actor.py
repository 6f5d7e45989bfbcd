"""What can go wrong in an actor, or in a coroutine that is supervised.

Each fault says when (`at`), and strikes the n-th of these moments; `message` is what it
takes when nothing is said.

=========  ====================================================  =======================
at         when                                                  what is counted
=========  ====================================================  =======================
start      its `started`, or the first step of a coroutine       starts
message    its `receive`; the message in hand is lost with it    messages handled
idle       it has started or handled a message, nothing waits    idle moments
stopping   its `stopping`                                        stops
=========  ====================================================  =======================

==============  ======================================  ================================
word            what happens                            at
==============  ======================================  ================================
crash           it raises an error                      start, message, idle, stopping
hang            it waits until it is cancelled          start, message, stopping
swallow_cancel  it waits, and ignores cancellation      start, message, stopping
slow            it takes longer                         start, message, stopping
foreign_cancel  somebody cancels its task               start, message, idle, stopping
leak_task       it leaves a task that is not its own    start, message, stopping
exit_normally   it ends as if it had nothing to do      start, message, idle
die_asking      it crashes while another one answers    (no choice: when it has asked)
==============  ======================================  ================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from pytest_mnemosyne.simulation.draws import Draws
from pytest_mnemosyne.simulation.faults._checks import check_range_s
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place, drawn_s

At: TypeAlias = Literal["start", "message", "idle", "stopping"]
AtWork: TypeAlias = Literal["start", "message", "stopping"]
WhileAlive: TypeAlias = Literal["start", "message", "idle"]

_OCCASIONS: dict[str, Occasion] = {
    "start": Occasion.START,
    "message": Occasion.MESSAGE,
    "idle": Occasion.IDLE,
    "stopping": Occasion.STOP,
}


@dataclass(frozen=True, slots=True)
class ActorFault(Fault):
    """A fault in an actor."""

    place: ClassVar[Place] = Place.ACTOR


@dataclass(frozen=True, slots=True)
class _AtSomeMoment(ActorFault):
    moments: ClassVar[frozenset[str]] = frozenset({"start", "message", "idle", "stopping"})

    at: str = field(default="message", kw_only=True)
    """When in its life."""

    def __post_init__(self) -> None:
        if self.at not in self.moments:
            known = ", ".join(repr(each) for each in _OCCASIONS if each in self.moments)
            raise FaultPlanError(f"at of {self.word} is one of {known}, got {self.at!r}")

    @property
    def occasion(self) -> Occasion:
        """That of its moment."""
        return _OCCASIONS[self.at]


@dataclass(frozen=True, slots=True)
class _AtWork(_AtSomeMoment):
    moments: ClassVar[frozenset[str]] = frozenset({"start", "message", "stopping"})


@dataclass(frozen=True, slots=True)
class Crash(_AtSomeMoment):
    """It raises an error, `InjectedCrashError`."""

    word: ClassVar[str] = "crash"


@dataclass(frozen=True, slots=True)
class Hang(_AtWork):
    """It waits for what never comes, until it is cancelled."""

    word: ClassVar[str] = "hang"


@dataclass(frozen=True, slots=True)
class SwallowCancel(_AtWork):
    """It waits and swallows every cancellation, until the plan lets it go."""

    word: ClassVar[str] = "swallow_cancel"


@dataclass(frozen=True, slots=True)
class Slow(_AtWork):
    """It takes longer, and then goes on as usual."""

    word: ClassVar[str] = "slow"

    by_s: float
    """Seconds of the loop's clock."""

    up_to_s: float | None = None
    """If given, how long it takes from `by_s` to this is left to chance."""

    def __post_init__(self) -> None:
        _AtWork.__post_init__(self)
        check_range_s(self.by_s, self.up_to_s)

    def drawn_s(self, draws: Draws) -> float:
        """How long it takes this time."""
        return drawn_s(draws, self.word, self.by_s, self.up_to_s)


@dataclass(frozen=True, slots=True)
class ForeignCancel(_AtSomeMoment):
    """Somebody other than its supervisor cancels its task."""

    word: ClassVar[str] = "foreign_cancel"


@dataclass(frozen=True, slots=True)
class LeakTask(_AtWork):
    """It starts a task that does not end with it, only when the plan lets it go."""

    word: ClassVar[str] = "leak_task"


@dataclass(frozen=True, slots=True)
class ExitNormally(_AtSomeMoment):
    """It ends normally, after the message in hand."""

    word: ClassVar[str] = "exit_normally"
    moments: ClassVar[frozenset[str]] = frozenset({"start", "message", "idle"})


@dataclass(frozen=True, slots=True)
class DieAsking(ActorFault):
    """It crashes when it has asked another actor, and the answer comes too late."""

    word: ClassVar[str] = "die_asking"

    @property
    def occasion(self) -> Occasion:
        """It has asked."""
        return Occasion.ASK


ACTOR_FAULTS: tuple[type[ActorFault], ...] = (
    Crash,
    Hang,
    SwallowCancel,
    Slow,
    ForeignCancel,
    LeakTask,
    ExitNormally,
    DieAsking,
)
"""Every kind there is."""
