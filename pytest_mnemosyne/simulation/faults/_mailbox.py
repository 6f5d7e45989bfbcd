"""What can go wrong on the way of a message to an actor, and of an event to a reader.

`agent` names the actor that gets the message, `message` its type, and `sender` the actor
that sends it. The messages of one sender to one actor never overtake
each other: whatever is sent behind one that is late is late, too.

===============  =======================================================================
word             what happens
===============  =======================================================================
lose             the message is taken and never arrives; whoever asked waits on
duplicate        it arrives twice; of two answers the first one counts
delay            it arrives later
reorder          the next message of another sender overtakes it
overflow         there is no room: a sender that does not wait is refused, another waits
slow_subscriber  a reader of events pauses after this one
lag              a reader misses this event, as one does that is too slow
===============  =======================================================================

For the last two `agent` is the actor that has subscribed, and `message` the event's kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytest_mnemosyne.simulation.draws import Draws
from pytest_mnemosyne.simulation.faults._checks import check_number, check_range_s
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place, drawn_s


@dataclass(frozen=True, slots=True)
class MailboxFault(Fault):
    """A fault on the way of a message."""

    place: ClassVar[Place] = Place.MAILBOX

    @property
    def occasion(self) -> Occasion:
        """The message has come to the mailbox."""
        return Occasion.DELIVERY


@dataclass(frozen=True, slots=True)
class Lose(MailboxFault):
    """The message never arrives, and nobody is told."""

    word: ClassVar[str] = "lose"


@dataclass(frozen=True, slots=True)
class Duplicate(MailboxFault):
    """The message arrives twice."""

    word: ClassVar[str] = "duplicate"


@dataclass(frozen=True, slots=True)
class Delay(MailboxFault):
    """The message arrives later, and so do those that the same sender sends behind it."""

    word: ClassVar[str] = "delay"

    by_s: float
    """Seconds of the loop's clock."""

    up_to_s: float | None = None
    """If given, how late it is from `by_s` to this is left to chance."""

    def __post_init__(self) -> None:
        check_range_s(self.by_s, self.up_to_s)

    def drawn_s(self, draws: Draws) -> float:
        """How late it is this time."""
        return drawn_s(draws, self.word, self.by_s, self.up_to_s)


@dataclass(frozen=True, slots=True)
class _Within(MailboxFault):
    within_s: float = 1.0
    """Seconds of the loop's clock."""

    def __post_init__(self) -> None:
        check_number("within_s", self.within_s, unit="seconds")


@dataclass(frozen=True, slots=True)
class Reorder(_Within):
    """The next message of another sender overtakes it; it waits `within_s` for one."""

    word: ClassVar[str] = "reorder"


@dataclass(frozen=True, slots=True)
class Overflow(_Within):
    """There is no room for it: a sender that waits gets one after `within_s`."""

    word: ClassVar[str] = "overflow"


@dataclass(frozen=True, slots=True)
class BusFault(Fault):
    """A fault between the events and a reader."""

    place: ClassVar[Place] = Place.BUS

    @property
    def occasion(self) -> Occasion:
        """An event has come."""
        return Occasion.EVENT


@dataclass(frozen=True, slots=True)
class SlowSubscriber(BusFault):
    """The reader pauses before it reads on, and what happens meanwhile piles up."""

    word: ClassVar[str] = "slow_subscriber"

    by_s: float
    """Seconds of the loop's clock."""

    def __post_init__(self) -> None:
        check_number("by_s", self.by_s, unit="seconds")


@dataclass(frozen=True, slots=True)
class Lag(BusFault):
    """The reader misses the event, and is told so with the next one that it gets."""

    word: ClassVar[str] = "lag"


MAILBOX_FAULTS: tuple[type[MailboxFault], ...] = (Lose, Duplicate, Delay, Reorder, Overflow)
"""Every kind on the way of a message."""

BUS_FAULTS: tuple[type[BusFault], ...] = (SlowSubscriber, Lag)
"""Every kind on the way of an event."""
