"""An event loop whose time is a number.

It is asyncio's selector loop with another turn of the wheel: `_run_once` is replaced,
transports, subprocesses and everything else are inherited, so real input and output
work beside virtual time. Where the stock loop would sleep until the next timer, this
one moves its time there, provided that nothing is ready, nothing has come in, and
nothing holds the time.

When it has nothing to do it goes down this list, and does the first thing that applies:

1. hear what has come in from outside;
2. tell those who wait for the others to be blocked (`settle`);
3. move the time towards where somebody wants it (`advance`), timer by timer, unless a
   hold is firm and has only begun;
4. wait, in real time, for what holds the time;
5. move the time to the next timer;
6. say that nobody will ever wake.

Without an order and without checks it runs what is ready in one go, as the stock loop
does. With them it runs one callback at a time. Any order that it is told is a legal
one: steps of tasks may be put off, but none goes before a callback that is no task's
and that was ready earlier. Transports rely on that; tasks may not rely on more.

`_run_once`, `_ready`, `_selector` and `_process_events` are private to asyncio. They
have had this shape since Python 3.4 and are used by nothing else here; a test drives
them on every Python that the project supports.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.draws import Draws, Plain
from pytest_mnemosyne.simulation.loop._errors import (
    HoldTooLongError,
    HorizonError,
    LivelockError,
    StallError,
)
from pytest_mnemosyne.simulation.loop._holds import Hold, Holds
from pytest_mnemosyne.simulation.loop._limits import Limits
from pytest_mnemosyne.simulation.loop._steps import Labels, name_of, task_of
from pytest_mnemosyne.simulation.loop._timers import NANOSECONDS, NEVER_NS, Timers, nanoseconds
from pytest_mnemosyne.simulation.loop._waiting import told, waiting_tasks

if TYPE_CHECKING:
    import selectors
    from concurrent.futures import Executor

    from pytest_mnemosyne.simulation.loop._order import Order
    from pytest_mnemosyne.simulation.loop._trace import Trace

T = TypeVar("T")

Check = Callable[[str], None]
"""Called after every step with its label; what it raises ends the run."""

_SHOWN: Final = 5

_ENDING: Final = vars(asyncio.base_events)["_run_until_complete_cb"]
"""What asyncio has called when the future that it runs for is done: it stops the loop."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector event loop with virtual time, which begins at 0."""

    # Private to asyncio.
    _ready: deque[asyncio.Handle]
    _selector: selectors.BaseSelector
    _stopping: bool
    _debug: bool

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        order: Order | None = None,
        trace: Trace | None = None,
    ) -> None:
        """A loop that has not run.

        Args:
            limits: When to say that something is wrong.
            order: Decides what runs next, and other chance; absent: first come, first served.
            trace: Takes down every step.
        """
        self._now_ns = 0
        self._now_s = 0.0
        self._timers = Timers()
        self._holds = Holds(self._look_again)
        self._goals: list[tuple[int, int, asyncio.Future[None]]] = []
        self._settling: list[asyncio.Future[None]] = []
        self._checks: dict[Check, None] = {}
        self._numbers = itertools.count(1)
        self._labels = Labels()
        self._limits = limits or Limits()
        self._horizon_ns = nanoseconds(self._limits.until_s)
        self._order = order
        self._trace = trace
        self._steps_now = 0
        self._idle_since_s: float | None = None
        super().__init__()
        self._threads = frozenset(threading.enumerate())

    # --- the time ----------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    @property
    def limits(self) -> Limits:
        """When the loop says that something is wrong."""
        return self._limits

    @property
    def draws(self) -> Draws:
        """Where what runs on this loop draws its random numbers."""
        return self._order or Plain()

    async def advance(self, seconds: float) -> None:
        """Move the time, whatever holds it; everything due on the way happens, in order.

        Returns once every task is blocked at the new time.
        """
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"the time is advanced by seconds from 0 on, got {seconds!r}")
        reached = self.create_future()
        goal = (self._now_ns + nanoseconds(seconds), next(self._numbers), reached)
        heapq.heappush(self._goals, goal)
        await reached

    async def settle(self) -> None:
        """Wait until every other task is blocked; the time does not move.

        What goes on outside of the loop, in threads and processes, is not waited for.
        """
        settled = self.create_future()
        self._settling.append(settled)
        await settled

    # --- what holds the time -----------------------------------------------------------

    def hold(self, label: str, *, firm_s: float = 0.0) -> Hold:
        """Keep the time from moving by itself until the hold is released.

        Args:
            label: For what; told when the hold lasts too long.
            firm_s: For how many real seconds `advance` does not move it either: for an
                answer from outside that is as good as here.
        """
        return self._holds.take(label, firm_s=firm_s)

    def release_process(self, pid: int) -> None:
        """Let the time move by itself although a child process runs.

        Raises:
            UsageError: No running child process of this loop has that number.
        """
        if not self._holds.release_process(pid):
            raise UsageError(f"no running child process of this loop has the number {pid}")

    def holds(self) -> tuple[str, ...]:
        """What holds the time at present."""
        return tuple(self._holds.labels(self))

    def run_in_executor(  # type: ignore[override]  # typeshed has it return the future's type
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As the stock loop does; the time stands still while the thread works."""
        hold = self._holds.take(f"{name_of(func)} in a thread")
        try:
            future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        except BaseException:
            hold.release()
            raise
        hold.ends_when(future.done)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """As the stock loop does; the time stands still, so its patience lasts."""
        with self._holds.take("the default executor to end"):
            await super().shutdown_default_executor(*args, **kwargs)

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """As the stock loop does; the time stands still while the process works."""
        with self._holds.take("a child process to start"):
            transport, protocol = await super().subprocess_exec(*args, **kwargs)
            self._holds.take_for_process(transport, str(args[1]))
        return transport, protocol

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """As the stock loop does; the time stands still while the process works."""
        with self._holds.take("a child process to start"):
            transport, protocol = await super().subprocess_shell(*args, **kwargs)
            self._holds.take_for_process(transport, str(args[1]))
        return transport, protocol

    # --- looking on --------------------------------------------------------------------

    @contextmanager
    def checking(self, check: Check) -> Iterator[None]:
        """Call `check` after every step while the block runs."""
        self._checks[check] = None
        try:
            yield
        finally:
            del self._checks[check]

    # --- timers ------------------------------------------------------------------------

    def call_at(  # type: ignore[override]  # typeshed ties the arguments to the callback
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As the stock loop does; of equal deadlines the one that was set first rings first."""
        if when is None:
            raise TypeError("when cannot be None")
        loop = cast("Any", self)
        loop._check_closed()
        if self._debug:
            loop._check_thread()
            loop._check_callback(callback, "call_at")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers.add(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:  # noqa: ARG002
        self._timers.note_cancelled()

    # --- running -----------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        """As the stock loop does; an error of the loop's own leaves it fit for another run."""
        try:
            return super().run_until_complete(future)
        except BaseException:
            # The error may have overtaken the end of `future`, which would stop the next run.
            left = [each for each in self._ready if cast("Any", each)._callback is not _ENDING]
            self._ready.clear()
            self._ready.extend(left)
            raise

    def _run_once(self) -> None:
        if self._ready or self._stopping:
            self._listen(0)
        else:
            self._find_something_to_do()
        if self._timers.next_ns() <= self._now_ns:
            self._ring()
        if self._order is None and self._trace is None and not self._checks:
            self._run_all()
        else:
            self._run_next()
        if self._steps_now > self._limits.steps and self._ready:
            # Whoever cleans up after the error gets as many again.
            steps, self._steps_now = self._steps_now, 0
            raise LivelockError(
                steps=steps,
                now_s=self._now_s,
                running=", ".join(self._next_labels()),
                waiting=told(waiting_tasks(self)),
            )

    def _run_all(self) -> None:
        ready = self._ready
        count = len(ready)
        for _ in range(count):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        self._steps_now += count

    def _run_next(self) -> None:
        handle = self._take_next()
        if handle is None:
            return
        label = self._labels.label_of(handle, task_of(handle))
        if self._trace is not None:
            self._trace.note(label, self._now_ns)
        self._steps_now += 1
        handle._run()
        for check in tuple(self._checks):
            check(label)

    def _take_next(self) -> asyncio.Handle | None:
        ready = self._ready
        while ready and ready[0].cancelled():
            ready.popleft()
        if not ready:
            return None
        if self._order is None or len(ready) == 1:
            return ready.popleft()
        owners = []
        for handle in ready:
            task = task_of(handle)
            owners.append(0 if task is None else self._labels.number_of(task))
            if task is None:
                break
        place = self._order.pick(owners) if len(owners) > 1 else 0
        handle = ready[place]
        del ready[place]
        return None if handle.cancelled() else handle

    def _ring(self) -> None:
        """Make ready what is due."""
        for timers in self._timers.pop_due(self._now_ns):
            for timer in self._arranged("timers", timers):
                # The deadline may lie less than a nanosecond later: nobody rings early.
                self._now_s = max(self._now_s, timer.when())
                self._ready.append(timer)

    def _arranged(self, label: str, items: list[T]) -> list[T]:
        """Things that happen at the same moment, in the order that is drawn for them."""
        if self._order is None or len(items) < 2:
            return items
        left = list(items)
        arranged = []
        while len(left) > 1:
            arranged.append(left.pop(self._order.draw(label, len(left))))
        return arranged + left

    def _listen(self, timeout_s: float) -> bool:
        """Hear what comes in, for at most so long; whether something did."""
        events = self._selector.select(timeout_s)
        if not events:
            return False
        self._idle_since_s = None
        self._steps_now = 0
        if len(events) > 1:
            # The kernel's order depends on how the machine felt.
            events = self._arranged("input", sorted(events, key=lambda event: event[0].fd))
        cast("Any", self)._process_events(events)
        return True

    # --- with nothing to do ------------------------------------------------------------

    def _find_something_to_do(self) -> None:
        # Twice: what one end of a connection sent may reach the other a moment later.
        if self._listen(0) or self._listen(0) or self._ready:
            return
        if self._settling:
            settling, self._settling = self._settling, []
            _wake(settling)
            return
        while self._goals and self._goals[0][2].done():
            heapq.heappop(self._goals)
        if self._goals:
            firm_s = self._holds.firm_s()
            if firm_s > 0:
                self._listen(firm_s)
                return
            self._move_to(min(self._timers.next_ns(), self._goals[0][0]))
            if self._timers.next_ns() > self._now_ns:
                self._reach_goals()
            return
        holds = self._holds.labels(self)
        if holds:
            self._wait_for_outside(tuple(holds))
        elif self._timers.next_ns() < NEVER_NS:
            self._move_to(self._timers.next_ns())
        elif self._may_be_woken():
            self._wait_for_outside(())
        else:
            raise StallError(waiting=told(waiting_tasks(self)), now_s=self._now_s)

    def _move_to(self, when_ns: int) -> None:
        if when_ns > self._horizon_ns:
            # Whoever cleans up after the error gets as much again.
            self._horizon_ns = when_ns + nanoseconds(self._limits.until_s)
            raise HorizonError(until_s=self._limits.until_s, waiting=told(waiting_tasks(self)))
        if when_ns > self._now_ns:
            self._now_ns = when_ns
            self._now_s = max(self._now_s, when_ns / NANOSECONDS)
            self._steps_now = 0
        self._idle_since_s = None

    def _reach_goals(self) -> None:
        reached = []
        while self._goals and self._goals[0][0] <= self._now_ns:
            reached.append(heapq.heappop(self._goals)[2])
        _wake(reached)

    def _wait_for_outside(self, holds: tuple[str, ...]) -> None:
        """Wait in real time; something has to happen within the limit."""
        now_s = time.monotonic()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        left_s = self._limits.hold_s - (now_s - self._idle_since_s)
        if left_s > 0:
            self._listen(left_s)
            return
        self._idle_since_s = None
        waiting = told(waiting_tasks(self))
        if not holds:
            raise StallError(waiting=waiting, now_s=self._now_s)
        raise HoldTooLongError(
            holds=holds, hold_s=self._limits.hold_s, now_s=self._now_s, waiting=waiting
        )

    def _may_be_woken(self) -> bool:
        """Whether a socket or a thread that nobody declared might still bring something."""
        # One descriptor is the loop's own, through which other threads wake it.
        if len(self._selector.get_map()) > 1:
            return True
        executor = cast("Any", self)._default_executor
        known = self._threads | frozenset(getattr(executor, "_threads", ()))
        return any(thread not in known for thread in _threads_of_others())

    def _look_again(self) -> None:
        """Have the loop look at its holds; called in another thread."""
        self.call_soon_threadsafe(_nothing)

    def _next_labels(self) -> Iterator[str]:
        for handle in itertools.islice(self._ready, _SHOWN):
            yield self._labels.label_of(handle, task_of(handle))

    def close(self) -> None:
        """As the stock loop does."""
        super().close()
        self._timers.clear()


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _threads_of_others() -> Iterator[threading.Thread]:
    """Threads that are none of anyio's idle workers, which wake nobody."""
    anyio = sys.modules.get("anyio._backends._asyncio")
    worker: tuple[type[Any], ...] = () if anyio is None else (anyio.WorkerThread,)
    return (thread for thread in threading.enumerate() if not isinstance(thread, worker))


def _nothing() -> None:
    """For the loop to have something to wake for."""
