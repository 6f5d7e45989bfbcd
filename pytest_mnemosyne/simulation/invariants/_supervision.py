"""Invariants of supervision: who lives, who is started and stopped when, and how often.

An event of a child names its supervisor and the occasion; those of older versions, and of
who is no child (an agent behind a bridge may be left behind, too), do without. What needs
them passes over events that have none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import TypeAlias

from mnemosyne_core.events import (
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Occasion,
    RestartDelayed,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
)
from mnemosyne_core.supervision import RestartIntensity
from pytest_mnemosyne.simulation.invariants._history import Finding, History

_Tried: TypeAlias = ChildStarted | ChildIgnored | ChildStartFailed


def one_incarnation_lives(history: History) -> Iterator[Finding]:
    """A child is started when it does not live, and ends when it does, as who it was."""
    alive: dict[str, Event] = {}
    for event in history.events:
        fact, path = event.fact, event.agent
        if isinstance(fact, TreeStarted):
            # Whoever a killed process left in the story died with it.
            alive.clear()
        elif isinstance(fact, _Tried):
            if (before := alive.get(path)) is not None:
                yield f"{path} is started although it lives", (before, event)
            if isinstance(fact, ChildStarted):
                alive[path] = event
        elif isinstance(fact, ChildTerminated):
            started = alive.pop(path, None)
            if started is None:
                yield f"{path} ends although it does not live", (event,)
            elif isinstance(started.fact, ChildStarted):
                number = started.fact.incarnation
                if fact.incarnation != number:
                    yield f"incarnation {number} of {path} ends as another one", (started, event)


def children_end_with_their_supervisor(history: History) -> Iterator[Finding]:
    """When a supervisor or a tree has ended, none of its children lives on."""
    alive: dict[str, Event] = {}
    for event in history.events:
        fact, path = event.fact, event.agent
        if isinstance(fact, TreeStarted):
            alive.clear()
        elif isinstance(fact, ChildStarted):
            alive[path] = event
        elif isinstance(fact, ChildTerminated | ChildStartFailed):
            alive.pop(path, None)
            left = [started for below, started in alive.items() if below.startswith(f"{path}/")]
            if left:
                yield f"{path} has ended, not so {_paths(left)}", (*left, event)
        elif isinstance(fact, TreeStopped) and alive:
            left = list(alive.values())
            yield f"the tree has stopped, not so {_paths(left)}", (*left, event)


def restarts_stay_within_the_intensity(history: History) -> Iterator[Finding]:
    """A supervisor that has restarted as often as it may does so no more: it gives up."""
    for supervisor, rules in history.supervisors.items():
        for life in _lives(history, supervisor):
            yield from _too_many_restarts(life, supervisor, rules.intensity)


def groups_start_in_order(history: History) -> Iterator[Finding]:
    """Who is restarted together is started in the order of the first start."""
    for supervisor, rules in history.supervisors.items():
        for life in _lives(history, supervisor) if rules.in_order else ():
            places = _places(life)
            for group in _groups(life, ChildStarted):
                for first, second in pairwise(group):
                    if places[first.agent] > places[second.agent]:
                        yield f"{first.agent} is restarted before {second.agent}", (first, second)


def groups_stop_in_reverse(history: History) -> Iterator[Finding]:
    """Who is stopped together is stopped in the reverse of the order of the first start."""
    for supervisor, rules in history.supervisors.items():
        for life in _lives(history, supervisor) if rules.in_order else ():
            places = _places(life)
            for group in (*_groups(life, ChildTerminated), _last_stopped(life)):
                for first, second in pairwise(group):
                    if places[first.agent] < places[second.agent]:
                        yield f"{first.agent} is stopped before {second.agent}", (first, second)


@dataclass(frozen=True, slots=True)
class _Life:
    """One life of one supervisor, from its start to its end."""

    facts: list[Event] = field(default_factory=list)
    """What happened to its children."""

    causes: dict[int, Event] = field(default_factory=dict)
    """Those events of its own and its children, by number."""

    stopped: list[Event] = field(default_factory=list)
    """That it is over and was stopped, if it is the root and was."""


def _lives(history: History, supervisor: str) -> Iterator[_Life]:
    life = _Life()
    for event in history.events:
        fact = event.fact
        is_own = event.agent == supervisor
        if isinstance(fact, TreeStarted) or (
            is_own and isinstance(fact, ChildTerminated | ChildStartFailed)
        ):
            yield life
            life = _Life()
        elif is_own and isinstance(fact, TreeStopped):
            life.stopped.append(event)
        elif isinstance(fact, _Tried | ChildTerminated) and fact.supervisor == supervisor:
            life.facts.append(event)
            life.causes[event.seq] = event
        elif isinstance(fact, RestartIntensityReached | RestartDelayed):
            life.causes[event.seq] = event
    yield life


def _too_many_restarts(
    life: _Life, supervisor: str, intensity: RestartIntensity
) -> Iterator[Finding]:
    period = timedelta(seconds=intensity.period_s)
    # One incident is one restart, whoever is started again for it: it is what led to that.
    incidents = {
        incident.seq: incident
        for event in life.facts
        if isinstance(event.fact, _Tried)
        and event.fact.occasion is Occasion.RESTART
        and (incident := _incident(life, event)) is not None
    }
    recent: deque[Event] = deque()
    for _, incident in sorted(incidents.items()):
        recent.append(incident)
        while recent[0].at < incident.at - period:
            recent.popleft()
        if len(recent) > intensity.max_restarts:
            problem = (
                f"{supervisor} restarts {len(recent)} times within {intensity.period_s:g} s, "
                f"{intensity.max_restarts} are tolerated"
            )
            yield problem, tuple(recent)


def _places(life: _Life) -> dict[str, int]:
    """The place of each child, by its path, in the order of the first start."""
    started = dict.fromkeys(
        event.agent for event in life.facts if isinstance(event.fact, _Tried | ChildTerminated)
    )
    return {path: place for place, path in enumerate(started)}


def _groups(life: _Life, kind: type[ChildStarted | ChildTerminated]) -> list[list[Event]]:
    """Those who were started or stopped together, because of one thing."""
    groups: dict[int, list[Event]] = {}
    for event in life.facts:
        incident = _incident(life, event)
        if incident is None or not isinstance(event.fact, kind):
            continue
        given_up = isinstance(incident.fact, RestartIntensityReached)
        if event.fact.occasion is Occasion.RESTART or given_up:
            groups.setdefault(incident.seq, []).append(event)
    return list(groups.values())


def _incident(life: _Life, event: Event) -> Event | None:
    """What led to a start or an end; a delay in between is no incident of its own."""
    cause = life.causes.get(event.by) if event.by is not None else None
    if cause is not None and isinstance(cause.fact, RestartDelayed):
        return _incident(life, cause)
    return cause


def _last_stopped(life: _Life) -> list[Event]:
    """Those whom a root has stopped on its way out.

    Before a root says that it was stopped, a stop by hand looks like one of these; but
    whoever stops a child of a root by hand mostly starts it again.
    """
    if not life.stopped:
        return []
    group: list[Event] = []
    for event in life.facts:
        if isinstance(event.fact, _Tried):
            group.clear()
        elif isinstance(event.fact, ChildTerminated) and event.fact.occasion is Occasion.SHUTDOWN:
            group.append(event)
    return group


def _paths(events: Iterable[Event]) -> str:
    return ", ".join(event.agent for event in events)


SUPERVISION = (one_incarnation_lives, children_end_with_their_supervisor)
"""The invariants here that need to know of nothing but the events."""
