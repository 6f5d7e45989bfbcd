"""Stopping a test at once, wherever it waits.

A request that cannot be answered raises in the task or thread that made it. The
test itself may be waiting elsewhere, for a result that will now never come. So
whoever has such a request also stops the test:

- from the test's own thread, by cancelling the task on which the event loop's
  `run_until_complete` waits: the test, or the async fixture that is being set up;
- from another thread, by a signal to the main thread, whose handler then does the
  above, or raises where no loop runs, which ends a blocking `queue.get()` or `join()`.

A signal that arrives just before the main thread begins to wait in the operating system
wakes nobody: Python runs handlers between bytecodes, and there is none until the wait
ends. So it is sent until it was heard.

The signal is one that is ignored by default, so one that arrives late does no harm.
The choice not taken, SIGINT, cannot be told from a user's Ctrl-C.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from time import sleep
from types import FrameType
from typing import Any, Final

if sys.platform == "win32":
    _SIGNAL: Final = signal.SIGBREAK
else:
    _SIGNAL: Final = signal.SIGURG


_PAUSES_S: Final = tuple(0.001 * 2**n for n in range(10))
"""How long a thread waits for each signal to be heard, before it sends the next; 1 s in all."""


class Interrupter:
    """Stops the test that is running in the main thread."""

    def __init__(self, *, in_test: Callable[[], bool]) -> None:
        """Prepare; nothing is armed yet.

        Args:
            in_test: Whether the main thread is inside a phase of a test right now. Outside
                of one nothing is raised, since it would hit pytest itself.
        """
        self._in_test = in_test
        self._previous: Any = None
        self._excepthook = threading.excepthook
        self._armed = False
        self._is_wanted = False
        """Whether a thread waits for its signal to be heard; no lock, since a handler reads it."""

    def arm(self) -> None:
        """Listen for other threads; does nothing where pytest is not in the main thread."""
        if self._armed or threading.current_thread() is not threading.main_thread():
            return
        self._previous = signal.signal(_SIGNAL, self._on_signal)
        self._excepthook = threading.excepthook
        threading.excepthook = self._on_thread_death
        self._armed = True

    def disarm(self) -> None:
        """Give the signal back; safe to call twice."""
        if self._armed:
            self._armed = False
            signal.signal(_SIGNAL, self._previous)
            if threading.excepthook == self._on_thread_death:
                threading.excepthook = self._excepthook

    def stop_test(self) -> None:
        """Stop the test, from any thread; the caller raises its own exception afterwards."""
        if threading.current_thread() is threading.main_thread():
            self._cancel_from_inside()
        elif self._armed:
            self._signal_until_heard()

    def _signal_until_heard(self) -> None:
        self._is_wanted = True
        for pause_s in _PAUSES_S:
            _signal_main_thread()
            sleep(pause_s)
            if not self._is_wanted:
                return

    def _cancel_from_inside(self) -> None:
        loop = _running_loop()
        if loop is None:
            return
        current = asyncio.current_task(loop)
        if current is not None:
            current.add_done_callback(_retrieve)
        for task in main_tasks(loop):
            if task is not current:
                task.cancel("a request to Claude was refused")

    def _on_thread_death(self, args: threading.ExceptHookArgs) -> None:
        from mnemosyne_core.errors import Abort

        # What a refused request does to its thread is told by the test's report.
        if not isinstance(args.exc_value, Abort):
            self._excepthook(args)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the handler's signature
        is_wanted, self._is_wanted = self._is_wanted, False
        if not is_wanted or not self._in_test():
            return
        from pytest_mnemosyne.plugin._errors import TestStopped

        loop = _running_loop()
        if loop is None:
            raise TestStopped
        current = asyncio.current_task(loop)
        for task in main_tasks(loop):
            if task is current:
                raise TestStopped
            # The handler runs between any two bytecodes of the loop, so only this is safe.
            loop.call_soon_threadsafe(task.cancel)


def main_tasks(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """The tasks that somebody outside the loop waits for."""
    return [task for task in asyncio.all_tasks(loop) if _is_awaited_from_outside(task)]


def _is_awaited_from_outside(task: asyncio.Task[Any]) -> bool:
    # `run_until_complete` leaves its mark as a callback, in asyncio and uvloop alike.
    for callback, _context in getattr(task, "_callbacks", None) or ():
        if "run_until_complete" in getattr(callback, "__qualname__", ""):
            return True
    # anyio's pytest plug-in runs the test inside a task of its own, behind that one.
    name = getattr(task.get_coro(), "__qualname__", "")
    return name.endswith("TestRunner._run_tests_and_fixtures")


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take a task's exception, so that asyncio does not log what the report tells.

    The log would be written by the garbage collector, at any moment. On CPython 3.11 a
    traceback that is formatted while `ast.parse` runs breaks the latter, which is how
    pytest formats its own.
    """
    if not task.cancelled():
        task.exception()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _signal_main_thread() -> None:
    if sys.platform == "win32":
        import _thread

        _thread.interrupt_main(_SIGNAL)
    else:
        ident = threading.main_thread().ident
        assert ident is not None, "the main thread has always been started"
        signal.pthread_kill(ident, _SIGNAL)
