"""Real supervisors against the model: random trees, random harm, the same story in both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mnemosyne_core.errors import (
    ActorStateError,
    ChildExistsError,
    MnemosyneError,
    NameInUseError,
    RestartIntensityError,
    StartError,
    TooManyChildrenError,
)
from mnemosyne_core.events import (
    ChildIgnored,
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Fact,
    LeakEnded,
    RestartDelayed,
    RestartIntensityReached,
)
from mnemosyne_core.supervision import (
    AutoShutdown,
    Backoff,
    ChildKind,
    ChildSpec,
    Context,
    DynamicSupervisor,
    Ignore,
    Restart,
    RestartIntensity,
    Shutdown,
    Strategy,
    Supervisor,
)
from pytest_mnemosyne.simulation.invariants import SupervisorRules, check_history
from pytest_mnemosyne.simulation.loop import VirtualClock, leftovers
from pytest_mnemosyne.strategies.stateful import (
    SimulatedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.core.supervision.otp_model import Child, Delays, Node, Supervision, System, Team
from tests.core.supervision.support import Boom, Crash, MemoryRecorder, Puppet, Quit, Run

T = TypeVar("T")

STEP_S = 100.0
"""Between two steps."""

PERIOD_S = 265.0
SHUTDOWN_S = 0.1
GRACE_S = 0.1
MOST = 8
"""Children that are stopped, however stuck they are, in less than `CLOSE_S`."""

CLOSE_S = 5.0
"""Times that decide something are multiples of 10 s, or lie in the middle between two."""

DELAYS = Delays(first_s=150.0, later_s=230.0, stable_s=425.0)


@st.composite
def teams(draw: DrawFn, *, levels: int = 2) -> Team:
    if levels == 1 and draw(st.integers(0, 3)) == 3:
        return Team(max_restarts=draw(intensities()), period_s=PERIOD_S, max_children=2)
    auto_shutdown = draw(st.sampled_from(AutoShutdown))
    ids = "abc"[: draw(st.sampled_from((2, 3, 1)))]
    return Team(
        strategy=draw(st.sampled_from(Strategy)),
        max_restarts=draw(intensities()),
        period_s=PERIOD_S,
        auto_shutdown=auto_shutdown,
        children=tuple(
            draw(nodes(child_id, auto_shutdown=auto_shutdown, levels=levels)) for child_id in ids
        ),
    )


@st.composite
def nodes(draw: DrawFn, child_id: str, *, auto_shutdown: AutoShutdown, levels: int) -> Node:
    restart = draw(st.sampled_from(Restart))
    may_be_significant = (
        auto_shutdown is not AutoShutdown.NEVER and restart is not Restart.PERMANENT
    )
    return Node(
        id=child_id,
        restart=restart,
        shutdown_s=draw(st.sampled_from((SHUTDOWN_S, 0.0))),
        significant=may_be_significant and draw(st.booleans()),
        delays=None if restart is Restart.TEMPORARY else draw(st.sampled_from((None, DELAYS))),
        team=draw(teams(levels=levels - 1)) if levels > 1 and draw(st.booleans()) else None,
    )


def intensities() -> SearchStrategy[int]:
    return st.sampled_from((2, 5, 1, 0))


def places() -> SearchStrategy[int]:
    return st.integers(0, MOST - 1)


class Supervisors(SimulatedStateMachine):
    """A tree of supervisors, its model, and what can be done to both."""

    @initialize(team=teams())
    async def start(self, team: Team) -> None:
        self.recorder = DatingRecorder(self.clock)
        self.failing: Counter[str] = Counter()
        self.ignoring: Counter[str] = Counter()
        self.ears: list[Ear] = []
        self.told = 0
        self.promises = {"tree": rules_of(team)}
        self.model = System(team)
        self.root = self.supervisor_of(team, "")
        await self.root.start()
        await self.compare()

    # --- a child ends, or is in a state to end badly ---

    @precondition(lambda self: self.those_who_listen())
    @rule(place=places())
    async def crash(self, place: int) -> None:
        """A worker raises."""
        child = chosen(self.those_who_listen(), place)
        await self.root.whereis(child.path).send(Crash())
        self.model.end(child, abnormal=True)
        await self.compare()

    @precondition(lambda self: self.workers())
    @rule(place=places(), times=st.integers(1, 3))
    def fail_next_starts(self, place: int, times: int) -> None:
        """The next starts of a worker fail."""
        path = chosen(self.workers(), place).path
        self.failing[path] = self.model.failing[path] = times

    @precondition(lambda self: self.workers())
    @rule(place=places())
    def ignore_next_start(self, place: int) -> None:
        """The next start of a worker has nothing to run."""
        path = chosen(self.workers(), place).path
        self.ignoring[path] = self.model.ignoring[path] = 1

    @precondition(lambda self: self.those_who_listen())
    @rule(place=places())
    async def finish(self, place: int) -> None:
        """A worker returns."""
        child = chosen(self.those_who_listen(), place)
        await self.root.whereis(child.path).send(Quit())
        self.model.end(child, abnormal=False)
        await self.compare()

    @precondition(lambda self: self.those_who_can_be_cancelled())
    @rule(place=places())
    async def cancel(self, place: int) -> None:
        """Somebody cancels a child's task, be it a worker or a supervisor."""
        child = chosen(self.those_who_can_be_cancelled(), place)
        task_of(child).cancel()
        self.model.end(child, abnormal=True)
        await self.compare()

    @precondition(lambda self: self.those_who_listen())
    @rule(place=places(), deaf=st.booleans())
    async def get_stuck(self, place: int, deaf: bool) -> None:
        """A worker never comes back from its message, perhaps not even when it is cancelled."""
        child = chosen(self.those_who_listen(), place)
        child.is_stuck, child.is_deaf = True, deaf
        ear = asyncio.Event()
        self.ears.append(Ear(child, child.tries, deaf, ear))

        async def never(_: Context) -> None:
            while not ear.is_set():
                try:
                    await ear.wait()
                except asyncio.CancelledError:
                    if not deaf:
                        raise

        await self.root.whereis(child.path).send(Run(never))
        await self.compare()

    # --- by hand ---

    @precondition(lambda self: not self.model.is_down and len(self.model.children()) < MOST)
    @rule(place=places(), data=st.data())
    async def start_child(self, place: int, data: Any) -> None:
        supervisor = chosen(self.model.supervisors(), place)
        auto_shutdown = supervisor.team.auto_shutdown
        node = data.draw(
            st.sampled_from("dabc").flatmap(
                lambda child_id: nodes(child_id, auto_shutdown=auto_shutdown, levels=1)
            )
        )
        real, path = self.real(supervisor), f"{supervisor.path}/{node.id}".removeprefix("/")
        refused: type[MnemosyneError] = StartError
        if supervisor.find(node.id) is not None:
            refused = ChildExistsError
        elif supervisor.is_full:
            refused = TooManyChildrenError
        elif self.model.leaked[path]:
            refused = NameInUseError
        could = self.model.start_child(supervisor, node)
        spec = self.spec_of(node, supervisor.path)
        await self.by_hand(lambda: real.start_child(spec), refused=None if could else refused)

    @precondition(lambda self: self.model.children())
    @rule(place=places())
    async def terminate_child(self, place: int) -> None:
        child = chosen(self.model.children(), place)
        real = self.real(self.model.parent_of(child))
        self.model.terminate_child(child)
        await self.by_hand(lambda: real.terminate_child(child.node.id))

    @precondition(lambda self: self.model.children())
    @rule(place=places())
    async def restart_child(self, place: int) -> None:
        child = chosen(self.model.children(), place)
        real = self.real(self.model.parent_of(child))
        refused: type[MnemosyneError] = StartError
        if child.alive:
            refused = ActorStateError
        elif child.due_s is None and self.model.leaked[child.path]:
            refused = NameInUseError
        could = self.model.restart_child(child)
        await self.by_hand(
            lambda: real.restart_child(child.node.id), refused=None if could else refused
        )

    @precondition(lambda self: self.model.children())
    @rule(place=places())
    async def replace_child(self, place: int) -> None:
        child = chosen(self.model.children(), place)
        real = self.real(self.model.parent_of(child))
        refused = ActorStateError if child.node.restart is Restart.TEMPORARY else StartError
        could = self.model.replace_child(child)
        await self.by_hand(
            lambda: real.replace_child(child.node.id), refused=None if could else refused
        )

    @precondition(lambda self: self.model.children())
    @rule(place=places())
    async def delete_child(self, place: int) -> None:
        child = chosen(self.model.children(), place)
        real = self.real(self.model.parent_of(child))
        could = self.model.delete_child(child)
        await self.by_hand(
            lambda: real.delete_child(child.node.id), refused=None if could else ActorStateError
        )

    # --- time ---

    @precondition(lambda self: self.those_left_behind())
    @rule(place=places())
    async def let_go(self, place: int) -> None:
        """One who was left behind ends at last."""
        ear = chosen(self.those_left_behind(), place)
        ear.event.set()
        self.model.let_go(ear.child.path, ear.tries)
        await self.compare()

    @rule(steps=st.integers(1, 5))
    async def wait(self, steps: int) -> None:
        for _ in range(steps):
            await self.compare()

    # --- the end ---

    async def teardown(self) -> None:  # type: ignore[override]
        if not hasattr(self, "root"):
            return
        # What must never happen is still there at the end; also of a story that is thrown away.
        self.check_what_was_told()
        if not self.model.is_down:
            self.model.stop()
            await self.root.stop()
        await self.compare()
        self.check_what_was_told()
        assert not self.root.is_running
        for ear in self.ears:
            ear.event.set()
        await self.clock.settle()
        assert leftovers(self.clock.loop) == ()

    # --- within ---

    async def by_hand(
        self,
        act: Callable[[], Any],
        *,
        refused: type[MnemosyneError] | None = None,
    ) -> None:
        if refused is None:
            await act()
        else:
            with pytest.raises(refused):
                await act()
        await self.compare()

    async def compare(self) -> None:
        """Let everything come to its end, and look whether it is what the model says."""
        until_s = self.clock.monotonic() + STEP_S
        due = [at_s for at_s in self.model.next_due() if at_s <= until_s]
        # Two delays that end together, and what comes of that, may be told in either order.
        assume(all(later - earlier > CLOSE_S for earlier, later in pairwise(due)))
        self.model.pass_to(until_s)
        await self.clock.advance(STEP_S)
        story = [words for event in self.recorder.events[self.told :] if (words := told_by(event))]
        self.told = len(self.recorder.events)
        told, self.model.story = self.model.story, []
        if self.model.is_ordered:
            assert story == told
        else:
            assert sorted(story) == sorted(told)
        self.model.is_ordered = True
        assert self.root.is_running is not self.model.is_down
        assert self.root.failure is None or isinstance(self.root.failure, RestartIntensityError)
        for supervisor in self.model.supervisors():
            assert seen(self.real(supervisor)) == expected(self.model, supervisor)

    def check_what_was_told(self) -> None:
        check_history(
            self.recorder.events,
            supervisors=self.promises,
            leaks={event.agent for event in self.recorder.of("child_leaked")},
        )

    def real(self, supervisor: Supervision) -> Supervisor:
        return self.root.nested(supervisor.path) if supervisor.path else self.root

    def workers(self) -> list[Child]:
        return [child for child in self.model.children() if child.node.team is None]

    def those_who_listen(self) -> list[Child]:
        return [child for child in self.workers() if child.alive and not child.is_stuck]

    def those_left_behind(self) -> list[Ear]:
        here = self.model.children()
        return [
            ear
            for ear in self.ears
            if ear.is_deaf
            and not ear.event.is_set()
            and not (ear.child in here and ear.child.alive and ear.child.tries == ear.tries)
        ]

    def those_who_can_be_cancelled(self) -> list[Child]:
        # Tasks are known by name, and who was left behind may have the same.
        return [
            child
            for child in self.model.children()
            if child.alive and not child.is_deaf and not self.model.leaked[child.path]
        ]

    def spec_of(self, node: Node, above: str) -> ChildSpec:
        path = f"{above}/{node.id}" if above else node.id
        backoff = backoff_of(node.delays)
        if node.team is None:
            return ChildSpec(
                id=node.id,
                backoff=backoff,
                start=lambda: Starting(path, self.failing, self.ignoring),
                restart=node.restart,
                shutdown=node.shutdown_s or Shutdown.BRUTAL_KILL,
                significant=node.significant,
            )
        team = node.team
        self.promises[path] = rules_of(team)
        return ChildSpec(
            id=node.id,
            start=lambda: self.supervisor_of(team, path),
            restart=node.restart,
            backoff=backoff,
            kind=ChildKind.SUPERVISOR,
            significant=node.significant,
        )

    def supervisor_of(self, team: Team, path: str) -> Supervisor:
        intensity = rules_of(team).intensity
        if team.max_children is not None:
            return DynamicSupervisor(max_children=team.max_children, intensity=intensity)
        return Supervisor(
            [self.spec_of(child, path) for child in team.children],
            strategy=team.strategy,
            intensity=intensity,
            auto_shutdown=team.auto_shutdown,
            recorder=None if path else self.recorder,
            kill_grace_s=GRACE_S,
        )


