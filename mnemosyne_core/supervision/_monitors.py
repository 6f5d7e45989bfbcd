"""Monitors: being told, once, that an actor has ended.

A monitor goes one way and harms nobody: whoever watches gets one `Down` as a message,
before users' messages, and at once if the watched actor has ended already. To share
an actor's fate instead, link to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemosyne_core.supervision._cell import ActorCell
    from mnemosyne_core.supervision._exit import Exit
    from mnemosyne_core.supervision._ref import Envelope, Ref


@dataclass(frozen=True, slots=True)
class Down:
    """What a monitor tells its actor: the watched one has ended."""

    ref: Ref
    """The incarnation that was watched."""

    exit: Exit
    """How it ended; of one that was dead before it was watched, too."""


class Monitor:
    """One actor's watch over another, until that one's end or its own."""

    __slots__ = ("_signal", "_watched", "_watcher")

    def __init__(self, watcher: ActorCell, watched: ActorCell) -> None:
        """Begin to watch."""
        self._watcher = watcher
        self._watched = watched
        self._signal: Envelope | None = None
        watcher.monitors[self] = None
        watched.watch(self._told)

    @property
    def ref(self) -> Ref:
        """The incarnation that is watched."""
        return self._watched.ref

    def cancel(self) -> None:
        """Watch no longer: a `Down` that has not been received yet never is."""
        self._watcher.monitors.pop(self, None)
        self._watched.unwatch(self._told)
        if self._signal is not None:
            self._watcher.recall(self._signal)

    def _told(self, end: Exit) -> None:
        self._watcher.monitors.pop(self, None)
        self._signal = self._watcher.signal(Down(self.ref, end), by=self._watched.by)
