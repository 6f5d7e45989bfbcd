"""Failpoints: the places in a running system where a test may let something go wrong.

They are handed in and handed down like the clock, and there are none by default. Whoever
implements them wraps what is made (an actor, its mailbox, a subscription), so the way of
a message has no switch in it; only where there is nothing to wrap (a supervisor's step,
a child process) is a point asked as it is passed.

==============  ======================================================================
asked           when
==============  ======================================================================
actor           an actor's incarnation is made
mailbox         its mailbox is made
coroutine       a coroutine is about to take its first step
restarting      a supervisor is about to start a child again
stopping        a supervisor is about to stop its children
starting_child  a child is about to be started by hand
subscription    somebody subscribes to the events
process         an agent's process is about to be started
==============  ======================================================================

What a point raises counts as raised by the code around it. What it waits for, that code
waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mnemosyne_core.observe import Subscription
    from mnemosyne_core.supervision import Actor, Mailbox
    from mnemosyne_core.supervision._incarnation import Place
    from mnemosyne_core.supervision._ref import Envelope


class ProcessFailpoints(Protocol):
    """The places in the life of one agent's process."""

    async def starting(self) -> None:
        """There is neither a pipe nor a process yet; an `OSError` is one of making them."""
        ...

    def program(self, program: Sequence[str]) -> Sequence[str]:
        """What is started in place of `program`, the interpreter and its arguments."""
        ...

    def started(self, pid: int) -> None:
        """There is a process."""
        ...

    def sent(self, content: bytes) -> bytes:
        """A message is about to be written; what is really written."""
        ...

    def received(self, content: bytes) -> bytes:
        """Something was read from the pipe, in whatever pieces; what counts as read."""
        ...

    def ended(self) -> None:
        """The process has ended, or was left behind."""
        ...


class Failpoints(Protocol):
    """Where a test may let something go wrong."""

    def actor(self, actor: Actor, place: Place) -> Actor:
        """What lives in place of `actor`, usually that actor in a wrapper."""
        ...

    def mailbox(self, place: Place) -> type[Mailbox[Envelope | None]]:
        """The class of the mailbox of the actor at `place`."""
        ...

    async def coroutine(self, place: Place) -> None:
        """The coroutine at `place` is about to take its first step."""
        ...

    async def restarting(self, supervisor: str, children: Sequence[str]) -> None:
        """A supervisor is about to start a child again, alone or with others.

        Args:
            supervisor: Its path.
            children: The paths of all its children.
        """
        ...

    async def stopping(self, supervisor: str, children: Sequence[str]) -> None:
        """A supervisor is about to stop all its children, because it ends.

        Args:
            supervisor: Its path.
            children: Their paths.
        """
        ...

    async def starting_child(self, path: str, again: Callable[[], Awaitable[object]]) -> None:
        """A child is about to be started by hand.

        Args:
            path: The child's.
            again: Does the same once more, as if somebody else had asked for it.
        """
        ...

    def subscription(self) -> type[Subscription]:
        """The class of a subscription that the running code is about to make."""
        ...

    def process(self, path: str) -> ProcessFailpoints:
        """Those of the process that the agent at `path` is about to get."""
        ...
