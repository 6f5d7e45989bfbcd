"""The machine around an actor: its mailbox, its tasks, and the asks it owes an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mnemosyne_core.supervision._actor import Actor, Context
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._mailbox import Mailbox, MailboxClosedError
from mnemosyne_core.supervision._ref import Envelope, Ref, Reply

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
        self._actor = actor
        self._mailbox: Mailbox[Envelope | None] = Mailbox(
            path=place.path, capacity=actor.mailbox_capacity
        )
        self._in_hand = Envelope(None, place.by, Reply(None))
        # Dicts for sets: they keep their order, so a run can be repeated.
        self._asks: dict[asyncio.Future[object], None] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._task_failure: BaseException | None = None
        self._life: Incarnation | None = None
        self._end: Exit | None = None
        """How the actor ends, as far as that is known."""
        self._ending = False
        self._dropped: list[object] = []

    # --- messages ----------------------------------------------------------------------

    async def deliver(self, envelope: Envelope) -> None:
        """Put `envelope` into the mailbox, waiting for room."""
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

    @contextmanager
    def awaiting_answer(self) -> Iterator[asyncio.Future[object]]:
        """A future for an answer; it fails when the actor ends first."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._asks[future] = None
        try:
            yield future
        finally:
            self._asks.pop(future, None)
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                # Reading the exception tells asyncio that somebody cares.
                future.exception()

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

    # --- the actor's own tasks ---------------------------------------------------------

    def spawn(self, coroutine: Coroutine[object, object, T], *, name: str) -> asyncio.Task[T]:
        """Run `coroutine` in a task that ends with the actor."""
        if self._life is None or self._life.ended.done():
            coroutine.close()
            raise self._down()
        name = name or getattr(coroutine, "__name__", "task")
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.place.path}:{name}")
        self._tasks[task] = None
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[T]) -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._task_failure = _graver(self._task_failure, error)
        if self._life is not None and not self._ending:
            # Interrupts the message in hand: it may wait for what this task will never do.
            self._life.task.cancel()

    # --- life --------------------------------------------------------------------------

    @property
    def by(self) -> int | None:
        """What led to the message that was in hand last."""
        return self._in_hand.by

    @property
    def dropped(self) -> tuple[object, ...]:
        """Messages that waited when the actor ended."""
        return tuple(self._dropped)

    async def run(self, life: Incarnation) -> None:
        """Start, handle messages, and clean up, whatever happens on the way."""
        self._life = life
        error: BaseException | None = None
        try:
            await self._actor.started(Context(self, self._in_hand))
            self._raise_task_failure()
            life.announce_started()
            await self._serve()
        except BaseException as caught:  # noqa: BLE001 - kept, and raised below
            error = self._true_cause(caught)
        self._ending = True
        try:
            self._begin_ending(life, error)
            if life.did_start:
                error = await self._say_goodbye(life, error)
            error = await self._end_tasks(life, error)
            if error is not None:
                raise error
        finally:
            # The error holds this frame; without this they would keep each other.
            error = None

    def ask_to_stop(self, life: Incarnation, *, by: int | None) -> None:  # noqa: ARG002
        """End after the message in hand; a start under way is interrupted."""
        self.close_down(Exit(ExitKind.SHUTDOWN))
        if not life.did_start and not self._ending:
            life.task.cancel()

    def ended(self, end: Exit) -> None:
        """Tell everybody who still waits for an answer."""
        self._end = end
        self.close_down(end)
        for future in tuple(self._asks):
            if not future.done():
                future.set_exception(self._down())
        self._asks.clear()

    async def _serve(self) -> None:
        handled = 0
        mailbox = self._mailbox
        while True:
            # A message that is there already costs no coroutine.
            envelope = mailbox.get_nowait() if mailbox.has_message else await mailbox.get()
            if envelope is None:
                return
            self._in_hand = envelope
            answer = await self._actor.receive(envelope.message, Context(self, envelope))
            self._raise_task_failure()
            if not envelope.deferred:
                envelope.reply.answer(answer)
            handled += 1
            if handled % _MESSAGES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _begin_ending(self, life: Incarnation, error: BaseException | None) -> None:
        if error is not None:
            self._end = Exit.of(error)
        self.close_down(self._end or Exit(ExitKind.NORMAL))
        if not self._in_hand.deferred:
            self._in_hand.reply.fail(self._down())
        life.announce_ending()

    async def _say_goodbye(
        self, life: Incarnation, error: BaseException | None
    ) -> BaseException | None:
        if error is not None:
            reason = Exit.of(error)
        else:
            reason = Exit(ExitKind.SHUTDOWN if life.asked else ExitKind.NORMAL)
        try:
            await self._actor.stopping(reason)
        except BaseException as caught:  # noqa: BLE001 - kept, and raised by the caller
            return _graver(error, caught)
        return error

    async def _end_tasks(
        self, life: Incarnation, error: BaseException | None
    ) -> BaseException | None:
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
                error = _graver(error, caught)
        return error if self._task_failure is None else _graver(error, self._task_failure)

    def _raise_task_failure(self) -> None:
        # For a `receive` that swallowed the cancellation by which a task's failure came.
        if self._task_failure is not None:
            raise self._task_failure

    def _true_cause(self, caught: BaseException) -> BaseException:
        if isinstance(caught, asyncio.CancelledError) and self._task_failure is not None:
            return self._task_failure
        return caught


def _gravity(error: BaseException) -> int:
    if isinstance(error, asyncio.CancelledError):
        return 0
    return 1 if isinstance(error, Exception) else 2


def _graver(first: BaseException | None, second: BaseException) -> BaseException:
    """The one to report of two failures: an abort, else a crash, else the first."""
    if first is None or _gravity(second) > _gravity(first):
        return second
    return first
