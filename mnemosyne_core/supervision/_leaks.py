"""Leaks: incarnations that were left behind and still run, by path; one book for a whole tree.

Inside an event loop nobody can be killed. What would not end goes on beside its
successor, also when the supervisor between it and the root was replaced; so the
names and the numbers stay on this list until whoever has them has really ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemosyne_core.supervision._incarnation import Incarnation


class Leaks:
    """Who was left behind and has not ended."""

    def __init__(self) -> None:
        """Nobody was."""
        self._running: dict[str, dict[Incarnation, None]] = {}
        self._closed = False

    def count(self, path: str) -> int:
        """How many incarnations at `path` were left behind and still run."""
        return len(self._running.get(path, ()))

    def last_number(self, path: str) -> int:
        """The highest number among the incarnations that `count` counts; 0 if there is none."""
        return max((life.number for life in self._running.get(path, ())), default=0)

    def add(self, path: str, life: Incarnation, *, on_end: Callable[[], None]) -> None:
        """Note that `life` was left behind at `path`.

        Args:
            path: Its path.
            life: An incarnation that is over although it runs.
            on_end: Called once it and its tasks have ended; at once if they have.
        """
        self._running.setdefault(path, {})[life] = None
        self._look(path, life, on_end)

    def close(self) -> None:
        """Tell nobody any more; the root has ended."""
        self._closed = True

    def _look(
        self,
        path: str,
        life: Incarnation,
        on_end: Callable[[], None],
        _ended: asyncio.Task[object] | None = None,
    ) -> None:
        running = [task for task in (life.task, *life.body.tasks) if not task.done()]
        if running:
            running[0].add_done_callback(partial(self._look, path, life, on_end))
            return
        lives = self._running[path]
        del lives[life]
        if not lives:
            del self._running[path]
        if not self._closed:
            on_end()
