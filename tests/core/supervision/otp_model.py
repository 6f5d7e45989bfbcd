"""OTP's semantics of supervision as plain functions, to hold real supervisors against.

It shares no code with them but the words of a spec: there are no tasks, no events, no
waiting. Strategies, intensity, shutdown and what can be done by hand are OTP's; delays,
leaks and starts that have nothing to run are what this project promises besides, so there
the two can be wrong together. Whatever is done to a `System` is done at once and as a whole;
what it then has to be, and the `story` of how it got there, are values. It is told the
time, and takes none for stopping, so times that decide something have to differ by more.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from mnemosyne_core.supervision import AutoShutdown, Restart, Strategy


@dataclass(frozen=True, kw_only=True)
class Team:
    """What a supervisor is made with."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 1
    period_s: float = 60.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    max_children: int | None = None
    """Of a dynamic supervisor; `None` for any other."""

    children: tuple[Node, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Delays:
    """How long a child is left alone before it is restarted."""

    first_s: float
    later_s: float
    stable_s: float
    """Who has run for so long is left alone as the first time again."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A child spec: of a supervisor if it has a team, of a worker if not."""

    id: str
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = 0.0
    """0 for a brutal kill; a supervisor waits as long as it takes."""

    significant: bool = False
    delays: Delays | None = None
    team: Team | None = None


@dataclass(eq=False)
class Child:
    """A child as it is: stopped, waiting for its restart, or alive in some incarnation."""

    node: Node
    path: str
    alive: bool = False
    since_s: float = 0.0
    tries: int = 0
    restarts: int = 0
    in_a_row: int = 0
    due_s: float | None = None
    """When nothing of its own keeps it from being restarted; `None`: it is not waiting."""

    is_stuck: bool = False
    """It hears no message any more, but ends when it is cancelled."""

    is_deaf: bool = False
    """Nor does it end then."""

    inside: Supervision | None = None
    """Its own children, if it is a supervisor that lives."""

    @property
    def state(self) -> str:
        if self.alive:
            return "running"
        return "stopped" if self.due_s is None else "restarting"


@dataclass(eq=False)
class Supervision:
    """One life of a supervisor."""

    team: Team
    path: str
    children: list[Child] = field(default_factory=list)
    restarts_at: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path or "tree"

    @property
    def is_full(self) -> bool:
        most = self.team.max_children
        return most is not None and len(self.children) >= most

    def find(self, child_id: str) -> Child | None:
        return next((child for child in self.children if child.node.id == child_id), None)

    def waiting(self) -> list[Child]:
        return [child for child in self.children if child.due_s is not None]

    def forgets(self, child: Child) -> bool:
        return child.node.restart is Restart.TEMPORARY or self.team.max_children is not None


class System:
    """A tree of supervisors, from its root's start on."""

    def __init__(self, team: Team) -> None:
        self.root = Supervision(team, "")
        self.is_down = False
        self.now_s = 0.0
        self.failing: Counter[str] = Counter()
        """How many of the next starts fail, by path."""
        self.ignoring: Counter[str] = Counter()
        """How many of the next starts have nothing to run."""
        self.leaked: defaultdict[str, list[int]] = defaultdict(list)
        """The numbers of those who were left behind and still run, by path."""
        self.story: list[str] = []
        """What has happened since somebody looked, in order."""
        self.is_ordered = True
        """Whether that order is certain: whoever is cancelled ends beside the others."""
        assert self._start_all(self.root)

    # --- who there is ---

    def supervisors(self) -> list[Supervision]:
        """Those that live, the root first."""
        return [] if self.is_down else [self.root, *_inside(self.root)]

    def children(self) -> list[Child]:
        """All children of supervisors that live, whether they live themselves or not."""
        return [child for each in self.supervisors() for child in each.children]

    def parent_of(self, child: Child) -> Supervision:
        """The supervisor that has it."""
        return next(each for each in self.supervisors() if child in each.children)

    # --- time ---

    def next_due(self) -> list[float]:
        """When delays end, the earliest first."""
        due = (child.due_s or 0.0 for each in self.supervisors() for child in each.waiting())
        return sorted(due_s for due_s in due if due_s > self.now_s)

    def pass_to(self, now_s: float) -> None:
        """Have everything happen that is due until `now_s`, in order."""
        while (due := self.next_due()) and due[0] <= now_s:
            self.now_s = due[0]
            for supervisor in self.supervisors():
                self._start_ready(supervisor)
        self.now_s = now_s

    # --- a child ends by itself ---

    def end(self, child: Child, *, abnormal: bool) -> None:
        """A child has returned, crashed, or was cancelled by a stranger."""
        supervisor = self.parent_of(child)
        if child.inside is not None:
            self.is_ordered = False
            self._stop_all(child.inside)
        self._tell_end(supervisor, child)
        self._follow(supervisor, child, abnormal=abnormal)

    def _follow(self, supervisor: Supervision, child: Child, *, abnormal: bool) -> None:
        """What a supervisor does when a child has ended."""
        if child.node.restart is Restart.PERMANENT or (
            child.node.restart is Restart.TRANSIENT and abnormal
        ):
            self._restart(supervisor, child)
            return
        if supervisor.forgets(child) and child in supervisor.children:
            supervisor.children.remove(child)
        others = any(
            each.node.significant and each.state != "stopped" for each in supervisor.children
        )
        match supervisor.team.auto_shutdown:
            case AutoShutdown.ANY_SIGNIFICANT if child.node.significant:
                self._shut_down(supervisor)
            case AutoShutdown.ALL_SIGNIFICANT if child.node.significant and not others:
                self._shut_down(supervisor)

    def _restart(self, supervisor: Supervision, child: Child) -> None:
        team = supervisor.team
        first_s = self.now_s - team.period_s
        recent = [at_s for at_s in supervisor.restarts_at if at_s >= first_s]
        supervisor.restarts_at = [*recent, self.now_s]
        if len(supervisor.restarts_at) > team.max_restarts:
            self.story.append(f"{supervisor.name} gave up")
            self._shut_down(supervisor)
            return
        group = _group(supervisor, child)
        for member in reversed(group):
            self._stop(supervisor, member)
        for member in group:
            if member in supervisor.children and member.due_s is None:
                member.due_s = self.now_s
        child.due_s = self.now_s
        if (delays := child.node.delays) is not None:
            child.in_a_row += 1
            child.due_s += delays.first_s if child.in_a_row == 1 else delays.later_s
            self.story.append(f"delayed {child.path}")
        self._start_ready(supervisor)

    def _start_ready(self, supervisor: Supervision) -> Child | None:
        """Start whom nothing holds up; returns the first whose start failed."""
        strategy, waiting = supervisor.team.strategy, supervisor.waiting()
        held_up = [child for child in waiting if (child.due_s or 0.0) > self.now_s]
        if strategy is Strategy.ONE_FOR_ALL and held_up:
            return None
        for child in waiting:
            if child in held_up:
                if strategy is Strategy.REST_FOR_ONE:
                    return None
                continue
            if not self._start(supervisor, child):
                self._restart(supervisor, child)
                return child
            child.restarts += child.alive
        return None

    def _shut_down(self, supervisor: Supervision) -> None:
        """A supervisor ends by itself, which is no crash; its parent follows."""
        self._stop_all(supervisor)
        if supervisor is self.root:
            self.is_down = True
            return
        parent, child = next(
            (parent, child)
            for parent in self.supervisors()
            for child in parent.children
            if child.inside is supervisor
        )
        self._tell_end(parent, child)
        self._follow(parent, child, abnormal=False)

    # --- by hand: each says whether it could be done ---

    def start_child(self, supervisor: Supervision, node: Node) -> bool:
        """Add a child and start it; one whose start fails is not kept."""
        child = _child(supervisor, node)
        if supervisor.find(node.id) or supervisor.is_full or self.leaked[child.path]:
            return False
        supervisor.children.append(child)
        if not self._start(supervisor, child):
            supervisor.children.remove(child)
            return False
        return True

    def terminate_child(self, child: Child) -> None:
        """Stop a child, or wait with it no longer; its spec stays unless it is forgotten."""
        supervisor = self.parent_of(child)
        self._stop(supervisor, child)
        child.due_s = None
        if supervisor.forgets(child) and child in supervisor.children:
            supervisor.children.remove(child)
        self._start_ready(supervisor)

    def restart_child(self, child: Child) -> bool:
        """Start a child that is stopped, or that waits, with those that come before it."""
        supervisor = self.parent_of(child)
        if child.due_s is not None:
            return self._hurry(supervisor, child)
        if child.alive or self.leaked[child.path]:
            return False
        return self._start_by_hand(supervisor, child)

    def replace_child(self, child: Child) -> bool:
        """Stop a child and start it again."""
        supervisor = self.parent_of(child)
        if child.due_s is not None:
            return self._hurry(supervisor, child)
        if child.node.restart is Restart.TEMPORARY:
            return False
        self._stop(supervisor, child)
        return self._start_by_hand(supervisor, child)

    def delete_child(self, child: Child) -> bool:
        """Forget a child that is stopped."""
        if child.state != "stopped":
            return False
        self.parent_of(child).children.remove(child)
        return True

    def stop(self) -> None:
        """Stop the root."""
        self._stop_all(self.root)
        self.is_down = True

    def let_go(self, path: str, number: int) -> None:
        """One who was left behind ends at last."""
        self.leaked[path].remove(number)
        if not self.is_down:
            self.story.append(f"{path}#{number} is gone")

    def _hurry(self, supervisor: Supervision, child: Child) -> bool:
        group = [child]
        if supervisor.team.strategy is not Strategy.ONE_FOR_ONE:
            group = supervisor.waiting()
        if supervisor.team.strategy is Strategy.REST_FOR_ONE:
            group = group[: group.index(child) + 1]
        for member in group:
            member.due_s = self.now_s
        return self._start_ready(supervisor) is None

    def _start_by_hand(self, supervisor: Supervision, child: Child) -> bool:
        started = self._start(supervisor, child)
        if not started and supervisor.forgets(child):
            supervisor.children.remove(child)
        return started

    # --- start and stop ---

    def _start_all(self, supervisor: Supervision) -> bool:
        """Start all children, or none: one that fails undoes those before it."""
        for node in supervisor.team.children:
            child = _child(supervisor, node)
            # Below a new supervisor, beside those whom an earlier one has left behind.
            child.tries = max(self.leaked[child.path], default=0)
            supervisor.children.append(child)
            if not self._start(supervisor, child):
                self._stop_all(supervisor)
                return False
        return True

    def _start(self, supervisor: Supervision, child: Child) -> bool:
        child.tries += 1
        if child.node.team is not None:
            child.inside = Supervision(child.node.team, child.path)
            child.alive = self._start_all(child.inside)
            if not child.alive:
                child.inside = None
        elif self.ignoring[child.path]:
            self.ignoring[child.path] -= 1
            child.due_s = None
            self.story.append(f"ignored {child.path}")
            if supervisor.forgets(child):
                supervisor.children.remove(child)
            return True
        elif self.failing[child.path]:
            self.failing[child.path] -= 1
        else:
            child.alive = True
        if not child.alive:
            self.story.append(f"failed to start {child.path}")
            return False
        child.since_s, child.due_s = self.now_s, None
        beside = f" beside {len(leaked)}" if (leaked := self.leaked[child.path]) else ""
        self.story.append(f"started {child.path}#{child.tries}{beside}")
        return True

    def _stop_all(self, supervisor: Supervision) -> None:
        for child in reversed(supervisor.children.copy()):
            child.due_s = None
            self._stop(supervisor, child)

    def _stop(self, supervisor: Supervision, child: Child) -> None:
        if not child.alive:
            return
        if child.inside is not None:
            self._stop_all(child.inside)
        self._tell_end(supervisor, child)

    def _tell_end(self, supervisor: Supervision, child: Child) -> None:
        self.story.append(f"ended {child.path}#{child.tries}")
        if child.is_deaf:
            self.leaked[child.path].append(child.tries)
            self.story.append(f"leaked {child.path}")
        child.alive = child.is_stuck = child.is_deaf = False
        child.inside = None
        stable_s = child.node.delays.stable_s if child.node.delays is not None else math.inf
        if self.now_s - child.since_s >= stable_s:
            child.in_a_row = 0
        if child.node.restart is Restart.TEMPORARY:
            supervisor.children.remove(child)


def _group(supervisor: Supervision, child: Child) -> list[Child]:
    """Who is restarted with a child, in start order."""
    place = supervisor.children.index(child)
    match supervisor.team.strategy:
        case Strategy.ONE_FOR_ONE:
            return [child]
        case Strategy.REST_FOR_ONE:
            return supervisor.children[place:]
        case Strategy.ONE_FOR_ALL:
            return supervisor.children.copy()


def _child(supervisor: Supervision, node: Node) -> Child:
    return Child(node, f"{supervisor.path}/{node.id}" if supervisor.path else node.id)


def _inside(supervisor: Supervision) -> Iterator[Supervision]:
    for child in supervisor.children:
        if child.inside is not None:
            yield child.inside
            yield from _inside(child.inside)
