"""What an agent's process makes that no other run will: told here, where somebody listens.

Whoever compares runs (see `mnemosyne_core.origins`) listens in the process of the tree,
and has to know the ids and times of the agent's process before it sees them in a request
or a result. So these bring along what is new.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, PositiveInt

from mnemosyne_core import lane, origins
from mnemosyne_core._value import Value


class MadeId(Value):
    """An id that was drawn at random."""

    value: str
    kind: str
    attempt: PositiveInt = 1
    """The attempt of the agent that minted it."""


class Made(Value):
    """What was made since the last time that this was told."""

    ids: tuple[MadeId, ...] = ()
    readings: tuple[AwareDatetime, ...] = ()
    """When the wall clock was read, to the second."""


class Making:
    """Notes in the agent's process what is made there; an `OriginListener`."""

    def __init__(self) -> None:
        self._ids: list[MadeId] = []
        self._readings: set[datetime] = set()
        self._told: set[datetime] = set()

    def minted(self, value: str, kind: str) -> None:
        """An id was made."""
        here = lane.current.get()
        attempt = 1 if here is None else here.attempt
        self._ids.append(MadeId(value=value, kind=kind, attempt=attempt))

    def told(self, instant: datetime) -> None:
        """The clock was read."""
        self._readings.add(instant.replace(microsecond=0))

    def take(self) -> Made | None:
        """What is new; `None` where nothing is."""
        ids, self._ids = self._ids, []
        new = self._readings - self._told
        self._told |= new
        return Made(ids=tuple(ids), readings=tuple(sorted(new))) if ids or new else None


def retell(made: Made | None, path: str) -> None:
    """Tell whoever listens here of what the agent at `path` has made."""
    if made is None:
        return
    for each in made.ids:
        with lane.entered(lane.Lane(path, each.attempt)):
            origins.minted(each.value, each.kind)
    for reading in made.readings:
        origins.told(reading)
