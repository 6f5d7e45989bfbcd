"""The clock of a virtual loop, as a test holds it in its hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.draws import drawn_seconds
from pytest_mnemosyne.simulation.loop._errors import ConditionNotMetError
from pytest_mnemosyne.simulation.loop._holds import Hold
from pytest_mnemosyne.simulation.loop._loop import VirtualLoop
from pytest_mnemosyne.simulation.loop._steps import name_of
from pytest_mnemosyne.simulation.loop._waiting import told, waiting_tasks

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock of every virtual loop begins here, whatever day it is."""


class VirtualClock:
    """The time of one virtual loop; used on that loop. It is a `Clock` of the core, too."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    @classmethod
    def of_running_loop(cls) -> VirtualClock:
        """The clock of the loop that runs.

        Raises:
            UsageError: Its time is not virtual.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise UsageError(
                f"the running loop is a {type(loop).__name__}, whose time is real; "
                "mark the test virtual_time, or use the fixture virtual_clock in it"
            )
        return cls(loop)

    @property
    def loop(self) -> VirtualLoop:
        """The loop whose clock this is."""
        return self._loop

    def monotonic(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._loop.time()

    def now(self) -> datetime:
        """The wall clock: `EPOCH` plus the virtual time."""
        return EPOCH + timedelta(seconds=self._loop.time())

    def drawn_s(self, label: str, low_s: float, high_s: float) -> float:
        """Seconds that are left to chance, such as for the disk of a stand-in to sleep.

        Under a schedule they come from its tape; otherwise they are `low_s`.
        """
        return drawn_seconds(self._loop.draws, label, low_s, high_s)

    async def advance(self, seconds: float) -> None:
        """Move the time, whatever holds it; everything due on the way happens, in order.

        Returns once every task is blocked at the new time.
        """
        await self._loop.advance(seconds)

    async def settle(self) -> None:
        """Wait until every other task is blocked; the time does not move.

        What goes on outside of the loop, in threads and processes, is not waited for.
        """
        await self._loop.settle()

    async def run_until(self, condition: Callable[[], object], *, within: float) -> None:
        """Let everything run, and the time move, until a condition is true.

        Args:
            condition: Asked after every step of every task.
            within: Virtual seconds.

        Raises:
            ConditionNotMetError: It did not become true in time.
        """
        loop = self._loop
        if condition():
            return
        met = loop.create_future()

        def check(_label: str) -> None:
            if not met.done() and condition():
                met.set_result(None)

        with loop.checking(check):
            try:
                async with asyncio.timeout(within) as patience:
                    await met
            except TimeoutError:
                if not patience.expired():
                    raise
                raise ConditionNotMetError(
                    condition=name_of(condition),
                    within_s=within,
                    now_s=loop.time(),
                    waiting=told(waiting_tasks(loop)),
                ) from None

    def hold(self, label: str) -> Hold:
        """Keep the time from moving by itself while a `with` block runs.

        For what the loop cannot see: a server elsewhere, a thread of one's own. Threads of
        executors, child processes and name resolution hold the time by themselves.

        Args:
            label: For what; told when the hold lasts too long.
        """
        return self._loop.hold(label)

    def release_process(self, pid: int) -> None:
        """Let the time move by itself although a child process runs: one that only waits.

        Raises:
            UsageError: No running child process of this loop has that number.
        """
        self._loop.release_process(pid)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self._loop.time():g} s>"
