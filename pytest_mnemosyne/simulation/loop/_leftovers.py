"""What is left on a loop when a test is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from pytest_mnemosyne.simulation.loop._loop import VirtualLoop
from pytest_mnemosyne.simulation.loop._steps import name_of, work_of


def leftovers(loop: VirtualLoop) -> tuple[str, ...]:
    """Tasks that have not ended, timers that are set, open transports, holds: a line each."""
    inner = cast("Any", loop)
    transports = [each for each in inner._transports.values() if not each.is_closing()]
    return (
        *_tasks(loop),
        *(f"a timer: {_timer(timer)}" for timer in inner._timers),
        *(f"a transport: {transport!r}" for transport in transports),
        *_descriptors(loop),
        *(f"a hold: {label}" for label in loop.holds()),
    )


def _tasks(loop: VirtualLoop) -> Iterator[str]:
    # Whoever asks is not left over.
    tasks = asyncio.all_tasks(loop).difference({asyncio.current_task(loop)})
    yield from sorted(
        f"a task: {task.get_name()} ({work_of(task)})" for task in tasks if not task.done()
    )


def _timer(timer: asyncio.TimerHandle) -> str:
    return f"{name_of(cast('Any', timer)._callback)} at {timer.when():g} s"


def _descriptors(loop: VirtualLoop) -> Iterator[str]:
    """Descriptors that are watched and belong to no transport."""
    inner = cast("Any", loop)
    for key in inner._selector.get_map().values():
        if key.fd != inner._ssock.fileno() and key.fd not in inner._transports:
            yield f"a watched descriptor: {key.fd}"
