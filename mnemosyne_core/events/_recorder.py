"""The one way to say that something happened."""

from __future__ import annotations

from typing import Protocol

from mnemosyne_core.events._event import Event
from mnemosyne_core.events._facts import Fact


class Recorder(Protocol):
    """Stores a fact, then publishes it; the journal is the real one."""

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        """Store `fact` as the next event, publish it, and hand it back.

        Runs without suspending, so that no other task sees the one without the other.

        Args:
            fact: What has happened.
            agent: Path of whoever it happened to.
            attempt: The attempt at a work item that it belongs to.
            by: Sequence number of the event that led to it.

        Raises:
            StorageError: It could not be stored; then it was not published either.
        """
        ...
