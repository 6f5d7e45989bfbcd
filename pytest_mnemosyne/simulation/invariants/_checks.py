"""The checks: all invariants on a history, and a running tree against its own events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from mnemosyne_core.events import Event, TreeStarted
from mnemosyne_core.observe import Metrics, TreeState, replay
from mnemosyne_core.supervision import ChildState, RestartIntensity
from pytest_mnemosyne.simulation.invariants._history import (
    Finding,
    History,
    Invariant,
    SupervisorRules,
    violations,
)
from pytest_mnemosyne.simulation.invariants._story import STORY, secrets_in
from pytest_mnemosyne.simulation.invariants._supervision import (
    SUPERVISION,
    groups_start_in_order,
    groups_stop_in_reverse,
    restarts_stay_within_the_intensity,
)
from pytest_mnemosyne.simulation.invariants._violation import InvariantError, Violation
from pytest_mnemosyne.simulation.invariants._work import WORK, concurrency_is_bounded

if TYPE_CHECKING:
    from mnemosyne_core.tree import SupervisionConfig, SupervisionTree

_ROOT: Final = "tree"

_ALWAYS: tuple[Invariant, ...] = (*STORY, *SUPERVISION, *WORK)

_WITHIN_BOUNDS: tuple[Invariant, ...] = (
    restarts_stay_within_the_intensity,
    groups_start_in_order,
    groups_stop_in_reverse,
    concurrency_is_bounded,
)
"""What depends on how the tree is configured, in the run that is looked at."""


def check_history(
    events: Iterable[Event],
    *,
    config: SupervisionConfig | None = None,
    supervisors: Mapping[str, SupervisorRules] | None = None,
    leaks: Iterable[str] = (),
    secrets: Iterable[str] = (),
) -> None:
    """Hold what has happened against every invariant; the tree need not run any more.

    Args:
        events: All events of one tree, from the first on, such as `journal.events()` gives.
        config: The tree's, for its bounds; it is taken to be that of every run.
        supervisors: What other supervisors have promised, by path; also that of the root,
            `tree`, where there is no config.
        leaks: Paths of those who may be left behind.
        secrets: What must stand in no event, such as a canary in place of a key.

    Raises:
        InvariantError: Something in it must never happen; it lists everything.
    """
    history = History(
        events=tuple(events),
        supervisors={**_rules_of(config), **(supervisors or {})},
        max_concurrent=config.max_concurrent_agents if config is not None else None,
        leaks=frozenset(leaks),
        secrets=tuple(secrets),
    )
    _raise(violations(history, (*_ALWAYS, *_WITHIN_BOUNDS)))


def check_invariants(
    tree: SupervisionTree,
    *,
    supervisors: Mapping[str, SupervisorRules] | None = None,
    leaks: Iterable[str] = (),
    secrets: Iterable[str] = (),
) -> None:
    """Hold a tree, as it is at this moment, against every invariant.

    Changes nothing and waits for nothing, so it may be called at any step. The tree must
    have been started, and not stopped: its journal is closed then.

    Args:
        tree: The tree; its config bounds the present run.
        supervisors: What supervisors below its root have promised, by path.
        leaks: Paths of those who may be left behind.
        secrets: What must stand in no event and no word about the tree's health.

    Raises:
        InvariantError: It shows what must never happen; it lists everything.
    """
    history = History(events=tree.journal.events(), leaks=frozenset(leaks), secrets=tuple(secrets))
    this_run = History(
        events=_last_run(history.events),
        supervisors={**_rules_of(tree.config), **(supervisors or {})},
        max_concurrent=tree.config.max_concurrent_agents,
    )
    _raise(
        (
            *violations(history, _ALWAYS),
            *violations(this_run, _WITHIN_BOUNDS),
            *(
                Violation(moment.__name__, problem, shown)
                for moment in _MOMENTS
                for problem, shown in moment(tree, history)
            ),
        )
    )


# --- a tree and its own events ---------------------------------------------------------


def state_is_what_the_events_say(tree: SupervisionTree, history: History) -> Iterator[Finding]:
    """The state that a tree keeps is the fold over its events."""
    told, kept = replay(history.events), tree.state.snapshot()
    if told != kept:
        yield f"the state differs from a replay: {'; '.join(_differences(told, kept))}", ()


def rows_are_what_the_events_say(tree: SupervisionTree, history: History) -> Iterator[Finding]:
    """The stored items are those that a replay of the events comes to."""
    told = replay(history.events).items
    for row in tree.journal.items():
        if told.get(row.item.id) != row:
            yield f"the row of {row.item.id} is {row}, the events say {told.get(row.item.id)}", ()


def metrics_are_what_the_events_say(tree: SupervisionTree, history: History) -> Iterator[Finding]:
    """What is counted in a run is the fold over the events of that run."""
    told, kept = Metrics(_last_run(history.events)).snapshot(), tree.metrics.snapshot()
    if told != kept:
        yield f"the metrics are {kept}, the events say {told}", ()


def who_lives_runs(tree: SupervisionTree, history: History) -> Iterator[Finding]:
    """Whoever lives according to the state runs under the supervisor, as who it is there.

    Not the other way round: a child runs a moment before its start is told.
    """
    for child in tree.children():
        told = tree.state.snapshot().children.get(child.path)
        if told is None or not told.alive:
            continue
        if child.state is not ChildState.RUNNING or child.incarnation != told.incarnation:
            shown = [event for event in history.events if event.agent == child.path]
            problem = (
                f"{child.path} lives as incarnation {told.incarnation}, the supervisor has "
                f"{child.incarnation}, which is {child.state}"
            )
            yield problem, tuple(shown[-1:])


def health_keeps_secrets(tree: SupervisionTree, history: History) -> Iterator[Finding]:
    """No word about the tree's health holds a secret."""
    for place in secrets_in(tree.health().model_dump_json(), history.secrets):
        yield f"secret {place} stands in the tree's health", ()


_MOMENTS = (
    state_is_what_the_events_say,
    rows_are_what_the_events_say,
    metrics_are_what_the_events_say,
    who_lives_runs,
    health_keeps_secrets,
)


def _rules_of(config: SupervisionConfig | None) -> dict[str, SupervisorRules]:
    if config is None:
        return {}
    intensity = RestartIntensity(max_restarts=config.max_restarts, period_s=config.restart_period_s)
    return {_ROOT: SupervisorRules(intensity=intensity)}


def _last_run(events: tuple[Event, ...]) -> tuple[Event, ...]:
    starts = [place for place, event in enumerate(events) if isinstance(event.fact, TreeStarted)]
    return events[starts[-1] :] if starts else events


def _differences(told: TreeState, kept: TreeState) -> Iterator[str]:
    for field in ("seq", "running", "stop_reason", "phase"):
        if getattr(told, field) != getattr(kept, field):
            yield f"{field} is {getattr(kept, field)!r}, not {getattr(told, field)!r}"
    for field in ("agents", "children", "items"):
        ours, theirs = getattr(told, field), getattr(kept, field)
        yield from (
            f"{field} {key}: {theirs.get(key)}, not {ours.get(key)}"
            for key in {**ours, **theirs}
            if ours.get(key) != theirs.get(key)
        )


def _raise(found: tuple[Violation, ...]) -> None:
    if found:
        raise InvariantError(found)
