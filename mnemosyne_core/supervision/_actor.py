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

if TYPE_CHECKING:
    from mnemosyne_core.supervision._cell import ActorCell
    from mnemosyne_core.supervision._ref import Envelope, Ref, Reply

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

    async def started(self, context: Context) -> None:  # noqa: B027 - many actors need no start
        """Get ready; the supervisor starts nobody else until this has returned.

        An error is a failed start, and `stopping` is not called. Must not wait for the
        supervisor that is starting it. Messages may arrive already; they wait.
        """

    @abc.abstractmethod
    async def receive(self, message: object, context: Context) -> object:
        """Handle one message.

        An error ends the actor, and the supervisor decides what follows. To refuse a
        message and live on, use `context.defer().fail(error)`.

        Returns:
            The answer, if the message was asked and `context.defer` was not called.
        """

    async def stopping(self, reason: Exit) -> None:  # noqa: B027 - many actors hold nothing
        """Let go of what the actor holds; called once, after the last message.

        Its tasks still run here and are cancelled afterwards. It has the child's
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
        return self._cell.place.recorder

    @property
    def clock(self) -> Clock:
        """The tree's clock."""
        return self._cell.place.clock

    def spawn(self, coroutine: Coroutine[object, object, T], *, name: str = "") -> asyncio.Task[T]:
        """Run `coroutine` in a task that belongs to the actor.

        It is cancelled when the actor ends. An error in it ends the actor at once, as if
        `receive` had raised it; a task that is cancelled ends alone.
        """
        return self._cell.spawn(coroutine, name=name)

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
