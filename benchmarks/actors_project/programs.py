"""The programs, for peers on an event loop and for peers that block.

A peer says how one asks, tells, spawns and breaks a worker, as plain callables, so that
what is timed is the peer's own. Throughput is timed by the processor, which a busy
machine changes less, and a restart by the wall.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager

IN_FLIGHT = 64
CRASH = "crash"


class LoopPeer:
    """What each program does with a peer on an event loop."""

    def worker(
        self,
    ) -> AbstractAsyncContextManager[
        tuple[Callable[[object], Awaitable[object]], Callable[[object], None]]
    ]:
        """One worker: how to ask it, which gives the question back, and how to tell it."""
        raise NotImplementedError

    def spawning(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[object]]]:
        """How to start one more worker; awaits that it is ready. All end with the context."""
        raise NotImplementedError

    def breaking(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[object]]]:
        """How to crash a supervised worker; awaits that its successor is ready."""
        raise NotImplementedError

    def ask(self, count: int) -> float:
        async def main() -> float:
            async with self.worker() as (ask, _):
                began_s = time.process_time()
                for number in range(count):
                    await ask(number)
                return time.process_time() - began_s

        return asyncio.run(main())

    def ask_in_flight(self, count: int) -> float:
        async def main() -> float:
            async with self.worker() as (ask, _):

                async def client() -> None:
                    for number in range(count // IN_FLIGHT):
                        await ask(number)

                began_s = time.process_time()
                await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
                return time.process_time() - began_s

        return asyncio.run(main())

    def tell(self, count: int) -> float:
        async def main() -> float:
            async with self.worker() as (ask, tell):
                began_s = time.process_time()
                for number in range(count):
                    tell(number)
                # Answered once all the others have been handled.
                await ask("the last")
                return time.process_time() - began_s

        return asyncio.run(main())

    def spawn(self, count: int) -> float:
        async def main() -> float:
            async with self.spawning() as spawn:
                began_s = time.process_time()
                for _ in range(count):
                    await spawn()
                return time.process_time() - began_s

        return asyncio.run(main())

    def restart(self, count: int) -> list[float]:
        async def main() -> list[float]:
            latencies = []
            async with self.breaking() as crash:
                for _ in range(count):
                    began_s = time.perf_counter()
                    await crash()
                    latencies.append(time.perf_counter() - began_s)
            return latencies

        return asyncio.run(main())


class BlockingPeer:
    """What each program does with a peer whose callers wait in their own thread."""

    def worker(
        self,
    ) -> AbstractContextManager[tuple[Callable[[object], object], Callable[[object], None]]]:
        """As for `LoopPeer`."""
        raise NotImplementedError

    def spawning(self) -> AbstractContextManager[Callable[[], object]]:
        """As for `LoopPeer`."""
        raise NotImplementedError

    def breaking(self) -> AbstractContextManager[Callable[[], object]]:
        """As for `LoopPeer`."""
        raise NotImplementedError

    def ask(self, count: int) -> float:
        with self.worker() as (ask, _):
            began_s = time.process_time()
            for number in range(count):
                ask(number)
            return time.process_time() - began_s

    def tell(self, count: int) -> float:
        with self.worker() as (ask, tell):
            began_s = time.process_time()
            for number in range(count):
                tell(number)
            ask("the last")
            return time.process_time() - began_s

    def spawn(self, count: int) -> float:
        with self.spawning() as spawn:
            began_s = time.process_time()
            for _ in range(count):
                spawn()
            return time.process_time() - began_s

    def restart(self, count: int) -> list[float]:
        latencies = []
        with self.breaking() as crash:
            for _ in range(count):
                began_s = time.perf_counter()
                crash()
                latencies.append(time.perf_counter() - began_s)
        return latencies
