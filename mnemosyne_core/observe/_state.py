"""What the system is right now, as a fold over its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import assert_never

from mnemosyne_core.events import (
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    LeakEnded,
    LoopBlocked,
    MessageDropped,
    PhaseChanged,
    RestartDelayed,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
    WorkBlocked,
    WorkClaimed,
    WorkSubmitted,
)
from mnemosyne_core.observe._agents import AgentState, agent_after, without_item
from mnemosyne_core.observe._groups import AgentFact, ChildFact, ClaudeFact, TreeFact, WorkFact
from mnemosyne_core.observe._items import ItemState, item_after, item_id_of
from mnemosyne_core.work import Phase, WorkState


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildState:
    """One supervised child, whichever incarnation of it is alive."""

    path: str
    incarnation: int = 0
    """0 for a child that never started."""

    alive: bool = False
    reason: str | None = None
    """Why it ended or did not start, the last time that it did."""

    leaked: bool = False
    """Whether an incarnation that was left behind, for it did not end in time, still runs."""

    gave_up: bool = False
    """Whether it is a supervisor that reached its restart intensity."""

    dropped_messages: int = 0

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.incarnation - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeState:
    """The whole system after the event `seq`."""

    seq: int = 0
    running: bool = False
    stop_reason: str | None = None
    phase: Phase = Phase.PROMPT_TO_SPEC
    agents: Mapping[str, AgentState] = field(default_factory=dict)
    """By path."""

    children: Mapping[str, ChildState] = field(default_factory=dict)
    """By path."""

    items: Mapping[str, ItemState] = field(default_factory=dict)
    """By id, in order of submission."""

    def item_counts(self) -> dict[WorkState, int]:
        """How many items are in each state."""
        counts = Counter(item.state for item in self.items.values())
        return {state: counts[state] for state in WorkState}

    def describe(self) -> str:
        """The state in a line, for people."""
        counted = ", ".join(f"{n} {state}" for state, n in self.item_counts().items() if n)
        agents = ", ".join(
            f"{agent.path} {agent.status}"
            + (f" on {', '.join(agent.items)}" if agent.items else "")
            for agent in self.agents.values()
        )
        return (
            f"event {self.seq}, {'running' if self.running else 'not running'}; "
            f"items: {counted or 'none'}; agents: {agents or 'none'}"
        )


def reduce(state: TreeState, event: Event) -> TreeState:
    """The state after `event`; an event that `state` already contains changes nothing.

    Pure, and as costly as the state is large; `Tables` does the same in place.
    """
    tables = Tables(state)
    tables.fold(event)
    return tables.snapshot()


def replay(events: Iterable[Event], *, start: TreeState | None = None) -> TreeState:
    """The state after all of `events`, in their order."""
    tables = Tables(start or TreeState())
    for event in events:
        tables.fold(event)
    return tables.snapshot()


class Tables:
    """A tree's state in a form that one event changes in constant time."""

    def __init__(self, start: TreeState) -> None:
        """Begin with a copy of `start`."""
        self._agents = dict(start.agents)
        self._children = dict(start.children)
        self._items = dict(start.items)
        self._view = replace(
            start,
            agents=MappingProxyType(self._agents),
            children=MappingProxyType(self._children),
            items=MappingProxyType(self._items),
        )

    @property
    def view(self) -> TreeState:
        """The state as it is; its tables change with the next event."""
        return self._view

    def snapshot(self) -> TreeState:
        """The state as a value of its own."""
        return replace(
            self._view,
            agents=dict(self._agents),
            children=dict(self._children),
            items=dict(self._items),
        )

    def fold(self, event: Event) -> bool:
        """Take `event` in; says whether it was new."""
        if event.seq <= self._view.seq:
            return False
        fact = event.fact
        if isinstance(fact, WorkFact):
            self._fold_work(fact, event)
        elif isinstance(fact, AgentFact):
            self._agents[event.agent] = agent_after(self._agents.get(event.agent), fact, event)
        elif isinstance(fact, ChildFact):
            child = self._children.get(event.agent) or ChildState(path=event.agent)
            self._children[event.agent] = _child_after(child, fact)
        elif isinstance(fact, TreeFact):
            if isinstance(fact, TreeStarted):
                # Whoever an earlier run left behind is not part of this one.
                self._agents.clear()
                self._children.clear()
            self._view = _tree_after(self._view, fact)
        elif isinstance(fact, ClaudeFact):
            pass  # what happens to single calls is part of nobody's state
        else:
            assert_never(fact)
        self._view = replace(self._view, seq=event.seq)
        return True

    def _fold_work(self, fact: WorkFact, event: Event) -> None:
        item_id = item_id_of(fact)
        item = item_after(self._items.get(item_id), fact, event)
        if item is not None:
            self._items[item_id] = item
        if isinstance(fact, WorkSubmitted | WorkBlocked | WorkClaimed):
            return
        # Every other fact about an item ends somebody's turn with it.
        for path, agent in self._agents.items():
            self._agents[path] = without_item(agent, item_id)


def _tree_after(state: TreeState, fact: TreeFact) -> TreeState:
    match fact:
        case TreeStarted():
            return replace(state, running=True, stop_reason=None)
        case TreeStopped(reason=reason):
            return replace(state, running=False, stop_reason=reason)
        case PhaseChanged(phase=phase):
            return replace(state, phase=phase)
        case LoopBlocked():
            return state
        case _:
            assert_never(fact)


def _child_after(child: ChildState, fact: ChildFact) -> ChildState:
    match fact:
        case ChildStarted(incarnation=incarnation):
            return replace(child, incarnation=incarnation, alive=True)
        case ChildIgnored(incarnation=incarnation, reason=reason):
            return replace(child, incarnation=incarnation, alive=False, reason=reason)
        case ChildStartFailed(reason=reason):
            return replace(child, alive=False, reason=reason)
        case ChildTerminated(reason=reason) | ChildShutdownFailed(reason=reason):
            return replace(child, alive=False, reason=reason)
        case ChildLeaked():
            return replace(child, alive=False, leaked=True)
        case LeakEnded(leaked=leaked):
            return replace(child, leaked=leaked > 0)
        case RestartDelayed():
            return child
        case RestartIntensityReached():
            return replace(child, gave_up=True)
        case MessageDropped():
            return replace(child, dropped_messages=child.dropped_messages + 1)
        case _:
            assert_never(fact)
