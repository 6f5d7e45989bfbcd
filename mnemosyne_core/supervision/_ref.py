"""References: how anybody talks to an actor, and how an actor answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemosyne_core.errors import AskTimeoutError

if TYPE_CHECKING:
    from mnemosyne_core.supervision._cell import ActorCell
    from mnemosyne_core.supervision._exit import Exit


class Reply:
    """The answer that somebody waits for; the first one given counts.

    Once the asker has gone (cancelled, timed out) or the actor has ended, an answer
    is dropped. So is the answer to a message that was sent and not asked.
    """

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[object] | None) -> None:
        """The reply that completes `future`; `None` when nobody waits."""
        self._future = future

    @property
    def is_awaited(self) -> bool:
        """Whether somebody still waits for an answer."""
        return self._future is not None and not self._future.done()

    def answer(self, value: object) -> None:
        """Give the asker `value`."""
        if self._future is not None and not self._future.done():
            self._future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Raise `error` where the asker waits; the actor itself goes on."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)


@dataclass(slots=True)
class Envelope:
    """A message on its way."""

    message: object
    by: int | None
    reply: Reply
    deferred: bool = False


TO_NOBODY = Reply(None)
"""The reply to every message that was sent and not asked."""


class Ref:
    """The address of one incarnation of an actor.

    It stays with that incarnation: once the actor has ended, or has been asked to,
    everything fails at once with `ActorDownError`, also when a new incarnation runs.
    Ask the supervisor (`whereis`) for the present one. Not safe across threads.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: ActorCell) -> None:
        """The address of the actor in `cell`."""
        self._cell = cell

    @property
    def path(self) -> str:
        """The actor's path from the tree's root."""
        return self._cell.place.path

    @property
    def incarnation(self) -> int:
        """Which life of the child this is; counts its starts from 1."""
        return self._cell.place.incarnation

    @property
    def is_alive(self) -> bool:
        """Whether the actor takes messages."""
        return not self._cell.closed

    async def send(self, message: object, *, by: int | None = None) -> None:
        """Put `message` into the mailbox, if need be once there is room.

        Args:
            message: What to send; the actor gets the very object.
            by: Sequence number of the event that led to it.

        Raises:
            MailboxFullError: There is no room, and the actor's mailbox rejects.
            ActorDownError: The actor has ended or is ending, or was while this waited.
        """
        await self._cell.deliver(Envelope(message, by, TO_NOBODY))

    def send_nowait(self, message: object, *, by: int | None = None) -> None:
        """Put `message` into the mailbox if there is room.

        Raises:
            MailboxFullError: There is none.
            ActorDownError: The actor has ended or is ending.
        """
        self._cell.deliver_nowait(Envelope(message, by, TO_NOBODY))

    async def ask(
        self, message: object, *, timeout_s: float | None = None, by: int | None = None
    ) -> object:
        """Send `message` and wait for the answer.

        Args:
            message: What to ask; the actor gets the very object.
            timeout_s: Patience in seconds, waiting for room included; `None` for no end.
            by: Sequence number of the event that led to it.

        Returns:
            What `receive` returned, or what the actor answered later.

        Raises:
            MailboxFullError: There is no room, and the actor's mailbox rejects.
            AskTimeoutError: No answer in time; a late one is dropped.
            ActorDownError: The actor has ended or is ending, or ended before it answered.
            Abort: The actor ended with it; it is passed on as itself.
            BaseException: Whatever the actor chose with `Reply.fail`.
        """
        cell = self._cell
        future = cell.owe_answer()
        try:
            envelope = Envelope(message, by, Reply(future))
            if timeout_s is None:
                await cell.deliver(envelope)
                return await future
            try:
                async with asyncio.timeout(timeout_s) as patience:
                    await cell.deliver(envelope)
                    return await future
            except TimeoutError:
                if not patience.expired():
                    raise
                # An answer that came in the very moment in which patience ended counts.
                if future.done() and not future.cancelled():
                    return future.result()
                raise AskTimeoutError(path=self.path, timeout_s=timeout_s) from None
        finally:
            cell.forget_ask(future)

    async def wait_down(self) -> Exit:
        """Wait until the actor has ended, without asking it to.

        Returns:
            How it ended; at once if it has.
        """
        cell = self._cell
        if cell.exit is not None:
            return cell.exit
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

        def tell(end: Exit) -> None:
            if not ended.done():
                ended.set_result(end)

        cell.watch(tell)
        try:
            return await ended
        finally:
            cell.unwatch(tell)

    def __repr__(self) -> str:
        state = "alive" if self.is_alive else "down"
        return f"<Ref {self.path}#{self.incarnation} {state}>"


def cell_of(ref: Ref) -> ActorCell:
    """The machine behind `ref`, for the other parts of this package."""
    return ref._cell
