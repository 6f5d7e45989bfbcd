"""What the four actors say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from mnemosyne_core.work import Phase, Usage, Verdict, WorkItem, WorkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """To the orchestrator: take these items; answered with the events' sequence numbers."""

    items: tuple[WorkItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """To the orchestrator: take an item back; answered with whether it was still live."""

    item_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancePhase:
    """To the orchestrator: enter the project's next phase; answered when it is stored."""

    to: Phase


@dataclass(frozen=True, slots=True)
class Wake:
    """To the orchestrator and the executor: an agent came or went, look at what waits again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """To any role: have your agent work on this; answered with a `WorkResult`."""

    item: WorkItem
    attempt: int
    guidance: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """To the reviewer: judge this result; answered with `Judged`."""

    item: WorkItem
    attempt: int
    result: WorkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A reviewer's answer, and what it cost."""

    verdict: Verdict
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidate:
    """To the optimizer: what should the next attempt know; answered with `Consolidated`."""

    item: WorkItem
    attempt: int
    result: WorkResult
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidated:
    """An optimizer's answer, and what it cost."""

    guidance: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """To any role: stop working on this item; answered when its agent has let go of it."""

    item_id: str
