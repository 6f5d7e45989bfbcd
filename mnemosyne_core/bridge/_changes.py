"""Changes that a bridge makes by itself: tasks that go on whoever waits for them.

A caller that is cancelled while it waits for a change does not end it. What a change ends
with, if nothing foreseen may end so, is told to exactly one: who waits for it, or the next
who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class Changes:
    """The changes of one bridge, and what one of them failed of until somebody was told."""

    def __init__(self) -> None:
        self._broke = asyncio.Event()
        self._unheard: BaseException | None = None

    def begin(self, change: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin a change."""
        task = asyncio.create_task(change)
        task.add_done_callback(self._ended)
        return task

    async def join(self, task: asyncio.Task[None]) -> None:
        """Wait for a change, and raise what it failed of; its cancellation is not ours."""
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            self._unheard = None
            raise error

    async def until_broken(self) -> None:
        """Wait until a change fails, and raise what it failed of."""
        await self._broke.wait()
        self.raise_unheard()

    def raise_unheard(self) -> None:
        """Raise what a change failed of that nobody was told of: its waiter may have left."""
        error, self._unheard = self._unheard, None
        if error is not None:
            raise error

    @staticmethod
    async def cancel(*tasks: asyncio.Task[None] | None) -> None:
        """End what of these changes goes on, one after the other."""
        for task in tasks:
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._unheard = None if task.cancelled() else task.exception()
        if self._unheard is not None:
            self._broke.set()
