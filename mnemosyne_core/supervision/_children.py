"""A supervisor's children: who they are, and the steps that it takes with them.

Starting, stopping and burying are here; when to do which is the supervisor's. A
child is entered in the table before its start is awaited, so whatever interrupts
the supervisor, `stop_all` and `kill_all` find everybody there is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import ActorDownError, ActorStateError, StartError, UnknownChildError
from mnemosyne_core.events import (
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Fact,
    MessageDropped,
    Recorder,
)
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._news import News
from mnemosyne_core.supervision._restart import Restart
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec


class ChildState(StrEnum):
    """What a child is doing."""

    RUNNING = auto()
    RESTARTING = auto()
    """It ended, and its supervisor is about to start it, or to try again."""

    STOPPED = auto()
    """It has ended or never started; its spec is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildInfo:
    """A child as it is in one moment."""

    id: str
    path: str
    kind: ChildKind
    state: ChildState
    incarnation: int
    """Counts the starts that were tried, from 1; 0 before the first."""

    restarts: int
    """How often its supervisor has restarted it, for its own or a sibling's sake."""

    last_exit: str | None
    """Why it ended last, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCount:
    """How many children a supervisor has."""

    specs: int
    active: int
    """Those that run."""

    supervisors: int
    workers: int


class Child:
    """One row of the table: a spec and its present incarnation."""

    def __init__(self, spec: ChildSpec, path: str) -> None:
        """A child that has not been started."""
        self.spec = spec
        self.path = path
        self.life: Incarnation | None = None
        self.incarnation = 0
        self.restarts = 0
        self.restarting = False
        self.last_exit: Exit | None = None

    @property
    def state(self) -> ChildState:
        """What it is doing."""
        if self.life is not None and self.life.did_start:
            return ChildState.RUNNING
        return ChildState.RESTARTING if self.restarting else ChildState.STOPPED

    @property
    def body(self) -> Body:
        """What runs in its present incarnation.

        Raises:
            ActorDownError: Nothing does.
        """
        if self.life is None or not self.life.did_start:
            last = f", last exit: {self.last_exit.reason}" if self.last_exit is not None else ""
            raise ActorDownError(path=self.path, reason=f"{self.state}{last}")
        return self.life.body

    def info(self) -> ChildInfo:
        """The child as it is now."""
        return ChildInfo(
            id=self.spec.id,
            path=self.path,
            kind=self.spec.kind,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            last_exit=self.last_exit.reason if self.last_exit is not None else None,
        )


@dataclass(frozen=True, slots=True)
class FailedStart:
    """A start that came to nothing, and the event that says so."""

    child: Child
    end: Exit
    seq: int | None

    def error(self, *, undone: bool) -> BaseException:
        """What to raise for it: a `StartError`, or an abort as itself.

        Args:
            undone: Whether the whole supervisor was starting, and is undone.
        """
        cause = self.end.error
        if cause is not None and not isinstance(cause, Exception):
            return cause
        start_error = StartError(path=self.child.path, reason=self.end.reason, undone=undone)
        start_error.__cause__ = cause
        return start_error


class Children:
    """The children of one supervisor, in start order."""

    def __init__(
        self,
        *,
        supervisor: str,
        prefix: str,
        recorder: Recorder,
        clock: Clock,
        kill_grace_s: float,
        news: News,
        embody: Callable[[ChildSpec, Place], Body],
        on_exit: Callable[[Child, Incarnation], None],
    ) -> None:
        """No children yet.

        Args:
            supervisor: Their supervisor's path.
            prefix: What their paths begin with.
            recorder: Where their starts and ends are recorded.
            clock: What they are given.
            kill_grace_s: How long a cancelled child has to end, in seconds.
            news: Told of every start and end.
            embody: Calls a spec's `start` and makes something that can run of the result.
            on_exit: Called when an incarnation has ended, whoever wanted that.
        """
        self.failure: BaseException | None = None
        """What makes going on impossible: an abort, or a recorder that fails."""
        self._supervisor = supervisor
        self._prefix = prefix
        self._recorder = recorder
        self._clock = clock
        self._kill_grace_s = kill_grace_s
        self._news = news
        self._embody = embody
        self._on_exit = on_exit
        self._table: dict[str, Child] = {}
        self._starting: Incarnation | None = None
        self._no_more_starts = False

    # --- the table ---------------------------------------------------------------------

    @property
    def ids(self) -> tuple[str, ...]:
        """The children's ids."""
        return tuple(self._table)

    def all(self) -> tuple[Child, ...]:
        """The children."""
        return tuple(self._table.values())

    def find(self, child_id: str) -> Child | None:
        """The child called `child_id`, if there is one."""
        return self._table.get(child_id)

    def get(self, child_id: str) -> Child:
        """The child called `child_id`.

        Raises:
            UnknownChildError: There is none.
        """
        child = self._table.get(child_id)
        if child is None:
            raise UnknownChildError(supervisor=self._supervisor, child=child_id, known=self.ids)
        return child

    def get_stopped(self, child_id: str) -> Child:
        """The child called `child_id`, which neither runs nor is about to.

        Raises:
            UnknownChildError: There is none.
            ActorStateError: It is not stopped.
        """
        child = self.get(child_id)
        if child.state is not ChildState.STOPPED:
            raise ActorStateError(
                path=child.path, state=child.state, hint="await terminate_child first"
            )
        return child

    def add(self, spec: ChildSpec) -> Child:
        """Enter a child that has not been started, as the last one."""
        child = Child(spec, self._prefix + spec.id)
        self._table[spec.id] = child
        return child

    def remove(self, child: Child) -> None:
        """Forget a child that does not run."""
        self._table.pop(child.spec.id, None)

    # --- start -------------------------------------------------------------------------

    async def start(self, child: Child, *, by: int | None) -> FailedStart | None:
        """Start `child` and wait until its start has succeeded or failed."""
        if self._no_more_starts:
            return FailedStart(child, Exit(ExitKind.SHUTDOWN), None)
        child.incarnation += 1
        place = Place(
            path=child.path,
            incarnation=child.incarnation,
            by=by,
            recorder=self._recorder,
            clock=self._clock,
            kill_grace_s=self._kill_grace_s,
            news=self._news,
        )
        try:
            body = self._embody(child.spec, place)
        except BaseException as error:  # noqa: BLE001 - classified: a crash or an abort
            end = Exit.of(error)
            self._note_abort(end)
            return FailedStart(child, end, self._record_failed_start(child, end, by=by))
        life = Incarnation(body, place, child.spec, on_end=lambda life: self._ended(child, life))
        child.life = self._starting = life
        try:
            await life.started
        finally:
            self._starting = None
        if life.did_start:
            child.restarting = False
            fact = ChildStarted(child=child.spec.id, incarnation=child.incarnation)
            self.record(fact, agent=child.path, by=by)
            self._news.announce()
            return None
        return FailedStart(child, life.ended.result(), self.bury(child, by=by))

    def forbid_starts(self) -> None:
        """Start nobody from now on, and interrupt a start that is under way."""
        self._no_more_starts = True
        if self._starting is not None:
            self._starting.stop()

    # --- end ---------------------------------------------------------------------------

    async def stop(self, child: Child, *, by: int | None) -> int | None:
        """End `child` within the time that its spec gives it.

        Returns:
            The event that says so; `None` if it did not run.
        """
        life = child.life
        if life is None:
            return None
        life.stop(by=by)
        if not life.ended.done():
            await asyncio.wait((life.ended,))
        return self.bury(child, by=by)

    async def stop_all(self, *, by: int | None) -> None:
        """End everybody, the last one started first."""
        for child in reversed(self.all()):
            child.restarting = False
            await self.stop(child, by=by)

    async def kill_all(self, *, by: int | None) -> None:
        """Cancel everybody at once and bury them; takes the grace period at most.

        Cannot be interrupted; it is what an interruption leads to.
        """
        children = tuple(reversed(self.all()))
        for child in children:
            child.restarting = False
            if child.life is not None:
                child.life.kill(by=by)
        for child in children:
            while child.life is not None and not child.life.ended.done():
                try:
                    await asyncio.wait((child.life.ended,))
                except asyncio.CancelledError:
                    # Whoever sends it waits for what is being done here already.
                    continue
            self.bury(child, by=by)

    def bury(self, child: Child, *, by: int | None = None) -> int | None:
        """Record the end of `child`'s incarnation, which has come, and let go of it.

        Args:
            child: A child whose incarnation has ended; nothing happens without one.
            by: What led to the end if the supervisor wanted it.

        Returns:
            The sequence number of the event.
        """
        life = child.life
        if life is None:
            return None
        end = life.ended.result()
        child.life = None
        child.last_exit = end
        self._news.announce()
        if life.did_start:
            seq = self._record_end(child, life, end, by=by)
        else:
            seq = self._record_failed_start(child, end, by=by)
        if life.leaked:
            patience_s = child.spec.shutdown_s
            fact = ChildLeaked(
                child=child.spec.id,
                shutdown_s=patience_s if math.isfinite(patience_s) else self._kill_grace_s,
            )
            self.record(fact, agent=child.path, by=seq)
        if life.did_start and child.spec.restart is Restart.TEMPORARY:
            self.remove(child)
        return seq

    def record(self, fact: Fact, *, agent: str, by: int | None) -> int | None:
        """Record `fact`; a recorder that fails becomes the `failure` and stops nobody here.

        The same goes for an abort that comes by way of the recorder: the children are
        stopped all the same.

        Returns:
            The event's sequence number.
        """
        try:
            return self._recorder.record(fact, agent=agent, by=by).seq
        except BaseException as error:  # noqa: BLE001 - kept; the children must be stopped first
            self._note_failure(error)
            return None

    def _record_end(
        self, child: Child, life: Incarnation, end: Exit, *, by: int | None
    ) -> int | None:
        fact = ChildTerminated(
            child=child.spec.id,
            incarnation=life.number,
            reason=end.reason,
            abnormal=end.abnormal or end.error is not None,
        )
        cause = by if life.asked else life.body.by
        seq = self.record(fact, agent=child.path, by=cause)
        for message in life.body.dropped:
            dropped = MessageDropped(message=type(message).__name__, reason=end.reason)
            self.record(dropped, agent=child.path, by=seq)
        return seq

    def _record_failed_start(self, child: Child, end: Exit, *, by: int | None) -> int | None:
        child.last_exit = end
        fact = ChildStartFailed(child=child.spec.id, reason=end.reason)
        return self.record(fact, agent=child.path, by=by)

    def _ended(self, child: Child, life: Incarnation) -> None:
        self._note_abort(life.ended.result())
        self._on_exit(child, life)

    def _note_abort(self, end: Exit) -> None:
        if end.kind is not ExitKind.ABORT or end.error is None:
            return
        self._note_failure(end.error)
        # A start under way may wait for an answer that will not come any more.
        self.forbid_starts()

    def _note_failure(self, error: BaseException) -> None:
        is_graver = isinstance(self.failure, Exception) and not isinstance(error, Exception)
        if self.failure is None or is_graver:
            self.failure = error
