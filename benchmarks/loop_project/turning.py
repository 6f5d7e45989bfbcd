"""Turns one kind of loop: `python turning.py KIND PROGRAM COUNT`, seconds of processor printed.

Written without this project's help for the peers, so that none pays for another.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable


async def hops(count: int) -> None:
    """One task that gives way again and again."""
    for _ in range(count):
        await asyncio.sleep(0)


async def handovers(count: int) -> None:
    """Two tasks that hand something to each other through queues."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(count // 2):
            back.put_nowait(await there.get())

    task = asyncio.create_task(answer())
    for number in range(count // 2):
        there.put_nowait(number)
        await back.get()
    await task


async def jumps(count: int) -> None:
    """One task that sleeps: every time, the clock has to jump."""
    for _ in range(count):
        await asyncio.sleep(1)


PROGRAMS = {"hops": hops, "handovers": handovers, "jumps": jumps}


def on_loop(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[..., float]:
    def measure(program: Callable[[int], Awaitable[None]], count: int) -> float:
        async def main() -> float:
            began_s = time.process_time()
            await program(count)
            return time.process_time() - began_s

        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(main())

    return measure


def stock() -> Callable[..., float]:
    return on_loop(asyncio.SelectorEventLoop)


def virtual() -> Callable[..., float]:
    from pytest_mnemosyne.simulation import VirtualLoop

    return on_loop(VirtualLoop)


def traced() -> Callable[..., float]:
    from pytest_mnemosyne.simulation import VirtualLoop
    from pytest_mnemosyne.simulation.schedules import Random, Schedule

    def make_loop() -> asyncio.AbstractEventLoop:
        schedule = Schedule(Random(1))
        return VirtualLoop(order=schedule, trace=schedule.trace)

    return on_loop(make_loop)


def looptime() -> Callable[..., float]:
    from looptime import LoopTimeEventLoop

    class Loop(LoopTimeEventLoop, asyncio.SelectorEventLoop):
        pass

    return on_loop(Loop)


def simloom() -> Callable[..., float]:
    import simloom as peer

    def measure(program: Callable[[int], Awaitable[None]], count: int) -> float:
        async def main() -> float:
            began_s = time.process_time()
            await program(count)
            return time.process_time() - began_s

        return float(peer.run(main, seed=1).value)

    return measure


KINDS = {each.__name__: each for each in (stock, virtual, traced, looptime, simloom)}


def main() -> None:
    kind, program, count = sys.argv[1:]
    print(KINDS[kind]()(PROGRAMS[program], int(count)))


main()
