"""A turnstile: callers pass one after the other, in the order in which they came.

Only the first in line asks whether there is room, so a small call cannot overtake a
large one for ever. Whoever is cancelled leaves the line without a trace.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress


class Turnstile:
    """Lets callers in when there is room for them, first come, first served."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def has_line(self) -> bool:
        """Whether somebody waits already."""
        return self._turn.locked()

    async def enter(self, admit: Callable[[], float]) -> None:
        """Wait for the caller's turn, then until it is let in.

        Args:
            admit: Lets the caller in and answers 0, or answers after how many seconds it is
                worth asking again; infinity: not before somebody moves. What it raises ends
                the wait.
        """
        async with self._turn:
            while (wait_s := admit()) > 0:
                self._moved.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(wait_s) else wait_s):
                        await self._moved.wait()

    def moved(self) -> None:
        """Say that there may be room now."""
        self._moved.set()
