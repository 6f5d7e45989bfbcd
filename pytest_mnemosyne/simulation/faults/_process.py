"""What can go wrong in an agent's process, and on the pipe between it and its bridge.

`agent` names the agent, and `attempt` counts its processes from 1. A fault that says when
(`at`) happens to the n-th process that is started, or to the n-th message that goes to a
process (`sent`, which is what it takes when nothing is said) or comes from one
(`received`); `message` is the kind of that message, such as `work`.

=====================  ================================================  =================
word                   what happens                                      at
=====================  ================================================  =================
descriptors_exhausted  there is no descriptor left for its pipes         (each start)
slow_start             its process comes up late                         (each start)
wrong_version          it speaks another version of the protocol         (each start)
process_killed         SIGKILL, and no word in its log: so it ends that  start, sent,
                       has taken too much memory                         received
process_stopped        SIGSTOP; SIGCONT after a while                    start, sent,
                                                                         received
process_exit           it ends by itself, with an exit code              start, sent,
                                                                         received
process_noise          it prints what nobody has asked for               sent, received
half_message           it is killed in the middle of a message           (received)
garbage                something strays into the pipe                    (received)
=====================  ================================================  =================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from pytest_mnemosyne.simulation.faults._checks import check_count, check_number, check_text
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place

AtProcess: TypeAlias = Literal["start", "sent", "received"]
OnMessage: TypeAlias = Literal["sent", "received"]

_OCCASIONS: dict[str, Occasion] = {
    "start": Occasion.PROCESS,
    "sent": Occasion.SENT,
    "received": Occasion.RECEIVED,
}
_LAST_EXIT_CODE = 255


@dataclass(frozen=True, slots=True)
class ProcessFault(Fault):
    """A fault in an agent's process."""

    place: ClassVar[Place] = Place.PROCESS


@dataclass(frozen=True, slots=True)
class _AtItsStart(ProcessFault):
    @property
    def occasion(self) -> Occasion:
        """It is started."""
        return Occasion.PROCESS


@dataclass(frozen=True, slots=True)
class _AtSomeMoment(ProcessFault):
    moments: ClassVar[tuple[str, ...]] = ("start", "sent", "received")

    at: str = field(default="sent", kw_only=True)
    """When in its life."""

    def __post_init__(self) -> None:
        if self.at not in self.moments:
            known = ", ".join(map(repr, self.moments))
            raise FaultPlanError(f"at of {self.word} is one of {known}, got {self.at!r}")

    @property
    def occasion(self) -> Occasion:
        """That of its moment."""
        return _OCCASIONS[self.at]


@dataclass(frozen=True, slots=True)
class _InItsMessage(ProcessFault):
    @property
    def occasion(self) -> Occasion:
        """A message has come from it."""
        return Occasion.RECEIVED


@dataclass(frozen=True, slots=True)
class DescriptorsExhausted(_AtItsStart):
    """There is no descriptor left, not even for its pipes."""

    word: ClassVar[str] = "descriptors_exhausted"


@dataclass(frozen=True, slots=True)
class SlowStart(_AtItsStart):
    """The process comes up late."""

    word: ClassVar[str] = "slow_start"

    by_s: float
    """Seconds of the loop's clock."""

    def __post_init__(self) -> None:
        check_number("by_s", self.by_s, unit="seconds")


@dataclass(frozen=True, slots=True)
class WrongVersion(_AtItsStart):
    """The process speaks another version of the protocol."""

    word: ClassVar[str] = "wrong_version"

    major: int = 99
    """The major number that it names."""

    def __post_init__(self) -> None:
        check_count("major", self.major)


@dataclass(frozen=True, slots=True)
class ProcessKilled(_AtSomeMoment):
    """The system kills the process, without a word in its log."""

    word: ClassVar[str] = "process_killed"


@dataclass(frozen=True, slots=True)
class ProcessStopped(_AtSomeMoment):
    """The process stands still for a while."""

    word: ClassVar[str] = "process_stopped"

    for_s: float
    """Seconds of the loop's clock."""

    def __post_init__(self) -> None:
        _AtSomeMoment.__post_init__(self)
        check_number("for_s", self.for_s, unit="seconds")


@dataclass(frozen=True, slots=True)
class ProcessExit(_AtSomeMoment):
    """The process ends by itself, whatever it was doing."""

    word: ClassVar[str] = "process_exit"

    exit_code: int = 1
    """From 0 to 255."""

    def __post_init__(self) -> None:
        _AtSomeMoment.__post_init__(self)
        is_code = isinstance(self.exit_code, int) and not isinstance(self.exit_code, bool)
        if not is_code or not 0 <= self.exit_code <= _LAST_EXIT_CODE:
            raise FaultPlanError(f"exit_code lies between 0 and 255, got {self.exit_code!r}")


@dataclass(frozen=True, slots=True)
class ProcessNoise(_AtSomeMoment):
    """The process prints lines on its standard output that nobody has asked for."""

    word: ClassVar[str] = "process_noise"
    moments: ClassVar[tuple[str, ...]] = ("sent", "received")

    lines: int = 10

    def __post_init__(self) -> None:
        _AtSomeMoment.__post_init__(self)
        check_count("lines", self.lines)


@dataclass(frozen=True, slots=True)
class HalfMessage(_InItsMessage):
    """The process is killed in the middle of a message: half of it arrives."""

    word: ClassVar[str] = "half_message"


@dataclass(frozen=True, slots=True)
class Garbage(_InItsMessage):
    """In place of a message comes what strays into the pipe."""

    word: ClassVar[str] = "garbage"

    text: str = "Traceback (most recent call last):\n"

    def __post_init__(self) -> None:
        check_text("text", self.text)


PROCESS_FAULTS: tuple[type[ProcessFault], ...] = (
    DescriptorsExhausted,
    SlowStart,
    WrongVersion,
    ProcessKilled,
    ProcessStopped,
    ProcessExit,
    ProcessNoise,
    HalfMessage,
    Garbage,
)
"""Every kind there is."""
