"""An alarm: calls back at one moment, which can be changed until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mnemosyne_core.supervision import Context


class Alarm:
    """At most one moment at which something is to be done, and one task that waits for it."""

    def __init__(self) -> None:
        """An alarm that is not set."""
        self._due_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, due_s: float | None, ring: Callable[[], None], context: Context) -> None:
        """Call `ring` once at `due_s` instead of what was set before; `None`: not at all.

        Args:
            due_s: The moment, in seconds of the actor's clock.
            ring: What to call; it may set the alarm anew. It may be called a trifle early,
                as timers of a loop may be, and asks the clock itself.
            context: Of the actor that the alarm belongs to; with the actor it ends.
        """
        if due_s == self._due_s:
            return
        self.unset()
        if due_s is None:
            return

        async def wait() -> None:
            await asyncio.sleep(due_s - context.clock.monotonic())
            self._due_s = self._task = None
            ring()

        self._due_s = due_s
        self._task = context.spawn(wait(), name="alarm")

    def unset(self) -> None:
        """Forget what was set; harmless when nothing is."""
        if self._task is not None:
            self._task.cancel()
        self._due_s = self._task = None
