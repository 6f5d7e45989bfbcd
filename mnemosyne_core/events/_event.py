"""A fact with its place in the story."""

from __future__ import annotations

from pydantic import AwareDatetime, PositiveInt

from mnemosyne_core._value import Value
from mnemosyne_core.events._facts import Fact


class Event(Value):
    """Something that has happened and is stored."""

    seq: PositiveInt
    """Place in the tree's story: counts from 1 without a gap."""

    at: AwareDatetime
    agent: str
    """Path of whoever it happened to; `tree` for the tree itself."""

    attempt: PositiveInt = 1
    """The attempt at a work item that it belongs to; counts from 1."""

    by: PositiveInt | None = None
    """Sequence number of the event that led to this one."""

    fact: Fact

    @property
    def kind(self) -> str:
        """The fact's kind."""
        return self.fact.kind
