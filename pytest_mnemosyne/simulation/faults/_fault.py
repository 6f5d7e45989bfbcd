"""What a fault is, wherever in a system it happens.

A fault is a value without any behaviour: whoever stands at its place (a transport in
front of Claude) reads it and does what it says. So faults can be written down, compared,
stored, searched and shrunk.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from enum import StrEnum, auto
from typing import ClassVar

from pytest_mnemosyne.simulation.faults._address import Address


class Place(StrEnum):
    """Where in a system things go wrong."""

    PROVIDER = auto()
    """Between a client and Claude."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    A kind of fault is a frozen dataclass with a word and a place of its own; its fields
    are literals of Python.
    """

    word: ClassVar[str]
    """How plans call it; unique."""

    place: ClassVar[Place]

    def check_address(self, address: Address) -> None:
        """Say whether it can happen there.

        Raises:
            FaultPlanError: It cannot.
        """

    def arguments(self) -> list[str]:
        """Its fields as they stand in a plan: those without a default first and bare."""
        found = []
        for field in fields(self):
            value: object = getattr(self, field.name)
            if field.default is MISSING:
                found.append(repr(value))
            elif value != field.default:
                found.append(f"{field.name}={value!r}")
        return found
