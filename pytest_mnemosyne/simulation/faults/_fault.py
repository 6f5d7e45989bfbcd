"""What a fault is, wherever in a system it happens.

A fault is a value without any behaviour: whoever stands at its place (a transport in
front of Claude, a wrapper around an actor) reads it and does what it says. So faults can
be written down, compared, stored, searched and shrunk.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from enum import StrEnum, auto
from typing import ClassVar

from pytest_mnemosyne.simulation.draws import Draws, drawn_seconds
from pytest_mnemosyne.simulation.faults._address import Address
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError


class Place(StrEnum):
    """Where in a system things go wrong."""

    PROVIDER = auto()
    """Between a client and Claude."""

    ACTOR = auto()
    """In an actor, or in a coroutine that is supervised."""

    SUPERVISOR = auto()
    """In what a supervisor does with its children."""

    MAILBOX = auto()
    """Between whoever sends a message and the actor that gets it."""

    BUS = auto()
    """Between the events and whoever has subscribed to them."""

    PROCESS = auto()
    """In an agent's process, and between it and its bridge."""


class Occasion(StrEnum):
    """What is counted, each on its own: a fault strikes the n-th of its occasion.

    The values are the words of reports.
    """

    CALL = "call"
    """To Claude."""

    START = "start"
    """Of an actor or a coroutine."""

    MESSAGE = "message"
    """Handled by an actor."""

    IDLE = "idle moment"
    """An actor has started, or has handled a message, and nothing waits."""

    STOP = "stop"
    """An actor lets go of what it holds."""

    ASK = "ask"
    """An actor has asked another one, and waits."""

    TICK = "storm"
    """An actor has lived as long as a storm lets it."""

    RESTART = "restart next to it"
    """An actor runs while its supervisor starts another child again."""

    STEP = "step of a restart"
    """A supervisor is about to start a child again."""

    SHUTDOWN = "shutdown"
    """A supervisor is about to stop its children."""

    START_BY_HAND = "start by hand"

    DELIVERY = "delivery"
    """A message has come to a mailbox."""

    EVENT = "event"
    """An event has come to a subscription."""

    PROCESS = "start of a process"
    """An agent's process is started."""

    SENT = "message to a process"

    RECEIVED = "message from a process"


WITH_A_MESSAGE = frozenset(
    {
        Occasion.MESSAGE,
        Occasion.ASK,
        Occasion.DELIVERY,
        Occasion.EVENT,
        Occasion.SENT,
        Occasion.RECEIVED,
    }
)
"""Occasions that have a message, or an event, whose type an address may name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    A kind of fault is a frozen dataclass with a word and a place of its own; its fields
    are literals of Python.
    """

    word: ClassVar[str]
    """How plans call it; unique."""

    place: ClassVar[Place]

    @property
    def occasion(self) -> Occasion:
        """What it happens on."""
        raise NotImplementedError

    def check_address(self, address: Address) -> None:
        """Say whether it can happen there.

        Raises:
            FaultPlanError: It cannot.
        """
        if address.stream_event is not None:
            raise FaultPlanError(f"{self.word} has no place in a stream; leave stream_event out")
        if address.message is not None and self.occasion not in WITH_A_MESSAGE:
            raise FaultPlanError(f"{self.word} has no message here; leave message out")
        if address.sender is not None and self.occasion is not Occasion.DELIVERY:
            raise FaultPlanError(f"{self.word} has no sender; leave sender out")

    def arguments(self) -> list[str]:
        """Its fields as they stand in a plan: those without a default first and bare."""
        bare, named = [], []
        for field in fields(self):
            value: object = getattr(self, field.name)
            if field.default is MISSING:
                bare.append(repr(value))
            elif value != field.default:
                named.append(f"{field.name}={value!r}")
        return [*bare, *named]


def drawn_s(draws: Draws, word: str, by_s: float, up_to_s: float | None) -> float:
    """The seconds of a fault, this time; drawn where it leaves them to chance."""
    return by_s if up_to_s is None else drawn_seconds(draws, word, by_s, up_to_s)
