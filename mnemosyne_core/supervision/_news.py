"""Word that something changed in a tree, for those who wait for a condition."""

from __future__ import annotations

import asyncio


class News:
    """Wakes everybody who waits, each time something changes; one for a whole tree."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiting: dict[asyncio.Future[None], None] = {}

    def announce(self) -> None:
        """Wake those who wait now, so that they look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait_changed(self) -> None:
        """Wait for the next change; look first, and wait without an `await` in between."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            await future
        finally:
            self._waiting.pop(future, None)
