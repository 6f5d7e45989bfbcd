"""The floor: a task that reads an `asyncio.Queue`, and a future for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from crowd import Crowd
from programs import CRASH, LoopPeer


class Worker:
    """A queue and the task that empties it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[object, asyncio.Future[object] | None]] = asyncio.Queue()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        self.ready.set_result(None)
        while True:
            message, answer = await self.queue.get()
            if message == CRASH:
                raise RuntimeError(message)
            if answer is not None:
                answer.set_result(message)

    async def ask(self, message: object) -> object:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((message, answer))
        return await answer

    def tell(self, message: object) -> None:
        self.queue.put_nowait((message, None))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


class Raw(LoopPeer):
    """Nobody supervises; a done-callback starts the next one."""

    @asynccontextmanager
    async def worker(
        self,
    ) -> AsyncIterator[tuple[Callable[[object], Awaitable[object]], Callable[[object], None]]]:
        worker = Worker()
        await worker.ready
        yield worker.ask, worker.tell
        await worker.stop()

    @asynccontextmanager
    async def spawning(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        workers: list[Worker] = []

        async def spawn() -> None:
            worker = Worker()
            workers.append(worker)
            await worker.ready

        yield spawn
        for worker in workers:
            await worker.stop()

    @asynccontextmanager
    async def breaking(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        succeeded: asyncio.Future[Worker]

        def start() -> Worker:
            worker = Worker()
            worker.task.add_done_callback(ended)
            return worker

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                succeeded.set_result(start())

        present = start()

        async def crash() -> None:
            nonlocal present, succeeded
            succeeded = asyncio.get_running_loop().create_future()
            present.tell(CRASH)
            present = await succeeded
            await present.ready

        await present.ready
        yield crash
        await present.stop()


class Tasks(Crowd):
    """A task, a queue and a future each, and nobody who watches them."""

    @asynccontextmanager
    async def members(self, count: int) -> AsyncIterator[None]:
        workers = [Worker() for _ in range(count)]
        for worker in workers:
            await worker.ready
        yield
        for worker in workers:
            await worker.stop()
