"""Our actors under a supervisor, with either of two recorders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from itertools import count

from crowd import Crowd
from programs import CRASH, LoopPeer

from mnemosyne_core.events import Event, Fact, Recorder
from mnemosyne_core.storage import Journal
from mnemosyne_core.supervision import Actor, ChildSpec, RestartIntensity, Supervisor


class Worker(Actor):
    mailbox_capacity = 10_000_000  # those of the peers have no bound

    async def receive(self, message: object, context: object) -> object:  # noqa: ARG002
        if message == CRASH:
            raise RuntimeError(message)
        return message


class CountingRecorder:
    """Numbers what happens and keeps nothing of it, as no peer does."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._at = datetime.now(UTC)

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        return Event(
            seq=next(self._numbers), at=self._at, agent=agent, attempt=attempt, by=by, fact=fact
        )


class Counted(LoopPeer):
    """What supervision itself costs."""

    def recorder(self) -> AbstractContextManager[Recorder]:
        return nullcontext(CountingRecorder())

    @asynccontextmanager
    async def worker(
        self,
    ) -> AsyncIterator[tuple[Callable[[object], Awaitable[object]], Callable[[object], None]]]:
        async with self._supervisor(ChildSpec(id="worker", start=Worker)) as supervisor:
            ref = supervisor.whereis("worker")
            yield ref.ask, ref.send_nowait

    @asynccontextmanager
    async def spawning(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        numbers = count(1)
        async with self._supervisor() as supervisor:

            def spawn() -> Awaitable[object]:
                return supervisor.start_child(ChildSpec(id=f"{next(numbers)}", start=Worker))

            yield spawn

    @asynccontextmanager
    async def breaking(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        async with self._supervisor(ChildSpec(id="worker", start=Worker)) as supervisor:
            ref = supervisor.whereis("worker")

            async def crash() -> None:
                nonlocal ref
                ref.send_nowait(CRASH)
                ref = await supervisor.wait_restarted("worker", ref)

            yield crash

    @asynccontextmanager
    async def _supervisor(self, *children: ChildSpec) -> AsyncIterator[Supervisor]:
        tolerant = RestartIntensity(max_restarts=10_000_000)
        with self.recorder() as recorder:
            async with Supervisor(children, intensity=tolerant, recorder=recorder) as supervisor:
                yield supervisor


class Journalled(Counted):
    """The same, and every event stored and published, as in a tree in memory."""

    def recorder(self) -> AbstractContextManager[Recorder]:
        return Journal.open()


class Actors(Crowd):
    """Under one supervisor, whose events are stored."""

    @asynccontextmanager
    async def members(self, count: int) -> AsyncIterator[None]:
        specs = [ChildSpec(id=f"{number}", start=Worker) for number in range(count)]
        with Journal.open() as journal:
            async with Supervisor(specs, recorder=journal):
                yield
