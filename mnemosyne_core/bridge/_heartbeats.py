"""Watching an agent's heartbeats: who is silent for too long is stale, then dead.

One timer of the loop for each agent. A beat notes the time and moves no timer; the
timer, when it is due, looks whether there was a beat and sets itself anew. So a beat
costs nothing, and a silence is noticed at the very moment when it is too long.

A loop that was held up, by blocking code or in a debugger, has heard nobody and asked
nobody. What looks like silence then is judged later, when the agent had time to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_HELD_UP_S: Final = 0.1
"""A timer that is late by more than this says that the loop was held up."""


class HeartbeatWatch:
    """When one agent was last heard of, and what follows when that is too long ago."""

    def __init__(
        self,
        *,
        stale_after_s: float,
        dead_after_s: float,
        on_stale: Callable[[float], None],
        on_dead: Callable[[float], None],
    ) -> None:
        """A watch that has not begun.

        Args:
            stale_after_s: Silence that makes the agent stale, in seconds of the loop.
            dead_after_s: Silence that makes it dead; then the watch is over.
            on_stale: Told once for each silence, with its seconds.
            on_dead: Told once, with the seconds.
        """
        self._stale_after_s = stale_after_s
        self._dead_after_s = dead_after_s
        self._on_stale = on_stale
        self._on_dead = on_dead
        self._heard_s = 0.0
        self._timer: asyncio.Handle | None = None
        self._due_s = 0.0
        self._is_stale = False

    @property
    def is_stale(self) -> bool:
        """Whether the agent is silent for longer than it should be."""
        return self._is_stale

    def begin(self) -> None:
        """Watch from now on; the agent was heard of at this moment."""
        self.end()
        self._heard_s = asyncio.get_running_loop().time()
        self._set_timer(self._heard_s + self._stale_after_s)

    def beat(self) -> bool:
        """Note a sign of life; says whether it ended a silence that was too long."""
        if self._timer is None:
            return False
        self._heard_s = asyncio.get_running_loop().time()
        was_stale, self._is_stale = self._is_stale, False
        if was_stale:
            self._timer.cancel()
            self._set_timer(self._heard_s + self._stale_after_s)
        return was_stale

    def end(self) -> None:
        """Watch no longer; harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_stale = False

    def _set_timer(self, due_s: float) -> None:
        self._due_s = due_s
        self._timer = asyncio.get_running_loop().call_at(due_s, self._look)

    def _look(self) -> None:
        if not self._still_due():
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._due_s > _HELD_UP_S:
            self._set_timer(loop.time() + self._dead_after_s - self._stale_after_s)
        else:
            # A beat may be due at this same moment, and goes through a task. What it wakes
            # runs before what is scheduled here.
            self._timer = loop.call_soon(self._judge)

    def _judge(self) -> None:
        if not self._still_due():
            return
        silent_s = round(asyncio.get_running_loop().time() - self._heard_s, 3)
        if self._is_stale:
            self.end()
            self._on_dead(silent_s)
        else:
            self._is_stale = True
            self._set_timer(self._heard_s + self._dead_after_s)
            self._on_stale(silent_s)

    def _still_due(self) -> bool:
        """Whether nothing was heard since the timer was set; otherwise sets it anew."""
        bound_s = self._dead_after_s if self._is_stale else self._stale_after_s
        # Not compared with the clock, which may stand a rounding error before the timer.
        if self._heard_s + bound_s <= self._due_s:
            return True
        self._set_timer(self._heard_s + bound_s)
        return False
