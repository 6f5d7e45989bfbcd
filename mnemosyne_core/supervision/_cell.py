"""The machine around an actor: its mailbox, its tasks, and the asks it owes an answer.

An actor ends in one of three ways: it is asked to (its mailbox is closed, the message in
hand is finished), its own code raises, or it is struck: by the failure of a task of its
own, of a linked actor, or of a supervisor that it owns. A stroke interrupts the message
in hand. Whichever it was, the way out is the same: `stopping`, the tasks, the owned
supervisor, and then everybody who waits is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mnemosyne_core.errors import ActorStateError
from mnemosyne_core.supervision._actor import Actor, Context
from mnemosyne_core.supervision._exit import LOOP_BREAKERS, Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._links import link, part, unlink
from mnemosyne_core.supervision._mailbox import Mailbox, MailboxClosedError
from mnemosyne_core.supervision._monitors import Monitor
from mnemosyne_core.supervision._owned import OwnedSupervisor
from mnemosyne_core.supervision._ref import TO_NOBODY, Envelope, Ref, Reply, cell_of

if TYPE_CHECKING:
    from types import CoroutineType

    from mnemosyne_core.supervision._supervisor import Supervisor

T = TypeVar("T")

_MESSAGES_PER_TURN = 64
"""Messages that an actor handles before it lets the others run, should it never wait."""


class ActorCell(Body):
    """One incarnation of an actor."""

    def __init__(self, actor: Actor, place: Place) -> None:
        """The cell of `actor`, which must not be in another one."""
        self.place = place
        self.ref = Ref(self)
        self.closed = False
        """Whether messages are refused: the actor has ended or is about to."""
        self.exit: Exit | None = None
        """How the actor ended, once it has."""
        self.traps_exits = actor.trap_exit
        # Dicts for sets, here and below: they keep their order, so a run can be repeated.
        self.links: dict[ActorCell, None] = {}
        self.monitors: dict[Monitor, None] = {}
        """Those of this actor over others."""
        fail = place.given.failpoints
        self._actor = actor if fail is None else fail.actor(actor, place)
        make_mailbox: type[Mailbox[Envelope | None]]
        make_mailbox = Mailbox if fail is None else fail.mailbox(place)
        self._mailbox = make_mailbox(
            path=place.path, capacity=actor.mailbox_capacity, overflow=actor.mailbox_overflow
        )
        self._in_hand = Envelope(None, place.by, Reply(None))
        self._asks: dict[asyncio.Future[object], None] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._watchers: dict[Callable[[Exit], None], None] = {}
        self._owned: OwnedSupervisor | None = None
        self._life: Incarnation | None = None
        self._fate: Exit | None = None
        """How the actor ends because of what struck it."""
        self._fate_by: int | None = None
        self._end: Exit | None = None
        """How the actor ends, as far as that is known."""
        self._ending = False
        self._dropped: list[object] = []

    # --- messages ----------------------------------------------------------------------

    async def deliver(self, envelope: Envelope) -> None:
        """Put `envelope` into the mailbox, if need be and if it may once there is room."""
        try:
            await self._mailbox.put(envelope)
        except MailboxClosedError:
            raise self._down() from None

    def deliver_nowait(self, envelope: Envelope) -> None:
        """Put `envelope` into the mailbox or refuse it."""
        try:
            self._mailbox.put_nowait(envelope)
        except MailboxClosedError:
            raise self._down() from None

    def owe_answer(self) -> asyncio.Future[object]:
        """A future for an answer; it fails when the actor ends first."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._asks[future] = None
        return future

    def forget_ask(self, future: asyncio.Future[object]) -> None:
        """Nobody waits for that answer any more."""
        self._asks.pop(future, None)
        if not future.done():
            future.cancel()
        elif not future.cancelled():
            # Reading the exception tells asyncio that somebody cares.
            future.exception()

    def signal(self, message: object, *, by: int | None) -> Envelope:
        """Put `message` before all users' messages; an actor that is ending never sees it."""
        envelope = Envelope(message, by, TO_NOBODY)
        if not self.closed:
            self._mailbox.put_system(envelope)
        return envelope

    def recall(self, signal: Envelope) -> None:
        """Take `signal` back, if the actor has not taken it."""
        self._mailbox.take_back(signal)

    def close_down(self, end: Exit) -> None:
        """Refuse further messages, drop those that wait, and end after the one in hand.

        Args:
            end: Why; what those are told who sent a message or wait for an answer.
        """
        if self._end is None:
            self._end = end
        if self.closed:
            return
        self.closed = True
        for envelope in self._mailbox.close():
            if envelope is not None:
                self._dropped.append(envelope.message)
                envelope.reply.fail(self._down())
        self._mailbox.put_system(None)

    def _down(self) -> BaseException:
        end = self._end or Exit(ExitKind.NORMAL)
        return end.down(self.place.path)

    # --- others' ends ------------------------------------------------------------------

    def watch(self, tell: Callable[[Exit], None]) -> None:
        """Have `tell` called at the actor's end, or now if it has come."""
        if self.exit is None:
            self._watchers[tell] = None
        else:
            tell(self.exit)

    def unwatch(self, tell: Callable[[Exit], None]) -> None:
        """Undo `watch`."""
        self._watchers.pop(tell, None)

    def monitor(self, ref: Ref) -> Monitor:
        """Have the actor told of the end of the one behind `ref`."""
        self._must_live()
        return Monitor(self, cell_of(ref))

    def link(self, ref: Ref) -> None:
        """Have the actor share its end with the one behind `ref`."""
        self._must_live()
        link(self, cell_of(ref))

    def unlink(self, ref: Ref) -> None:
        """Undo `link`."""
        unlink(self, cell_of(ref))

    def strike(self, fate: Exit, *, by: int | None = None) -> None:
        """End the actor, in the middle of its message.

        Args:
            fate: How it ends; of several, the gravest is told.
            by: Sequence number of the event that led to this; by default the one that
                led to the message in hand.
        """
        if self._fate is None:
            self._fate_by = by
        self._fate = _graver(self._fate, fate)
        if self._life is None:
            return
        if asyncio.current_task() is self._life.task:
            # It would be interrupted wherever it waits next, be that in `stopping`.
            asyncio.get_running_loop().call_soon(self._interrupt)
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        # The message in hand may wait for what will never come.
        if self._life is not None and not self._ending:
            self._life.task.cancel()

    # --- what belongs to the actor -----------------------------------------------------

    def spawn(self, coroutine: Coroutine[object, object, T], *, name: str) -> asyncio.Task[T]:
        """Run `coroutine` in a task that ends with the actor."""
        try:
            self._must_live()
        except BaseException:
            coroutine.close()
            raise
        name = name or getattr(coroutine, "__name__", "task")
        work = cast("CoroutineType[Any, Any, T]", self._kept_from_the_loop(coroutine))
        # So that whoever looks at the tasks finds the user's work and not ours.
        work.__qualname__ = getattr(coroutine, "__qualname__", name)
        task = asyncio.get_running_loop().create_task(work, name=f"{self.place.path}:{name}")
        self._tasks[task] = None
        task.add_done_callback(partial(self._task_ended, coroutine))
        return task

    async def _kept_from_the_loop(self, coroutine: Coroutine[object, object, T]) -> T:
        try:
            return await coroutine
        except LOOP_BREAKERS as error:
            self.strike(Exit.of(error))
            raise asyncio.CancelledError from error

    def _task_ended(self, coroutine: Coroutine[object, object, T], task: asyncio.Task[T]) -> None:
        # One that was cancelled before its first step would complain when collected.
        coroutine.close()
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.strike(Exit.of(error))

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """Tasks of the actor's that have not ended."""
        return tuple(self._tasks)

    async def supervise(self, supervisor: Supervisor, *, by: int | None) -> None:
        """Start `supervisor` as one that ends with the actor."""
        self._must_live()
        if self.closed:
            raise self._down()
        if self._owned is not None and not self._owned.life.ended.done():
            raise ActorStateError(
                path=self.place.path,
                state="the owner of a supervisor that runs",
                hint="start further children in that one, or put a supervisor into it",
            )
        owned = OwnedSupervisor(supervisor, self.place, by=by, on_failure=self.strike)
        self._owned = owned
        await owned.wait_started()

    @property
    def owned(self) -> Incarnation | None:
        """The life of the supervisor that belongs to the actor."""
        return None if self._owned is None else self._owned.life

    @property
    def owned_supervisor(self) -> Supervisor | None:
        """The supervisor that belongs to the actor, if it runs."""
        owned = self._owned
        return None if owned is None or owned.life.ended.done() else owned.supervisor

    def _must_live(self) -> None:
        if self._life is None or self.exit is not None:
            raise self._down()

    # --- life --------------------------------------------------------------------------

    @property
    def by(self) -> int | None:
        """What led to the end: the message that was in hand last, or what struck the actor."""
        return self._in_hand.by if self._fate_by is None else self._fate_by

    @property
    def dropped(self) -> tuple[object, ...]:
        """Messages that waited when the actor ended."""
        return tuple(self._dropped)

    async def run(self, life: Incarnation) -> Exit | None:
        """Start, handle messages, and clean up, whatever happens on the way."""
        self._life = life
        end: Exit | None = None
        try:
            await self._actor.started(Context(self, self._in_hand))
            if self._fate is None:
                life.announce_started()
                await self._serve()
            end = self._fate
        except BaseException as caught:  # noqa: BLE001 - kept, and told below
            end = self._true_end(Exit.of(caught))
        self._ending = True
        try:
            self._begin_ending(life, end)
            if life.did_start:
                end = await self._say_goodbye(life, end)
            end = await self._end_tasks(life, end)
            end = await self._end_owned(end)
            return self._concluded(end)
        finally:
            # The error holds this frame; without this they would keep each other.
            end = None

    def ask_to_stop(self, life: Incarnation, *, by: int | None) -> None:  # noqa: ARG002
        """End after the message in hand; a start under way is interrupted."""
        self.close_down(Exit(ExitKind.SHUTDOWN))
        if not life.did_start and not self._ending:
            life.task.cancel()

    def ended(self, end: Exit) -> None:
        """Tell everybody who waits for an answer or for this end."""
        self.exit = self._end = end
        self.close_down(end)
        for future in tuple(self._asks):
            if not future.done():
                future.set_exception(self._down())
        self._asks.clear()
        for monitor in tuple(self.monitors):
            monitor.cancel()
        part(self, end)
        watchers, self._watchers = self._watchers, {}
        for tell in watchers:
            tell(end)

    async def _serve(self) -> None:
        handled = 0
        mailbox = self._mailbox
        receive = self._actor.receive
        while True:
            # A message that is there already costs no coroutine.
            envelope = mailbox.get_nowait() if mailbox.has_message else await mailbox.get()
            if envelope is None:
                return
            self._in_hand = envelope
            answer = await receive(envelope.message, Context(self, envelope))
            if self._fate is not None:
                # It swallowed its interruption, or never waited for it.
                return
            if not envelope.deferred:
                envelope.reply.answer(answer)
            handled += 1
            if handled % _MESSAGES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _true_end(self, end: Exit) -> Exit:
        # A cancellation by which a stroke came is not the end that it stands for.
        return end if self._fate is None else _graver(self._fate, end)

    def _begin_ending(self, life: Incarnation, end: Exit | None) -> None:
        if end is not None:
            self._end = end
        self.close_down(self._end or Exit(ExitKind.NORMAL))
        if not self._in_hand.deferred:
            self._in_hand.reply.fail(self._down())
        life.announce_ending()

    async def _say_goodbye(self, life: Incarnation, end: Exit | None) -> Exit | None:
        asked = Exit(ExitKind.SHUTDOWN if life.asked else ExitKind.NORMAL)
        try:
            await self._actor.stopping(end or asked)
        except BaseException as caught:  # noqa: BLE001 - kept, and told by the caller
            return _graver(end, Exit.of(caught))
        return end

    async def _end_tasks(self, life: Incarnation, end: Exit | None) -> Exit | None:
        cancelled: set[asyncio.Task[Any]] = set()
        while self._tasks and not life.leaked:
            for task in [task for task in self._tasks if task not in cancelled]:
                task.cancel()
                cancelled.add(task)
            try:
                await asyncio.wait(tuple(self._tasks), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as caught:
                # The tasks are the actor's to end; how long that may take is the
                # incarnation's to say, which then leaves the whole actor behind.
                end = _graver(end, Exit.of(caught))
        for task in self._tasks:
            # The actor was left behind, and so are they; they must not go on all the same.
            task.cancel()
        return end

    async def _end_owned(self, end: Exit | None) -> Exit | None:
        if self._owned is not None and await self._owned.stop(by=self.by):
            end = _graver(end, Exit(ExitKind.KILLED))
        return end

    def _concluded(self, end: Exit | None) -> Exit | None:
        """What `run` ends with: what was raised here is raised on, the rest is returned."""
        if self._fate is not None:
            end = _graver(end, self._fate)
        if end is None or end is self._fate or isinstance(end.error, LOOP_BREAKERS):
            return end
        raise asyncio.CancelledError if end.error is None else end.error


def _gravity(end: Exit) -> int:
    if end.error is None:
        return 0
    return 2 if end.kind is ExitKind.ABORT else 1


def _graver(first: Exit | None, second: Exit) -> Exit:
    """The one to tell of two ends: an abort, else what has an error, else the first."""
    if first is None or _gravity(second) > _gravity(first):
        return second
    return first
