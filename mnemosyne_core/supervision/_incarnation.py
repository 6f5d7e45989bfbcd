"""One life of one child: the task it runs in, and an end that always comes.

Asking, waiting, cancelling and giving up are timers here and not a wait in the
supervisor, so a child that is slow to end keeps nobody from restarting another.
Stopping goes: `stop` asks; after the child's shutdown time it is cancelled; after
a grace period it is left behind and said to be leaked. A task that swallows its
cancellation cannot be killed inside an event loop, only named.
"""

from __future__ import annotations

import abc
import asyncio
import contextvars
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from mnemosyne_core import lane
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import StartTimeoutError
from mnemosyne_core.events import Recorder
from mnemosyne_core.failpoints import Failpoints
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._leaks import Leaks
from mnemosyne_core.supervision._news import News
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec, Shutdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What all who stand below one supervisor are given alike."""

    recorder: Recorder
    clock: Clock
    random: Random
    kill_grace_s: float
    news: News
    leaks: Leaks
    failpoints: Failpoints | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the tree an incarnation stands, and what it is given there."""

    path: str
    incarnation: int
    by: int | None
    """Sequence number of the event that led to this start."""

    given: Given


class Body(abc.ABC):
    """What runs inside an incarnation: an actor, a supervisor, or a coroutine."""

    kind: ChildKind = ChildKind.WORKER

    @property
    def by(self) -> int | None:
        """Sequence number of the event that led to its end, as far as it knows."""
        return None

    @property
    def dropped(self) -> tuple[object, ...]:
        """Messages that it will never take."""
        return ()

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """Tasks of its own that have not ended."""
        return ()

    @property
    def owned(self) -> Incarnation | None:
        """One that it started itself, that ends with it, and that must be over before it."""
        return None

    @abc.abstractmethod
    async def run(self, life: Incarnation) -> Exit | None:
        """Start, say so with `life.announce_started`, and go on until the end.

        Returns:
            How it ended, if returning from here is not the whole truth.
        """

    @abc.abstractmethod
    def ask_to_stop(self, life: Incarnation, *, by: int | None) -> None:
        """Have it end soon; called more than once. Does not wait."""

    @abc.abstractmethod
    def ended(self, end: Exit) -> None:
        """Its task has ended or was left behind; whoever waits for it must be told."""


