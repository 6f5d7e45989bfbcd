"""Limbo: where those stay that nothing can end, until the plan lets them go.

A task that swallows every cancellation, or that nobody owns, is what a supervisor can only
report. A test must be able to end it all the same, or it would outlive the test.
"""

from __future__ import annotations

import asyncio


class Limbo:
    """Whoever will not end; once it is open, nobody stays."""

    def __init__(self) -> None:
        """Nobody is here yet."""
        self._open = False
        self._waiting: dict[asyncio.Future[None], None] = {}
        # Those that end when they are let go.
        self._ending: dict[asyncio.Task[object], None] = {}

    async def stay(self) -> None:
        """Wait until all are let go, and swallow every cancellation until then.

        Raises:
            CancelledError: There was one; it comes late.
        """
        swallowed: asyncio.CancelledError | None = None
        while not self._open:
            try:
                await self._wait()
            except asyncio.CancelledError as error:
                swallowed = error
                self._expect_end_of(asyncio.current_task())
        if swallowed is not None:
            raise swallowed

    def leave_behind(self, *, name: str) -> None:
        """Start a task that belongs to nobody and waits to be let go."""
        if not self._open:
            self._expect_end_of(asyncio.get_running_loop().create_task(self._wait(), name=name))

    def open(self) -> None:
        """Let everybody go; they end in the next turns of their loop."""
        self._open = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def release(self) -> None:
        """Let everybody go, and wait for the end of those that end by it."""
        self.open()
        while self._ending:
            await asyncio.wait(tuple(self._ending))
        # What they have cancelled at their end takes a turn of the loop to be gone.
        await asyncio.sleep(0)

    async def _wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            await future
        finally:
            del self._waiting[future]

    def _expect_end_of(self, task: asyncio.Task[object] | None) -> None:
        assert task is not None, "a coroutine runs in a task"
        if task not in self._ending:
            self._ending[task] = None
            task.add_done_callback(lambda ended: self._ending.pop(ended, None))
