"""Small concurrent programs and a way to run them under a schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.simulation.schedules import Properties, Ran, Runner, Schedule

Program = Callable[[Properties], Awaitable[None]]


def runs_of(program: Program) -> Runner:
    """Runs of a program, each on a loop of its own; an exception is a failure."""

    def run(schedule: Schedule) -> Ran:
        def loop() -> VirtualLoop:
            return VirtualLoop(order=schedule, trace=schedule.trace)

        with asyncio.Runner(loop_factory=loop) as runner:
            made = runner.get_loop()
            assert isinstance(made, VirtualLoop)
            properties = Properties(made)

            async def main() -> None:
                await program(properties)

            with made.checking(properties.check):
                try:
                    runner.run(main())
                    properties.finish(failed=False)
                except Exception as error:
                    properties.finish(failed=True)
                    return Ran(schedule, type(error).__name__)
        return Ran(schedule)

    return run


async def lost_update(properties: Properties) -> None:
    """Three workers read a number, give way, and write it back one higher.

    First come, first served, all three read 0 before anybody writes, so the sum is 1: the
    bug is a sum that is not.
    """
    number = 0

    async def work() -> None:
        nonlocal number
        read = number
        await asyncio.sleep(0)
        number = read + 1

    await asyncio.gather(work(), work(), work())
    assert number == 1


async def assumed_order(properties: Properties) -> None:
    """Two tasks of which the first is taken to begin first."""
    begun: list[str] = []

    async def begin(name: str) -> None:
        begun.append(name)

    await asyncio.gather(begin("a"), begin("b"))
    assert begun == ["a", "b"]


async def correct(properties: Properties) -> None:
    """The same under a lock: no order breaks it."""
    number = 0
    lock = asyncio.Lock()

    async def work() -> None:
        nonlocal number
        async with lock:
            read = number
            await asyncio.sleep(0)
            number = read + 1

    await asyncio.gather(work(), work(), work())
    assert number == 3
