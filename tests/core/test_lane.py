"""Whose request it is: what follows from task to task and thread to thread, and what is lost."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from mnemosyne_core import lane
from mnemosyne_core.lane import Lane

T = TypeVar("T")


async def test_a_thread_of_the_loop_loses_the_agent_and_to_thread_keeps_it() -> None:
    loop = asyncio.get_running_loop()

    with lane.entered(Lane("executor")):
        assert not lane.is_lost()
        assert not await asyncio.to_thread(lane.is_lost)
        assert await loop.run_in_executor(None, lane.is_lost)
    assert not await loop.run_in_executor(None, lane.is_lost)


async def test_code_beside_the_agents_on_their_loop_is_nobodys_and_not_lost() -> None:
    there, leave = asyncio.Event(), asyncio.Event()

    async def agent() -> None:
        with lane.entered(Lane("executor")):
            there.set()
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(agent())
        await there.wait()
        assert lane.current.get() is None
        assert not lane.is_lost()
        leave.set()


def test_an_agent_whose_loop_was_closed_is_there_no_more() -> None:
    loop, context = asyncio.new_event_loop(), contextvars.copy_context()
    loop.set_exception_handler(lambda *_: None)  # it would tell of the task
    agent = _agent_that_waits()
    task = loop.create_task(agent, context=context)
    loop.run_until_complete(asyncio.sleep(0))
    assert _in_a_thread(lane.is_lost)

    loop.close()

    assert not _in_a_thread(lane.is_lost)
    assert not task.done()
    context.run(agent.close)


def test_an_agent_whose_thread_has_ended_is_there_no_more() -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(_agent_that_waits())
    _in_a_thread(lambda: loop.run_until_complete(asyncio.sleep(0)))

    assert not _in_a_thread(lane.is_lost)

    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()


async def test_agents_on_two_loops_are_both_there() -> None:
    there, leave = threading.Event(), threading.Event()

    def other() -> None:
        with lane.entered(Lane("reviewer")):
            there.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert there.wait(10)
    with lane.entered(Lane("executor")):
        assert _in_a_thread(lane.is_lost)
    # Beside nobody any more, and in another thread than the reviewer.
    assert lane.is_lost()
    leave.set()
    thread.join()
    assert not lane.is_lost()


async def _agent_that_waits() -> None:
    with lane.entered(Lane("executor")):
        await asyncio.Event().wait()


def _in_a_thread(target: Callable[[], T]) -> T:
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(target()))
    thread.start()
    thread.join()
    return found[0]
