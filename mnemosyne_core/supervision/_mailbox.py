"""A bounded mailbox: many senders, one receiver, system messages first.

`asyncio.Queue` has no second lane, cannot be closed, and hands a freed place to
whoever comes first. Here a freed place goes straight to the sender that has
waited longest, together with its message, so messages arrive in the order in
which they were sent and nobody is woken in vain.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from enum import StrEnum, auto
from typing import Generic, TypeVar

from mnemosyne_core.errors import ChildSpecError, MailboxFullError

T = TypeVar("T")


class Overflow(StrEnum):
    """What becomes of a sender that finds a mailbox full."""

    WAIT = auto()
    """It waits for room: back-pressure."""

    REJECT = auto()
    """It is refused at once, also where it was ready to wait."""


class MailboxClosedError(Exception):
    """The mailbox takes no more messages; refs turn it into the actor's own reason."""


class Mailbox(Generic[T]):
    """The messages that one receiver has still to take."""

    def __init__(
        self, *, path: str, capacity: float = math.inf, overflow: Overflow = Overflow.WAIT
    ) -> None:
        """An open, empty mailbox.

        Args:
            path: Its owner's path, for errors.
            capacity: How many messages may wait, system messages aside; at least 1.
            overflow: What becomes of senders beyond that.
        """
        if not capacity >= 1:
            raise ChildSpecError(
                f"the mailbox of {path} must hold at least 1 message, got {capacity!r}"
            )
        self._path = path
        self._capacity = capacity
        try:
            self._rejects = Overflow(overflow) is Overflow.REJECT
        except ValueError:
            raise ChildSpecError(
                f"a mailbox that overflows must {' or '.join(Overflow)}, that of {path} is to "
                f"{overflow!r}"
            ) from None
        self._system: deque[T] = deque()
        self._messages: deque[T] = deque()
        # Invariant: somebody waits here only while `_messages` is full.
        self._senders: deque[tuple[asyncio.Future[None], T]] = deque()
        self._receiver: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many messages wait, system messages and blocked senders aside."""
        return len(self._messages)

    @property
    def has_message(self) -> bool:
        """Whether there is something to take, so that `get` would not wait."""
        return bool(self._system or self._messages)

    def put_nowait(self, message: T) -> None:
        """Take `message` now or refuse it.

        Raises:
            MailboxFullError: There is no room.
            MailboxClosedError: There never will be.
        """
        if self._closed:
            raise MailboxClosedError
        if len(self._messages) >= self._capacity:
            raise MailboxFullError(
                path=self._path, capacity=int(self._capacity), can_wait=not self._rejects
            )
        self._messages.append(message)
        self._wake()

    async def put(self, message: T) -> None:
        """Take `message`, if need be once there is room for it.

        A sender that is cancelled in the very moment in which its message was taken
        cannot tell: the message stays.

        Raises:
            MailboxFullError: There is no room, and the mailbox rejects.
            MailboxClosedError: The mailbox is closed, or was while the sender waited.
        """
        if self._closed or self._rejects or len(self._messages) < self._capacity:
            self.put_nowait(message)
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (admitted, message)
        self._senders.append(entry)
        try:
            await admitted
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._senders.remove(entry)
            if admitted.done() and not admitted.cancelled():
                # Reading the exception tells asyncio that somebody cares.
                admitted.exception()
            raise

    def put_system(self, message: T) -> None:
        """Put `message` before all users' messages; never refused, also when closed."""
        self._system.append(message)
        self._wake()

    def take_back(self, message: T) -> None:
        """Forget a system message, if nobody has taken it."""
        with contextlib.suppress(ValueError):
            self._system.remove(message)

    async def get(self) -> T:
        """Take the next message; a cancelled `get` has taken none."""
        while not self._system and not self._messages:
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        return self.get_nowait()

    def get_nowait(self) -> T:
        """Take the next message, which must be there."""
        if self._system:
            return self._system.popleft()
        message = self._messages.popleft()
        if self._senders:
            self._admit()
        return message

    def close(self) -> list[T]:
        """Take no more messages, and hand back those that nobody took.

        System messages that nobody took are forgotten. Senders that wait for room fail
        with `MailboxClosedError` and keep their messages.
        """
        self._closed = True
        self._system.clear()
        waiting = list(self._messages)
        self._messages.clear()
        while self._senders:
            admitted, _ = self._senders.popleft()
            if not admitted.done():
                admitted.set_exception(MailboxClosedError())
        return waiting

    def _admit(self) -> None:
        while self._senders and len(self._messages) < self._capacity:
            admitted, message = self._senders.popleft()
            if not admitted.done():
                self._messages.append(message)
                admitted.set_result(None)

    def _wake(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
