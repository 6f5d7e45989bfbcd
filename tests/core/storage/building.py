"""Short ways to say what these tests are about."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from mnemosyne_core.events import Event
from mnemosyne_core.observe import EventBroadcaster
from mnemosyne_core.storage import MEMORY, Database, Journal
from tests.core.observe.building import EPOCH


class TickingClock:
    """A second passes with each look at it."""

    def __init__(self) -> None:
        self._ticks = 0

    def monotonic(self) -> float:
        self._ticks += 1
        return float(self._ticks)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic())


def journal_at(
    path: Path | str = MEMORY,
    broadcaster: EventBroadcaster | None = None,
    *,
    busy_timeout_s: float = 0.0,
) -> Journal:
    return Journal(
        Database(path, busy_timeout_s=busy_timeout_s),
        clock=TickingClock(),
        broadcaster=broadcaster or EventBroadcaster(),
    )


def published_by(broadcaster: EventBroadcaster) -> list[Event]:
    """What is published from now on, as it comes."""
    published: list[Event] = []
    broadcaster.attach(published.append)
    return published
