"""An actor to which things happen, around one that knows nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mnemosyne_core.supervision import Actor, Context, Exit
from pytest_mnemosyne.simulation.faults._actor import (
    Crash,
    ExitNormally,
    ForeignCancel,
)
from pytest_mnemosyne.simulation.faults._address import Moment
from pytest_mnemosyne.simulation.faults._errors import InjectedCrashError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion
from pytest_mnemosyne.simulation.faults._supervisor import CrashStorm

if TYPE_CHECKING:
    from mnemosyne_core.supervision._incarnation import Place
    from pytest_mnemosyne.simulation.faults._failpoints import PlannedFailpoints


class FaultyActor(Actor):
    """Goes through what a plan says of it, and has the real actor do the rest."""

    def __init__(self, inner: Actor, failpoints: PlannedFailpoints, place: Place) -> None:
        """Stand around `inner`; see `around`.

        Args:
            inner: The real actor.
            failpoints: What goes wrong, and who else is alive.
            place: Where the actor stands.
        """
        self.path = place.path
        self._inner = inner
        self._failpoints = failpoints
        self._running = failpoints.running
        self._incarnation = place.incarnation
        self._context: Context | None = None
        self._task: asyncio.Task[object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_at_work = True
        self._turn = 0
        """Changes with every message, so that an idle moment knows whether it is over."""
        self._counted_turn = -1
        """The turn whose idle moment was counted last."""
        self._timers: dict[Occasion, asyncio.TimerHandle] = {}

    @classmethod
    def around(cls, inner: Actor, failpoints: PlannedFailpoints, place: Place) -> Actor:
        """An actor around `inner` that has all its settings, such as the mailbox's capacity."""
        kind = type(inner)
        settings = {name: getattr(kind, name) for name in Actor.__annotations__}
        made: Actor = type(kind.__name__, (cls,), settings)(inner, failpoints, place)
        return made

    def moment(self, message: str | None = None) -> Moment:
        """A moment in its life."""
        return Moment(agent=self.path, attempt=self._incarnation, message=message)

    @property
    def is_alive(self) -> bool:
        """Whether it has begun its life, and not begun to end."""
        return self._context is not None and self._context.ref.is_alive

    def crash(self, when: str) -> None:
        """Let it crash now, whatever it is doing."""

        async def crash() -> None:
            raise InjectedCrashError(f"{self.path} crashes {when}")

        assert self._context is not None, "only who is alive crashes"
        self._context.spawn(crash(), name="injected crash")

    # --- as an actor -----------------------------------------------------------------------

    async def started(self, context: Context) -> None:
        """Go through what happens at a start, and start the real one."""
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._failpoints.enter(self)
        try:
            await self._undergo(Occasion.START, context)
            await self._inner.started(context)
        except BaseException:
            self._leave()
            raise
        self._become_idle()
        self._brew_storm()

    async def receive(self, message: object, context: Context) -> object:
        """Go through what happens to this message, and have the real one handle it."""
        self._turn += 1
        self._is_at_work = True
        await self._undergo(Occasion.MESSAGE, context, type(message).__name__)
        answer = await self._inner.receive(message, context)
        self._become_idle()
        return answer

    async def stopping(self, reason: Exit) -> None:
        """Go through what happens at the end; the real one lets go in any case."""
        self._leave()
        try:
            await self._undergo(Occasion.STOP, None)
        finally:
            await self._inner.stopping(reason)

    async def _undergo(
        self, occasion: Occasion, context: Context | None, message: str | None = None
    ) -> None:
        armed = self._running.reach(occasion, self.moment(message))
        if armed is None or not armed.strikes():
            return
        if isinstance(armed.fault, ExitNormally) and context is not None:
            context.stop()
        else:
            await self._failpoints.undergo(armed.fault, self.path, occasion)

    # --- what comes by waiting -------------------------------------------------------------

    def look_again(self) -> None:
        """The plan has grown while the actor was waiting, maybe."""
        if self.is_alive and not self._is_at_work:
            self._become_idle()
            self._brew_storm()

    def _become_idle(self) -> None:
        assert self._loop is not None, "only who has started is idle"
        self._is_at_work = False
        if self._running.has(Occasion.IDLE):
            # If another message is there, it is handled before the loop comes to this.
            self._loop.call_soon(self._idle, self._turn)

    def _idle(self, turn: int) -> None:
        if turn != self._turn or not self.is_alive:
            return
        again, self._counted_turn = turn == self._counted_turn, turn
        armed = self._running.reach(Occasion.IDLE, self.moment(), again=again)
        if armed is not None and armed.strikes():
            self._be_struck_idle(armed.fault)
            return
        waits = [in_s for _, in_s in self._running.ahead(Occasion.IDLE, self.moment()) if in_s > 0]
        if waits:
            self._later(Occasion.IDLE, min(waits), lambda: self._idle(turn))

    def _be_struck_idle(self, fault: Fault) -> None:
        assert self._context is not None
        assert self._task is not None
        match fault:
            case Crash():
                self.crash("while idle")
            case ForeignCancel():
                self._task.cancel()
            case ExitNormally():
                self._context.stop()

    def _brew_storm(self) -> None:
        for fault, in_s in self._running.ahead(Occasion.TICK, self.moment()):
            assert isinstance(fault, CrashStorm)
            self._later(Occasion.TICK, max(in_s, 1 / fault.per_s), self._tick)
            return

    def _tick(self) -> None:
        if not self.is_alive:
            return
        armed = self._running.reach(Occasion.TICK, self.moment())
        if armed is not None and armed.strikes():
            self.crash("in a storm")
        else:
            self._brew_storm()

    def _later(self, occasion: Occasion, in_s: float, action: Callable[[], None]) -> None:
        if (before := self._timers.get(occasion)) is not None:
            before.cancel()
        assert self._loop is not None, "only who has started waits"
        self._timers[occasion] = self._loop.call_later(in_s, action)

    def _leave(self) -> None:
        self._failpoints.leave(self)
        for timer in self._timers.values():
            timer.cancel()
