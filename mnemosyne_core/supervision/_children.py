"""A supervisor's children: who they are, and the steps that it takes with them.

Starting, stopping and burying are here; when to do which is the supervisor's. A
child is entered in the table before its start is awaited, so whatever interrupts
the supervisor, `stop_all` and `kill_all` find everybody there is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from mnemosyne_core.errors import ActorStateError, UnknownChildError
from mnemosyne_core.events import (
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Fact,
    LeakEnded,
    MessageDropped,
    Occasion,
)
from mnemosyne_core.supervision._child import Child, FailedStart
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._info import ChildState
from mnemosyne_core.supervision._restart import Restart
from mnemosyne_core.supervision._spec import ChildSpec


class Children:
    """The children of one supervisor, in start order."""

    def __init__(
        self,
        place: Place,
        *,
        prefix: str,
        forgets: bool,
        embody: Callable[[ChildSpec, Place], Body],
        on_exit: Callable[[Child, Incarnation], None],
    ) -> None:
        """No children yet.

        Args:
            place: Their supervisor's; they are given the same things.
            prefix: What their paths begin with.
            forgets: Whether the spec of a child that has ended for good goes with it.
            embody: Calls a spec's `start` and makes something that can run of the result.
            on_exit: Called when an incarnation has ended, whoever wanted that.
        """
        self.failure: BaseException | None = None
        """What makes going on impossible: an abort, or a recorder that fails."""
        self._place = place
        self._prefix = prefix
        self._forgets = forgets
        self._embody = embody
        self._on_exit = on_exit
        self._table: dict[str, Child] = {}
        self._starting: Incarnation | None = None
        self._no_more_starts = False

    # --- the table ---------------------------------------------------------------------

    def __len__(self) -> int:
        """How many children there are."""
        return len(self._table)

    @property
    def ids(self) -> tuple[str, ...]:
        """The children's ids."""
        return tuple(self._table)

    @property
    def paths(self) -> tuple[str, ...]:
        """The children's paths."""
        return tuple(child.path for child in self._table.values())

    def path_of(self, child_id: str) -> str:
        """The path that a child called `child_id` has, or would have."""
        return self._prefix + child_id

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
            raise UnknownChildError(supervisor=self._place.path, child=child_id, known=self.ids)
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
        child = Child(spec, self.path_of(spec.id), self._place.given.leaks)
        self._table[spec.id] = child
        return child

    def remove(self, child: Child) -> None:
        """Forget a child that does not run; harmless when it is forgotten already."""
        self._table.pop(child.spec.id, None)

    def retire(self, child: Child) -> None:
        """A child has ended for good, or had nothing to run: forget it if that is the way here."""
        if self._forgets or child.spec.restart is Restart.TEMPORARY:
            self.remove(child)

    # --- start -------------------------------------------------------------------------

    async def start(
        self, child: Child, *, by: int | None, occasion: Occasion
    ) -> FailedStart | None:
        """Start `child` and wait until its start has succeeded or failed.

        A start that says that there is nothing to run has not failed; there is no
        incarnation after it all the same.
        """
        if self._no_more_starts:
            return FailedStart(child, Exit(ExitKind.SHUTDOWN), None)
        child.incarnation += 1
        place = Place(
            path=child.path, incarnation=child.incarnation, by=by, given=self._place.given
        )
        try:
            body = self._embody(child.spec, place)
        except BaseException as error:  # noqa: BLE001 - classified: ignored, a crash or an abort
            end = Exit.of_start(error)
            self._note_abort(end)
            seq = self._note_no_start(child, end, by=by, occasion=occasion)
            return None if end.kind is ExitKind.IGNORED else FailedStart(child, end, seq)
        life = Incarnation(body, place, child.spec, on_end=lambda life: self._ended(child, life))
        child.life = self._starting = life
        try:
            await life.started
        finally:
            self._starting = None
        if life.did_start:
            self._note_start(child, by=by, occasion=occasion)
            return None
        end = life.ended.result()
        seq = self.bury(child, by=by, occasion=occasion)
        return None if end.kind is ExitKind.IGNORED else FailedStart(child, end, seq)

    def forbid_starts(self) -> None:
        """Start nobody from now on, and interrupt a start that is under way."""
        self._no_more_starts = True
        if self._starting is not None:
            self._starting.stop()

    def _note_start(self, child: Child, *, by: int | None, occasion: Occasion) -> None:
        child.forget_restart()
        fact = ChildStarted(
            child=child.spec.id,
            incarnation=child.incarnation,
            leaked=child.leaked,
            supervisor=self._place.path,
            occasion=occasion,
        )
        self.record(fact, agent=child.path, by=by)
        self._place.given.news.announce()

    def _note_no_start(
        self, child: Child, end: Exit, *, by: int | None, occasion: Occasion
    ) -> int | None:
        child.last_exit = end
        self._place.given.news.announce()
        if end.kind is not ExitKind.IGNORED:
            failed = ChildStartFailed(
                child=child.spec.id,
                incarnation=child.incarnation,
                reason=end.reason,
                supervisor=self._place.path,
                occasion=occasion,
            )
            return self.record(failed, agent=child.path, by=by)
        child.forget_restart()
        self.retire(child)
        ignored = ChildIgnored(
            child=child.spec.id,
            incarnation=child.incarnation,
            reason=str(end.error),
            supervisor=self._place.path,
            occasion=occasion,
        )
        return self.record(ignored, agent=child.path, by=by)

    # --- end ---------------------------------------------------------------------------

    async def stop(self, child: Child, *, by: int | None, occasion: Occasion) -> int | None:
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
        return self.bury(child, by=by, occasion=occasion)

    async def stop_all(self, *, by: int | None) -> None:
        """End everybody, the last one started first, one after the other."""
        for child in reversed(self.all()):
            child.forget_restart()
            await self.stop(child, by=by, occasion=Occasion.SHUTDOWN)

    async def stop_together(self, *, by: int | None) -> None:
        """End everybody at once: it takes as long as the one that takes longest."""
        for child in reversed(self.all()):
            child.forget_restart()
            if child.life is not None:
                child.life.stop(by=by)
        await self.stop_all(by=by)

    async def kill_all(self, *, by: int | None) -> None:
        """Cancel everybody at once and bury them; takes the grace period at most.

        Cannot be interrupted; it is what an interruption leads to.
        """
        children = tuple(reversed(self.all()))
        for child in children:
            child.forget_restart()
            if child.life is not None:
                child.life.kill(by=by)
        for child in children:
            while child.life is not None and not child.life.ended.done():
                try:
                    await asyncio.wait((child.life.ended,))
                except asyncio.CancelledError:
                    # Whoever sends it waits for what is being done here already.
                    continue
            self.bury(child, by=by, occasion=Occasion.SHUTDOWN)

    def bury(
        self, child: Child, *, by: int | None = None, occasion: Occasion = Occasion.RUNNING
    ) -> int | None:
        """Record the end of `child`'s incarnation, which has come, and let go of it.

        Args:
            child: A child whose incarnation has ended; nothing happens without one.
            by: What led to the end if the supervisor wanted it.
            occasion: What the supervisor wanted it for, or started it for.

        Returns:
            The sequence number of the event.
        """
        life = child.life
        if life is None:
            return None
        end = life.ended.result()
        child.life = None
        if not life.did_start:
            seq = self._note_no_start(child, end, by=by, occasion=occasion)
        else:
            seq = self._note_end(child, life, end, by=by, occasion=occasion)
        if life.leaked:
            self._note_leak(child, life, by=seq)
        return seq

    def record(self, fact: Fact, *, agent: str, by: int | None) -> int | None:
        """Record `fact`; a recorder that fails becomes the `failure` and stops nobody here.

        The same goes for an abort that comes by way of the recorder: the children are
        stopped all the same.

        Returns:
            The event's sequence number.
        """
        try:
            return self._place.given.recorder.record(fact, agent=agent, by=by).seq
        except BaseException as error:  # noqa: BLE001 - kept; the children must be stopped first
            self._note_failure(error)
            return None

    def _note_end(
        self, child: Child, life: Incarnation, end: Exit, *, by: int | None, occasion: Occasion
    ) -> int | None:
        child.last_exit = end
        backoff = child.spec.backoff
        if backoff is not None and life.ran_s >= backoff.stable_s:
            child.in_a_row = 0
        if child.spec.restart is Restart.TEMPORARY:
            self.remove(child)
        self._place.given.news.announce()
        occasion = occasion if life.asked else Occasion.RUNNING
        fact = ChildTerminated(
            child=child.spec.id,
            incarnation=life.number,
            reason=end.reason,
            abnormal=end.abnormal or end.error is not None,
            supervisor=self._place.path,
            occasion=occasion,
        )
        seq = self.record(fact, agent=child.path, by=by if life.asked else life.body.by)
        for message in life.body.dropped:
            dropped = MessageDropped(message=type(message).__name__, reason=end.reason)
            self.record(dropped, agent=child.path, by=seq)
        if life.asked and (end.kind is ExitKind.CRASH or _was_killed(life, end)):
            failed = ChildShutdownFailed(
                child=child.spec.id,
                incarnation=life.number,
                reason=end.reason,
                supervisor=self._place.path,
                occasion=occasion,
            )
            self.record(failed, agent=child.path, by=seq)
        return seq

    def _note_leak(self, child: Child, life: Incarnation, *, by: int | None) -> None:
        patience_s = child.spec.shutdown_s
        fact = ChildLeaked(
            child=child.spec.id,
            incarnation=life.number,
            shutdown_s=patience_s if math.isfinite(patience_s) else self._place.given.kill_grace_s,
            supervisor=self._place.path,
        )
        seq = self.record(fact, agent=child.path, by=by)

        def ended() -> None:
            over = LeakEnded(child=child.spec.id, incarnation=life.number, leaked=child.leaked)
            self.record(over, agent=child.path, by=seq)

        self._place.given.leaks.add(child.path, life, on_end=ended)

    # --- what ends the supervisor ------------------------------------------------------

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


def _was_killed(life: Incarnation, end: Exit) -> bool:
    """Whether its supervisor had to kill it; one that was left behind is reported as that."""
    return end.kind is ExitKind.KILLED and life.overran and not life.leaked
