"""Events in a row: numbered from 1, dated, each with what led to it."""

from __future__ import annotations

from datetime import datetime, timedelta

from mnemosyne_core.events import Event, Fact
from pytest_mnemosyne.strategies._texts import EPOCH


class Telling:
    """What has been told so far, and what time it is."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = EPOCH

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return (self.now - EPOCH).total_seconds()

    def in_s(self, seconds: float) -> datetime:
        """The moment that is so many seconds away."""
        return self.now + timedelta(seconds=seconds)

    def let_pass(self, seconds: float) -> None:
        """Time passes."""
        self.now = self.in_s(seconds)

    def tell(self, fact: Fact, *, agent: str, by: int | None = None, attempt: int = 1) -> int:
        """Tell what has happened now; gives the event's number."""
        seq = len(self.events) + 1
        self.events.append(
            Event(seq=seq, at=self.now, agent=agent, attempt=attempt, by=by, fact=fact)
        )
        return seq
