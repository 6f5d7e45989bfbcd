"""Actors: what a user of this package writes.

An actor has a mailbox, handles one message at a time, and shares nothing. To
work on several things at once it puts each into a task of its own
(`Context.spawn`) and answers from there (`Context.defer`).
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, ClassVar, TypeVar

from mnemosyne_core.clock import Clock
from mnemosyne_core.events import Recorder
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._mailbox import Overflow
from mnemosyne_core.supervision._monitors import Monitor

if TYPE_CHECKING:
    from mnemosyne_core.supervision._cell import ActorCell
    from mnemosyne_core.supervision._ref import Envelope, Ref, Reply
    from mnemosyne_core.supervision._supervisor import Supervisor

T = TypeVar("T")


class Actor(abc.ABC):
    """Something with a mailbox that a supervisor starts, restarts and stops.

    A restart makes a new actor with a new, empty mailbox. The message in hand is
    lost with the old one, those that waited are dropped and reported as
    `MessageDropped`, and every ask that was not answered fails. What must not get
    lost is kept elsewhere and sent again.
    """

    mailbox_capacity: ClassVar[int] = 1_000
    """How many messages may wait; senders beyond that wait themselves or are refused."""

    mailbox_overflow: ClassVar[Overflow] = Overflow.WAIT
    """Whether `send` and `ask` wait for room, or are refused like `send_nowait`."""

    trap_exit: ClassVar[bool] = False
    """Whether the end of a linked actor is a message, `ExitSignal`, and not its own end."""

    async def started(self, context: Context) -> None:  # noqa: B027 - many actors need no start
        """Get ready; the supervisor starts nobody else until this has returned.

        An error is a failed start, and `stopping` is not called. Must not wait for the
        supervisor that is starting it. Messages may arrive already; they wait.
        """

    @abc.abstractmethod
    async def receive(self, message: object, context: Context) -> object:
        """Handle one message, or one `Down` or `ExitSignal`, which come before the others.

        While this runs on without waiting, nothing else in the event loop does: work that
        blocks belongs into a thread (`asyncio.to_thread`) or a process.

        An error ends the actor, and the supervisor decides what follows. To refuse a
        message and live on, use `context.defer().fail(error)`.

        Returns:
            The answer, if the message was asked and `context.defer` was not called.
        """

    async def stopping(self, reason: Exit) -> None:  # noqa: B027 - many actors hold nothing
        """Let go of what the actor holds; called once, after the last message.

        Its tasks still run here and are cancelled afterwards; a supervisor of its own is
        then stopped. It has the child's
        shutdown time, and after a cancellation only the supervisor's grace period.

        Args:
            reason: Why the actor ends; a crash or a cancellation, too.
        """


class Context:
    """What an actor is given with each message: itself, and what led to this.

    A context belongs to its message. Keep it as long as the work on that message
    lasts, and `by` and `defer` stay right however many messages come after it.
    """

    __slots__ = ("_cell", "_envelope")

    def __init__(self, cell: ActorCell, envelope: Envelope) -> None:
        """The context of one message to the actor in `cell`."""
        self._cell = cell
        self._envelope = envelope

    @property
    def ref(self) -> Ref:
        """The actor's own address."""
        return self._cell.ref

    @property
    def path(self) -> str:
        """The actor's path from the tree's root."""
        return self._cell.place.path

    @property
    def by(self) -> int | None:
        """Sequence number of the event that led to this message, or to this start."""
        return self._envelope.by

    @property
    def recorder(self) -> Recorder:
        """Where facts are recorded."""
        return self._cell.place.given.recorder

    @property
    def clock(self) -> Clock:
        """The tree's clock."""
        return self._cell.place.given.clock

    def spawn(self, coroutine: Coroutine[object, object, T], *, name: str = "") -> asyncio.Task[T]:
        """Run `coroutine` in a task that belongs to the actor.

        It is cancelled when the actor ends. An error in it ends the actor at once, as if
        `receive` had raised it; a task that is cancelled ends alone.
        """
        return self._cell.spawn(coroutine, name=name)

    def monitor(self, ref: Ref) -> Monitor:
        """Be told of the end of the actor behind `ref`, by one `Down` as a message.

        It comes at once if that actor has ended already, and never after `cancel`. Each
        call is a monitor of its own.
        """
        return self._cell.monitor(ref)

    def link(self, ref: Ref) -> None:
        """Share the end of the actor behind `ref`, and have it share one's own.

        An abnormal end, or a stop by the supervisor, of the one ends the other; see
        `trap_exit`. One that has ended already is as good as one that crashes now.
        """
        self._cell.link(ref)

    def unlink(self, ref: Ref) -> None:
        """Undo `link`, whichever of the two had called it."""
        self._cell.unlink(ref)

    async def supervise(self, supervisor: Supervisor) -> None:
        """Start `supervisor` as the actor's own, and wait until its children have started.

        Its children's paths begin with the actor's. It ends after the actor's `stopping`,
        within the actor's shutdown time; should it give up, that ends the actor. One that
        has ended may be followed by another.

        Raises:
            ActorStateError: The actor has one already, or `supervisor` was started before.
            ActorDownError: The actor has ended or is ending.
            StartError: A child did not start.
            Abort: A child's start raised it.
        """
        await self._cell.supervise(supervisor, by=self.by)

    def defer(self) -> Reply:
        """Answer this message later: what `receive` returns is then not the answer.

        An answer that never comes keeps the asker waiting until its patience or the
        actor ends.
        """
        self._envelope.deferred = True
        return self._envelope.reply

    def stop(self) -> None:
        """End the actor normally, after the message in hand and before those that wait."""
        self._cell.close_down(Exit(ExitKind.NORMAL))
