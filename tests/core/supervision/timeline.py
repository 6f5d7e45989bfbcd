"""A recorder that keeps the loop's time beside each event, for tests on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from mnemosyne_core.events import Event, Fact
from mnemosyne_core.supervision import Actor, Context, Exit
from tests.core.supervision.support import MemoryRecorder, Puppet, words_of

F = TypeVar("F", bound=Fact)


class Timeline(MemoryRecorder):
    """What happened when."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, str]] = []

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        event = super().record(fact, agent=agent, attempt=attempt, by=by)
        now_s = round(asyncio.get_running_loop().time(), 6)
        self.told.append((now_s, words_of(event)))
        return event

    def facts(self, kind: type[F]) -> list[F]:
        """The facts of one kind, in order."""
        return [event.fact for event in self.events if isinstance(event.fact, kind)]

    def when(self, words: str) -> list[float]:
        """At which times something was recorded."""
        return [at_s for at_s, told in self.told if told == words]

    def forget(self) -> None:
        """What comes now is another story."""
        self.told.clear()
        self.events.clear()


def takes(start_s: float = 0.0, stop_s: float = 0.0) -> Callable[[], Actor]:
    """Makes actors whose start and whose end take some seconds."""

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            await asyncio.sleep(start_s)

        async def stopping(self, reason: Exit) -> None:
            await asyncio.sleep(stop_s)

    return Slow


class Stubborn(Puppet):
    """Swallows every cancellation of its end, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def stopping(self, reason: Exit) -> None:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue


class Mortal(Puppet):
    """Crashes a while after each start."""

    def __init__(self, after_s: float) -> None:
        super().__init__()
        self.after_s = after_s

    async def started(self, context: Context) -> None:
        context.spawn(self._die(), name="die")

    async def _die(self) -> None:
        await asyncio.sleep(self.after_s)
        raise ZeroDivisionError("mortal")
