"""Many of a kind at once: how long they take to start and to stop, and their memory."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from contextlib import AbstractAsyncContextManager


class Crowd:
    """What is measured of any kind."""

    def members(self, count: int) -> AbstractAsyncContextManager[None]:
        """So many of them: all are ready inside, and all have ended afterwards."""
        raise NotImplementedError

    def times(self, count: int) -> list[float]:
        """Seconds until all are ready, and until all have ended."""

        async def main() -> list[float]:
            began_s = time.perf_counter()
            async with self.members(count):
                ready_s = time.perf_counter() - began_s
                began_s = time.perf_counter()
            return [ready_s, time.perf_counter() - began_s]

        return asyncio.run(main())

    def memory(self, count: int) -> float:
        """Bytes that each of them holds, as Python's allocators count."""

        async def main() -> float:
            gc.collect()
            tracemalloc.start()
            try:
                async with self.members(count):
                    gc.collect()
                    held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            return held / count

        return asyncio.run(main())
