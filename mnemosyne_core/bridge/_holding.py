"""Time that stands still while something outside of the loop is awaited.

A process takes real time, and a test's loop may have a time of its own. Such a loop has
a method `hold`; an ordinary loop has none, and there is nothing to hold. Core and
simulation meet in that one name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol, cast

from mnemosyne_core.errors import UsageError

FIRM_S: Final = 2.0
"""Real seconds in which an agent's process is expected to answer what costs it nothing."""


class Hold(Protocol):
    """A reason for which the time stands still."""

    def release(self) -> None:
        """Let it move again; harmless when repeated."""
        ...


class _TakeHold(Protocol):
    def __call__(self, label: str, *, firm_s: float = ...) -> Hold: ...


class _Nothing:
    def release(self) -> None:
        """Nothing is held."""


_NOTHING: Final = _Nothing()


def take_hold(label: str, *, firm_s: float = 0.0) -> Hold:
    """Hold the running loop's time, if it can be held.

    Args:
        label: For what; told when it lasts too long.
        firm_s: For how many real seconds the time does not move even when a test moves it.
    """
    take = cast("_TakeHold | None", getattr(asyncio.get_running_loop(), "hold", None))
    return _NOTHING if take is None else take(label, firm_s=firm_s)


@contextmanager
def holding(label: str, *, firm_s: float = 0.0) -> Iterator[None]:
    """Hold the running loop's time for a block."""
    hold = take_hold(label, firm_s=firm_s)
    try:
        yield
    finally:
        hold.release()


def release_process(pid: int) -> None:
    """Let the time move although a child process runs: it will say when it works."""
    loop = asyncio.get_running_loop()
    release = cast("Callable[[int], None] | None", getattr(loop, "release_process", None))
    if release is not None:
        # It may have ended already, and then it holds nothing.
        with suppress(UsageError):
            release(pid)


class Standstill:
    """Holds the time while a process works, and not while it waits for us in turn."""

    def __init__(self, label: str, *, firm_s: float = 0.0) -> None:
        """Hold the time from now on.

        Args:
            label: For what.
            firm_s: As for `take_hold`.
        """
        self._label = label
        self._firm_s = firm_s
        self._hold: Hold | None = take_hold(label, firm_s=firm_s)
        self._waiting = 0
        self._is_over = False

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Let the time move during the block: it is our turn to do something."""
        self._waiting += 1
        self._adjust()
        try:
            yield
        finally:
            self._waiting -= 1
            self._adjust()

    def end(self) -> None:
        """Let the time move from now on."""
        self._is_over = True
        self._adjust()

    def _adjust(self) -> None:
        if self._waiting or self._is_over:
            if self._hold is not None:
                self._hold.release()
            self._hold = None
        elif self._hold is None:
            self._hold = take_hold(self._label, firm_s=self._firm_s)
