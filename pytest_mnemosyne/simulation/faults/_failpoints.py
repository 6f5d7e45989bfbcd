"""A plan at the failpoints of a running system."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mnemosyne_core import lane
from mnemosyne_core.errors import MnemosyneError
from pytest_mnemosyne.simulation.faults._actor import (
    Crash,
    ExitNormally,
    ForeignCancel,
    Hang,
    LeakTask,
    Slow,
    SwallowCancel,
)
from pytest_mnemosyne.simulation.faults._address import Moment
from pytest_mnemosyne.simulation.faults._errors import InjectedCrashError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion
from pytest_mnemosyne.simulation.faults._faulty_actor import FaultyActor
from pytest_mnemosyne.simulation.faults._faulty_bus import FaultySubscription
from pytest_mnemosyne.simulation.faults._faulty_mailbox import FaultyMailbox
from pytest_mnemosyne.simulation.faults._faulty_process import FaultyProcess
from pytest_mnemosyne.simulation.faults._limbo import Limbo
from pytest_mnemosyne.simulation.faults._plan import FaultPlan
from pytest_mnemosyne.simulation.faults._running import RunningPlan, Strike
from pytest_mnemosyne.simulation.faults._supervisor import ParentDies

if TYPE_CHECKING:
    from mnemosyne_core.observe import Subscription
    from mnemosyne_core.supervision import Actor
    from mnemosyne_core.supervision._incarnation import Place


class PlannedFailpoints:
    """Lets go wrong what a plan says; give it to a supervisor, a tree, a bridge.

    What a plan keeps from ending (`swallow_cancel`, `leak_task`) is let go by `release`.
    """

    def __init__(self, plan: FaultPlan | RunningPlan) -> None:
        """Take a plan; one that is running may say what goes wrong elsewhere, too."""
        self.running = plan if isinstance(plan, RunningPlan) else RunningPlan(plan)
        """The plan, and how far it has come."""
        self._limbo = Limbo()
        self._alive: dict[str, FaultyActor] = {}
        self._racing: set[str] = set()
        self._processes: Counter[str] = Counter()
        self.running.on_add(self._look_again)

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """What has happened so far, in order."""
        return self.running.strikes

    def check_met(self) -> None:
        """Check that everything that is sure to be met was met.

        Raises:
            FaultsNotMetError: Something was not.
        """
        self.running.check_met()

    async def release(self) -> None:
        """Let everybody go who will not end, from now on, and wait until they have."""
        await self._limbo.release()

    # --- actors ----------------------------------------------------------------------------

    def actor(self, actor: Actor, place: Place) -> Actor:
        """The actor, as it is behind a wrapper."""
        return FaultyActor.around(actor, self, place)

    async def coroutine(self, place: Place) -> None:
        """Go through what happens at the start of a coroutine."""
        moment = Moment(agent=place.path, attempt=place.incarnation)
        armed = self.running.reach(
            Occasion.START,
            moment,
            # It has no way to end but to be awaited.
            can_strike=lambda fault: not isinstance(fault, ExitNormally),
        )
        if armed is not None and armed.strikes():
            await self.undergo(armed.fault, place.path, Occasion.START)

    async def undergo(self, fault: Fault, path: str, occasion: Occasion) -> None:
        """Let a fault happen to whoever runs this, in its own task."""
        match fault:
            case Crash():
                raise InjectedCrashError(f"{path} crashes at a {occasion}")
            case Hang():
                await asyncio.get_running_loop().create_future()
            case SwallowCancel():
                await self._limbo.stay()
            case Slow():
                await asyncio.sleep(fault.drawn_s(self.running.draws))
            case ForeignCancel():
                await _be_cancelled()
            case LeakTask():
                self._limbo.leave_behind(name=f"{path}: leaked on purpose")

    def enter(self, actor: FaultyActor) -> None:
        """Somebody begins to live at a path."""
        self._alive[actor.path] = actor

    def leave(self, actor: FaultyActor) -> None:
        """Somebody ends."""
        if self._alive.get(actor.path) is actor:
            del self._alive[actor.path]

    def _look_again(self) -> None:
        for actor in tuple(self._alive.values()):
            actor.look_again()

    def asked(self, message: str) -> None:
        """Whoever runs this has asked somebody; it may die of it."""
        asker = lane.current.get()
        actor = None if asker is None else self._alive.get(asker.agent)
        if actor is not None:
            self._crash(actor, Occasion.ASK, "while it waits for an answer", message=message)

    # --- supervisors -----------------------------------------------------------------------

    async def restarting(self, supervisor: str, children: Sequence[str]) -> None:
        """Let children crash that run, or the supervisor itself."""
        for actor in self._living(children):
            self._crash(actor, Occasion.RESTART, "while another child is started again")
        armed = self.running.reach(Occasion.STEP, Moment(agent=supervisor))
        if armed is None or not armed.strikes():
            return
        assert isinstance(armed.fault, ParentDies)
        if armed.fault.how == "cancel":
            await _be_cancelled()
        raise InjectedCrashError(f"supervisor {supervisor} dies in the middle of a restart")

    async def stopping(self, supervisor: str, children: Sequence[str]) -> None:  # noqa: ARG002
        """Let children crash that are about to be stopped."""
        for actor in self._living(children):
            self._crash(actor, Occasion.SHUTDOWN, "while its supervisor stops")

    async def starting_child(self, path: str, again: Callable[[], Awaitable[object]]) -> None:
        """Let somebody else be quicker."""
        if path in self._racing:
            # This is the one who is quicker.
            return
        armed = self.running.reach(Occasion.START_BY_HAND, Moment(agent=path))
        if armed is None or not armed.strikes():
            return
        self._racing.add(path)
        try:
            # What keeps it from starting will keep the other one, too, who is told then.
            with suppress(MnemosyneError):
                await again()
        finally:
            self._racing.discard(path)

    def _living(self, paths: Sequence[str]) -> list[FaultyActor]:
        found = [self._alive.get(path) for path in paths]
        return [actor for actor in found if actor is not None and actor.is_alive]

    def _crash(
        self, actor: FaultyActor, occasion: Occasion, when: str, *, message: str | None = None
    ) -> None:
        armed = self.running.reach(occasion, actor.moment(message))
        if armed is not None and armed.strikes():
            actor.crash(when)

    # --- messages and events ---------------------------------------------------------------

    def mailbox(self, place: Place) -> type[FaultyMailbox]:
        """The class of a mailbox in front of which messages go astray."""
        moment = Moment(agent=place.path, attempt=place.incarnation)
        return FaultyMailbox.of(self, moment)

    def subscription(self) -> type[Subscription]:
        """The class of a subscription whose reader is slow."""
        reader = lane.current.get()
        return FaultySubscription.of(self.running, None if reader is None else reader.agent)

    # --- processes -------------------------------------------------------------------------

    def process(self, path: str) -> FaultyProcess:
        """What happens to the next process of the agent at `path`."""
        self._processes[path] += 1
        return FaultyProcess(self.running, Moment(agent=path, attempt=self._processes[path]))


async def _be_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    task.cancel()
    await asyncio.sleep(0)
