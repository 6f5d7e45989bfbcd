"""Whose request it is: what follows from task to task and thread to thread, and what is lost."""

from __future__ import annotations

import asyncio

from mnemosyne_core import lane
from mnemosyne_core.lane import Lane


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
