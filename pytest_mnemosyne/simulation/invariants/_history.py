"""A history, and the bounds that were set to those who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from mnemosyne_core.events import Event
from mnemosyne_core.supervision import RestartIntensity
from pytest_mnemosyne.simulation.invariants._violation import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorRules:
    """What one supervisor has promised."""

    intensity: RestartIntensity = field(default_factory=RestartIntensity)

    in_order: bool = True
    """Whether its children keep the places in which they were first started, and are
    stopped one after the other. Not so under a dynamic supervisor, which stops all of them
    together, and where children are deleted and added again by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened in one tree, in order, from its first event on."""

    events: tuple[Event, ...]
    supervisors: Mapping[str, SupervisorRules] = field(default_factory=dict)
    """By path; of a supervisor that is not in it nothing is known but its events."""

    max_concurrent: int | None = None
    """Bound on attempts under way; `None`: none is known."""

    leaks: frozenset[str] = frozenset()
    """Paths of those who may be left behind."""

    secrets: tuple[str, ...] = ()
    """What must be told nowhere."""


Finding: TypeAlias = tuple[str, tuple[Event, ...]]
"""What is wrong, in words with the values, and the events that show it."""

Invariant: TypeAlias = Callable[[History], Iterator[Finding]]
"""Finds what breaks one law; the function's name is the law's."""


def violations(history: History, invariants: Iterable[Invariant]) -> tuple[Violation, ...]:
    """All that breaks any of the invariants, in their order."""
    return tuple(
        Violation(invariant.__name__, problem, events)
        for invariant in invariants
        for problem, events in invariant(history)
    )
