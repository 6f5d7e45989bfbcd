"""Running programs on a virtual loop, without pytest's help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pytest_mnemosyne.simulation.loop import Limits, Order, Trace, VirtualClock, VirtualLoop

T = TypeVar("T")

Program = Callable[[VirtualClock], Awaitable[T]]


def run(
    program: Program[T],
    *,
    limits: Limits | None = None,
    order: Order | None = None,
    trace: Trace | None = None,
) -> T:
    """Run a program on a new loop, to its end, and close the loop."""

    async def main() -> T:
        return await program(VirtualClock.of_running_loop())

    def loop() -> VirtualLoop:
        return VirtualLoop(limits=limits, order=order, trace=trace)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())
