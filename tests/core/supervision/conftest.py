from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio

from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildSpec,
    RestartIntensity,
    Strategy,
    Supervisor,
)
from tests.core.supervision.support import FakeClock, MemoryRecorder


class MakeSupervisor(Protocol):
    async def __call__(
        self,
        *children: ChildSpec,
        strategy: Strategy = ...,
        max_restarts: int = ...,
        auto_shutdown: AutoShutdown = ...,
    ) -> Supervisor: ...


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    # One turn of the loop for the task that was the last to end.
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


@pytest_asyncio.fixture
async def supervise(
    recorder: MemoryRecorder, clock: FakeClock, nothing_left_running: None
) -> AsyncIterator[MakeSupervisor]:
    made: list[Supervisor] = []

    async def make(
        *children: ChildSpec,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    ) -> Supervisor:
        supervisor = Supervisor(
            children,
            strategy=strategy,
            intensity=RestartIntensity(max_restarts=max_restarts, period_s=10.0),
            auto_shutdown=auto_shutdown,
            recorder=recorder,
            clock=clock,
            kill_grace_s=0.01,
        )
        made.append(supervisor)
        await supervisor.start()
        return supervisor

    yield make
    for supervisor in made:
        if supervisor.failure is None:
            await supervisor.stop()
