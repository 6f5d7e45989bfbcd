"""The clock by which an exchange goes: the event loop's, or a plain one without a loop.

A handler waits with `pause` and reads the time with `now_s`, and need not know who
carries its answer. On an event loop both are the loop's own, so a loop with virtual time
makes every wait virtual. A synchronous client inside the process has no loop: there the
handler's coroutine is driven by hand, its pauses block, and they end with the client's
patience.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from mnemosyne_core.errors import UsageError

_T = TypeVar("_T")


class NoLoopError(UsageError):
    """Something waits for an event loop where a synchronous client is answered without one.

    Raised where it waits, so that whoever awaits can say which function it was.
    """

    code = "no_loop"

    def __init__(self) -> None:
        super().__init__(
            "a synchronous client inside the process is answered without an event loop, so "
            "nothing can be awaited here; ask with the asynchronous client, over loopback, or "
            "let the function be a plain one"
        )


class PatienceOverError(BaseException):
    """A pause is longer than the client waits.

    No `Exception`: it passes through the handler, which has no say in it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingClock:
    """Time for exchanges without an event loop."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class _Blocking:
    clock: BlockingClock
    patience_s: float | None


_blocking: ContextVar[_Blocking | None] = ContextVar("blocking", default=None)


def carrying_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop on which a request is being answered; `None` where that needs none."""
    return asyncio.get_running_loop() if _blocking.get() is None else None


def now_s() -> float:
    """Seconds on the clock of the exchange that is being answered."""
    blocking = _blocking.get()
    return asyncio.get_running_loop().time() if blocking is None else blocking.clock.monotonic()


async def pause(seconds: float) -> None:
    """Let time pass on that clock; none, where `seconds` is not positive."""
    if seconds <= 0:
        return
    blocking = _blocking.get()
    if blocking is None:
        await asyncio.sleep(seconds)
    elif blocking.patience_s is None or seconds <= blocking.patience_s:
        blocking.clock.sleep(seconds)
    else:
        blocking.clock.sleep(blocking.patience_s)
        raise PatienceOverError


def without_loop(
    coroutine: Coroutine[Any, Any, _T], clock: BlockingClock, patience_s: float | None
) -> _T:
    """What a coroutine returns that waits for nothing but `pause`.

    Raises:
        NoLoopError: It waits for something else.
        PatienceOverError: One of its pauses is longer than `patience_s`.
    """
    token = _blocking.set(_Blocking(clock, patience_s))
    try:
        coroutine.send(None)
        coroutine.throw(NoLoopError())
    except StopIteration as done:
        value: _T = done.value
        return value
    finally:
        _blocking.reset(token)
        coroutine.close()
    raise NoLoopError
