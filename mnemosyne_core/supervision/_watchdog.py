"""A watchdog: says so, and says where, when the event loop has stopped turning.

A handler that runs on without ever waiting stalls everybody else in the loop, its own
supervisor included, and nothing inside the loop can tell. So a thread looks on: it asks
the loop for a sign of life, and when none comes in time it takes down what the loop's
thread is doing. It tells that at once, outside the loop, for the loop may never turn
again; if it does, what happened is recorded as `LoopBlocked`.

All of it is real time: a loop whose time is virtual has none of its own while it is
blocked, and is moved by nothing here. What is found depends on the machine, though, so
runs that are to be repeatable go without a watchdog.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from mnemosyne_core.errors import UsageError
from mnemosyne_core.events import LoopBlocked, Recorder

_log = logging.getLogger(__name__)

_LOOKS = 4
"""How often is looked within the time after which a loop counts as blocked."""

_FRAMES = 30
"""How many of the innermost frames are kept of a stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockage:
    """A loop that does not turn."""

    path: str
    """Whose loop it is."""

    blocked_s: float
    """For how long it has not turned, so far, in real seconds."""

    stack: str
    """What its thread is doing, the innermost frame last."""


class Pace(Protocol):
    """The real time of a thread that looks on."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def pause(self, seconds: float) -> bool:
        """Wait in the thread that calls; whether to go on afterwards."""
        ...

    def end(self) -> None:
        """End the present pause at once and all later ones; from any thread."""
        ...


class MachinePace:
    """The machine's own time."""

    def __init__(self) -> None:
        """Going on until told to end."""
        self._ended = threading.Event()

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> bool:
        """Sleep, unless woken."""
        return not self._ended.wait(seconds)

    def end(self) -> None:
        """Wake it for good."""
        self._ended.set()


class Pulse:
    """The signs of life that a loop was asked for, one at a time.

    Plain bookkeeping between two threads; the time is passed in.
    """

    def __init__(self, after_s: float) -> None:
        """No sign has been asked for.

        Args:
            after_s: How long a sign may take before the loop counts as blocked.
        """
        self._after_s = after_s
        self._lock = threading.Lock()
        self._asked_s: float | None = None
        self._stack: str | None = None

    def ask(self, now_s: float) -> bool:
        """Note that a sign is asked for; false while another one is awaited."""
        with self._lock:
            if self._asked_s is not None:
                return False
            self._asked_s = now_s
            return True

    def overdue_s(self, now_s: float) -> float | None:
        """How long the sign has taken, once that is too long and nobody has said so."""
        with self._lock:
            if self._asked_s is None or self._stack is not None:
                return None
            taken_s = now_s - self._asked_s
            return taken_s if taken_s >= self._after_s else None

    def note(self, stack: str) -> bool:
        """Keep `stack` as that of the blockage; false if the sign has come meanwhile."""
        with self._lock:
            if self._asked_s is not None:
                self._stack = stack
            return self._asked_s is not None

    def answer(self, now_s: float) -> LoopBlocked | None:
        """The sign has come; what is to be recorded if it took too long."""
        with self._lock:
            asked_s, stack = self._asked_s, self._stack
            self._asked_s = self._stack = None
        if asked_s is None or now_s - asked_s < self._after_s:
            return None
        return LoopBlocked(blocked_s=now_s - asked_s, stack=stack or "")


class Watchdog:
    """Looks on from a thread of its own, from the start of an `async with` to its end."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        after_s: float = 5.0,
        path: str = "tree",
        on_blocked: Callable[[Blockage], None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """A watchdog over the loop in which it will be entered.

        Args:
            recorder: Where a blockage is recorded once it is over, in the loop's thread.
            after_s: Real seconds without a turn after which the loop counts as blocked;
                one that takes a quarter longer is never missed.
            path: Whose loop it is, for events.
            on_blocked: Called in the watchdog's thread while the loop is blocked, once
                for each blockage; must not wait for the loop. By default a warning with
                the stack is logged.
            pace: The real time; by default the machine's.

        Raises:
            UsageError: `after_s` is no positive number.
        """
        if not 0 < after_s < math.inf:
            raise UsageError(f"a loop counts as blocked after some seconds, got {after_s!r}")
        self._recorder = recorder
        self._path = path
        self._look_every_s = after_s / _LOOKS
        self._on_blocked = on_blocked or _warn
        self._pace = pace or MachinePace()
        self._pulse = Pulse(after_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread = threading.Thread(target=self._watch, name=f"{path}:watchdog", daemon=True)

    async def __aenter__(self) -> Self:
        """Begin to look on.

        Raises:
            UsageError: It was entered before.
        """
        if self._loop is not None:
            raise UsageError(
                f"the watchdog of {self._path} was entered before; make a new one each time"
            )
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the thread; a blockage that it was in is recorded before this returns."""
        self._pace.end()
        self._thread.join()
        self._give_sign()

    # --- in the watchdog's thread ------------------------------------------------------

    def _watch(self) -> None:
        assert self._loop is not None
        # A loop may be closed without leaving the block; it gives no sign and needs none.
        while self._pace.pause(self._look_every_s) and not self._loop.is_closed():
            now_s = self._pace.monotonic()
            if self._pulse.ask(now_s):
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._give_sign)
            else:
                self._look(now_s)

    def _look(self, now_s: float) -> None:
        blocked_s = self._pulse.overdue_s(now_s)
        if blocked_s is None:
            return
        stack = stack_of(self._loop_thread)
        if self._pulse.note(stack):
            self._tell(Blockage(path=self._path, blocked_s=blocked_s, stack=stack))

    def _tell(self, blockage: Blockage) -> None:
        try:
            self._on_blocked(blockage)
        except Exception:  # noqa: BLE001 - the next blockage is to be noticed too
            _log.exception("on_blocked of the watchdog of %s failed", self._path)

    # --- in the loop's thread ----------------------------------------------------------

    def _give_sign(self) -> None:
        blocked = self._pulse.answer(self._pace.monotonic())
        if blocked is not None:
            self._recorder.record(blocked, agent=self._path)


def keeps_real_time() -> bool:
    """Whether the running loop's time is the machine's, as that of all but simulated ones is."""
    return abs(asyncio.get_running_loop().time() - time.monotonic()) < 1


def stack_of(thread_id: int, *, frames: int = _FRAMES) -> str:
    """What a thread is doing, the innermost frame last; empty if there is no such thread.

    Args:
        thread_id: As `threading.get_ident` tells it there.
        frames: How many of the innermost frames are told.
    """
    innermost = sys._current_frames().get(thread_id)
    if innermost is None:
        return ""
    walked = traceback.walk_stack(innermost)
    summary = traceback.StackSummary.extract(itertools.islice(walked, frames))
    left_out = sum(1 for _ in walked)
    summary.reverse()
    told = "".join(summary.format())
    return f"  ({left_out} outer frames are left out)\n{told}" if left_out else told


def _warn(blockage: Blockage) -> None:
    _log.warning(
        "the event loop of %s has not turned for %.3g s; something in it runs on without "
        "waiting, and belongs into a thread or a process:\n%s",
        blockage.path,
        blockage.blocked_s,
        blockage.stack,
    )
