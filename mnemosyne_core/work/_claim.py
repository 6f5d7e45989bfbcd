"""What the queue hands out: claims, and pictures of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mnemosyne_core.work._values import WorkItem, WorkState


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at an item, held by one worker for a time."""

    item: WorkItem
    attempt: int
    """Counts from 1."""

    worker: str
    """Path of whoever has it."""

    expires_at_s: float
    """When the lease ends, in seconds of the caller's clock."""

    guidance: tuple[str, ...] = ()
    """What earlier attempts taught."""


class Progress(Protocol):
    """How far an item has come, as an earlier run left it."""

    @property
    def item(self) -> WorkItem:
        """The item itself."""
        ...

    @property
    def state(self) -> WorkState:
        """Where it stands."""
        ...

    @property
    def attempt(self) -> int:
        """The attempt that comes next, or is under way."""
        ...

    @property
    def guidance(self) -> tuple[str, ...]:
        """What earlier attempts taught."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedItem:
    """A live item, as a snapshot shows it."""

    item: WorkItem
    state: WorkState
    attempt: int
    """The attempt that comes next, or is under way."""

    guidance: tuple[str, ...]
    waits_for: tuple[str, ...]
    """Dependencies that are not completed."""

    worker: str | None
    expires_at_s: float | None
    not_before_s: float | None = None
    """When it may be claimed again at the earliest, in seconds of the caller's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The queue at one moment."""

    live: tuple[QueuedItem, ...]
    """In order of submission."""

    counts: Mapping[WorkState, int]
    """How many items are in each state, finished ones included."""
