"""Holds: reasons for which the virtual time must not move by itself.

Work that the loop does not do itself (a thread, a child process, a server elsewhere)
takes real time. While it is under way the virtual time stands still, or every timeout
would strike before an answer that is a millisecond away.

The loop looks at the holds only when it has nothing to do. So a hold that ends with
something that can be asked (a future, a process) is a question, and nobody has to be
told when it is over.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from typing import Self

_ANYIO: Final = "anyio._backends._asyncio"


class Hold:
    """One reason, from the moment it is taken until it is released; a context manager.

    Releasing it twice does nothing. It may be released from any thread.
    """

    __slots__ = ("_firm_until_s", "_on_release", "_over", "label")

    def __init__(self, label: str, on_release: Callable[[Hold], None], firm_s: float = 0.0) -> None:
        self.label = label
        self._firm_until_s = time.monotonic() + firm_s if firm_s else 0.0
        self._over: Callable[[], bool] | None = None
        self._on_release: Callable[[Hold], None] | None = on_release

    def ends_when(self, over: Callable[[], bool]) -> None:
        """Let the hold end by itself; `over` is asked whenever the loop has nothing to do."""
        self._over = over

    @property
    def is_over(self) -> bool:
        """Whether it was released or has ended by itself."""
        return self._on_release is None or (self._over is not None and self._over())

    @property
    def firm_s(self) -> float:
        """For how many real seconds from now on nothing at all moves the time; 0 for most."""
        if not self._firm_until_s or self.is_over:
            return 0.0
        return max(0.0, self._firm_until_s - time.monotonic())

    def release(self) -> None:
        """Let the time move again, as far as this hold goes."""
        told, self._on_release = self._on_release, None
        if told is not None:
            told(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Hold {self.label}{' (over)' if self.is_over else ''}>"


class Holds:
    """All that hold one loop's time."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """No holds.

        Args:
            wake: Makes the loop look again; called in a thread that is not the loop's.
        """
        self._wake = wake
        self._home = threading.get_ident()
        self._holds: dict[Hold, None] = {}
        self._processes: dict[int, Hold] = {}

    def take(self, label: str, *, firm_s: float = 0.0) -> Hold:
        """Hold the time from now on, for the reason `label`; firmly for some real seconds."""
        hold = Hold(label, self._released, firm_s)
        self._holds[hold] = None
        return hold

    def take_for_process(self, transport: asyncio.SubprocessTransport, label: str) -> None:
        """Hold the time until a child process has ended, or `release_process` names it."""
        pid = transport.get_pid()
        hold = self.take(f"{label} (process {pid})")
        hold.ends_when(lambda: transport.get_returncode() is not None)
        if pid is not None:
            self._processes[pid] = hold

    def release_process(self, pid: int) -> bool:
        """Let the time move although the process runs; false where it holds nothing."""
        hold = self._processes.pop(pid, None)
        if hold is None or hold.is_over:
            return False
        hold.release()
        return True

    def firm_s(self) -> float:
        """For how many real seconds from now on not even `advance` moves the time."""
        return max((hold.firm_s for hold in self._holds), default=0.0)

    def labels(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        """Why the time stands still now; empty where it may move."""
        for hold in [hold for hold in self._holds if hold.is_over]:
            self._drop(hold)
        found = [hold.label for hold in self._holds]
        found += _busy_anyio_workers(loop)
        return found

    def _released(self, hold: Hold) -> None:
        self._drop(hold)
        if threading.get_ident() != self._home:
            self._wake()

    def _drop(self, hold: Hold) -> None:
        with suppress(KeyError):
            del self._holds[hold]
        for pid in [pid for pid, held in self._processes.items() if held is hold]:
            del self._processes[pid]


def _busy_anyio_workers(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Worker threads of anyio that work for `loop`; they do not go by way of its executor."""
    module = sys.modules.get(_ANYIO)
    if module is None:
        return
    worker: type[Any] = module.WorkerThread
    for thread in threading.enumerate():
        if (
            isinstance(thread, worker)
            and thread.loop is loop
            and not thread.stopping
            and thread not in thread.idle_workers
        ):
            yield f"a call in a thread of anyio ({thread.name})"