class Incarnation:
    """A body in its task, from the start to the end."""

    def __init__(
        self,
        body: Body,
        place: Place,
        spec: ChildSpec,
        *,
        on_end: Callable[[Incarnation], None],
    ) -> None:
        """Start `body` in a task of its own.

        Args:
            body: What to run; it runs once.
            place: Where it stands.
            spec: How it is stopped.
            on_end: Called once, when it has ended or was left behind.
        """
        loop = asyncio.get_running_loop()
        self.body = body
        self.number = place.incarnation
        self.started: asyncio.Future[None] = loop.create_future()
        """Done when the start has succeeded or failed; `did_start` says which."""
        self.did_start = False
        self.ended: asyncio.Future[Exit] = loop.create_future()
        """Done at the end; wait for it with `asyncio.wait`, which does not cancel it."""
        self.leaked = False
        """Whether it would not end and was left behind."""
        self.asked = False
        """Whether the supervisor wanted the end."""
        self.overran = False
        """Whether its time was up before it had ended, so that it was cancelled."""
        self.ran_s = 0.0
        """How long it ran once it had started, at its end, in seconds of the loop's time."""
        self._started_s = 0.0
        self._killed = False
        self._overran_start = False
        self._spec = spec
        self._place = place
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        """Until the end is overdue."""
        self._start_timer: asyncio.TimerHandle | None = None
        context = contextvars.copy_context()
        context.run(lane.current.set, lane.Lane(place.path))
        self.task: asyncio.Task[Exit | None] = loop.create_task(
            body.run(self), name=f"{place.path}#{place.incarnation}", context=context
        )
        self.task.add_done_callback(self._task_ended)
        if spec.start_timeout_s is not None:
            self._start_timer = loop.call_later(spec.start_timeout_s, self._interrupt_start)

    # --- said by the body --------------------------------------------------------------

    def announce_started(self) -> None:
        """The start has succeeded; too late if it was interrupted for its length."""
        if self._overran_start:
            return
        self.did_start = True
        self._started_s = asyncio.get_running_loop().time()
        self._disarm_start()
        if not self.started.done():
            self.started.set_result(None)

    def announce_ending(self) -> None:
        """The body is on its way out by itself; from here its time is bounded too."""
        self._arm()

    # --- said by the supervisor --------------------------------------------------------

    def stop(self, *, by: int | None = None) -> None:
        """Ask for the end, and see to it that it comes."""
        if self.ended.done():
            return
        self.asked = True
        self._disarm_start()
        if self._spec.shutdown is Shutdown.BRUTAL_KILL:
            self.kill(by=by)
        else:
            self.body.ask_to_stop(self, by=by)
            self._arm()

    def kill(self, *, by: int | None = None) -> None:
        """Cancel it, and leave it behind if that does not help."""
        if self.ended.done() or self._killed:
            return
        self.asked = self._killed = True
        self._disarm_start()
        self.body.ask_to_stop(self, by=by)
        self._overdue()

    # --- the end -----------------------------------------------------------------------

    def _interrupt_start(self) -> None:
        self._overran_start = True
        self.stop()

    def _arm(self) -> None:
        if self._timer is not None or self._killed or self.ended.done():
            return
        if self._spec.shutdown_s < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._spec.shutdown_s, self._time_is_up)

    def _time_is_up(self) -> None:
        self.overran = True
        self._overdue()

    def _overdue(self) -> None:
        self._killed = True
        self.task.cancel()
        self._disarm()
        # A supervisor is never left behind: it bounds its own children, so it does end.
        if self.body.kind is ChildKind.SUPERVISOR:
            return
        owned = self.body.owned
        if owned is None or owned.ended.done():
            self._grant_grace()
        else:
            owned.kill()
            owned.ended.add_done_callback(lambda _: self._grant_grace())

    def _grant_grace(self) -> None:
        if not self.ended.done():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._place.given.kill_grace_s, self._leave_behind)

    def _leave_behind(self) -> None:
        self.leaked = True
        self._finish(Exit(ExitKind.KILLED))
        # An actor that only waits for a task of its own can go now.
        self.task.cancel()

    def _task_ended(self, task: asyncio.Task[Exit | None]) -> None:
        # Reading the exception tells asyncio that somebody cares.
        error = None if task.cancelled() else task.exception()
        if self.ended.done():
            return
        self._finish(self._classify(task, error))

    def _classify(self, task: asyncio.Task[Exit | None], error: BaseException | None) -> Exit:
        if error is not None:
            return Exit.of(error) if self.did_start else Exit.of_start(error)
        if task.cancelled():
            wanted = self.asked and (
                not self._killed or self._spec.shutdown is Shutdown.BRUTAL_KILL
            )
            return Exit(ExitKind.SHUTDOWN if wanted else ExitKind.KILLED)
        result = task.result()
        if result is not None:
            return result
        return Exit(ExitKind.SHUTDOWN if self.asked else ExitKind.NORMAL)

    def _finish(self, end: Exit) -> None:
        self._disarm()
        self._disarm_start()
        timeout_s = self._spec.start_timeout_s
        if self._overran_start and timeout_s is not None and end.kind is not ExitKind.ABORT:
            late = StartTimeoutError(path=self._place.path, timeout_s=timeout_s)
            end = Exit(ExitKind.CRASH, late)
        if self.did_start:
            self.ran_s = asyncio.get_running_loop().time() - self._started_s
        self.body.ended(end)
        self.ended.set_result(end)
        if not self.started.done():
            self.started.set_result(None)
        self._on_end(self)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _disarm_start(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None