@dataclass(frozen=True)
class Ear:
    """What an incarnation that is stuck listens to in the end."""

    child: Child
    tries: int
    is_deaf: bool
    event: asyncio.Event


class Starting(Puppet):
    """Fails to start, or has nothing to run, as often as it is told to."""

    def __init__(self, path: str, failing: Counter[str], ignoring: Counter[str]) -> None:
        super().__init__()
        self.path = path
        self.failing = failing
        self.ignoring = ignoring

    async def started(self, context: Context) -> None:
        if self.ignoring[self.path]:
            self.ignoring[self.path] -= 1
            raise Ignore("nothing to run")
        if self.failing[self.path]:
            self.failing[self.path] -= 1
            raise Boom("not now")


class DatingRecorder(MemoryRecorder):
    """Dates events by the clock of the example."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        event = super().record(fact, agent=agent, attempt=attempt, by=by)
        self.events[-1] = event.model_copy(update={"at": self.clock.now()})
        return self.events[-1]


def rules_of(team: Team) -> SupervisorRules:
    intensity = RestartIntensity(max_restarts=team.max_restarts, period_s=team.period_s)
    # Children are deleted and added again, so they have no lasting places.
    return SupervisorRules(intensity=intensity, in_order=False)


def backoff_of(delays: Delays | None) -> Backoff | None:
    if delays is None:
        return None
    return Backoff(
        min_s=delays.first_s, max_s=delays.later_s, jitter=0.0, reset_after_s=delays.stable_s
    )


def task_of(child: Child) -> asyncio.Task[Any]:
    name = f"{child.path}#{child.tries}"
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == name]
    return task


def seen(supervisor: Supervisor) -> list[tuple[str, str, int, int, int]]:
    return [
        (info.id, info.state.value, info.incarnation, info.restarts, info.leaked)
        for info in supervisor.which_children()
    ]


def expected(model: System, supervisor: Supervision) -> list[tuple[str, str, int, int, int]]:
    return [
        (child.node.id, child.state, child.tries, child.restarts, len(model.leaked[child.path]))
        for child in supervisor.children
    ]


def told_by(event: Event) -> str | None:
    match event.fact:
        case ChildStarted(incarnation=incarnation, leaked=leaked):
            return f"started {event.agent}#{incarnation}" + (f" beside {leaked}" if leaked else "")
        case ChildTerminated(incarnation=incarnation):
            return f"ended {event.agent}#{incarnation}"
        case ChildIgnored():
            return f"ignored {event.agent}"
        case ChildStartFailed():
            return f"failed to start {event.agent}"
        case RestartDelayed():
            return f"delayed {event.agent}"
        case ChildLeaked():
            return f"leaked {event.agent}"
        case LeakEnded(incarnation=incarnation):
            return f"{event.agent}#{incarnation} is gone"
        case RestartIntensityReached(supervisor=supervisor):
            return f"{supervisor} gave up"
        case _:
            return None


def chosen(some: Sequence[T], place: int) -> T:
    return some[place % len(some)]


# One failure at a time: each is worth its own repair, and looking for others takes long.
SETTINGS = settings(report_multiple_bugs=False)


def test_supervisors_do_what_otp_says() -> None:
    run_state_machine_as_test(
        Supervisors, settings=settings(SETTINGS, max_examples=40, stateful_step_count=12)
    )


@pytest.mark.slow
def test_supervisors_do_what_otp_says_in_many_stories() -> None:
    run_state_machine_as_test(
        Supervisors, settings=settings(SETTINGS, max_examples=500, stateful_step_count=25)
    )
