"""What a supervisor tells about its children: values, as they were in one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.supervision._spec import ChildKind


class ChildState(StrEnum):
    """What a child is doing."""

    RUNNING = auto()
    RESTARTING = auto()
    """It ended, and its supervisor is about to start it, or to try again."""

    STOPPED = auto()
    """It has ended, never started, or had nothing to run; its spec is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildInfo:
    """A child as it is in one moment."""

    id: str
    path: str
    kind: ChildKind
    state: ChildState
    incarnation: int
    """Counts the starts that its supervisor has tried, from 1; 0 before the first. It
    goes on from the numbers of those that an earlier supervisor left behind."""

    restarts: int
    """How often its supervisor has restarted it, for its own or a sibling's sake."""

    last_exit: str | None
    """Why it ended last, in words; `ignored (...)` when its start had nothing to run."""

    leaked: int = 0
    """How many earlier incarnations were left behind and still run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCount:
    """How many children a supervisor has."""

    specs: int
    active: int
    """Those that run."""

    supervisors: int
    workers: int
