from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest_asyncio

from mnemosyne_core.supervision import ChildSpec, Ref, RestartIntensity, Strategy, Supervisor
from pytest_mnemosyne.simulation.draws import Draws
from pytest_mnemosyne.simulation.faults import FaultPlan, PlannedFailpoints, RunningPlan
from tests.core.supervision.support import MemoryRecorder


@dataclass(frozen=True)
class Supervised:
    """A supervisor under a plan, and what is known of it."""

    supervisor: Supervisor
    failpoints: PlannedFailpoints
    recorder: MemoryRecorder

    @property
    def story(self) -> list[str]:
        return self.recorder.story

    @property
    def struck(self) -> list[str]:
        return [str(strike) for strike in self.failpoints.strikes]

    def ref(self, path: str) -> Ref:
        return self.supervisor.whereis(path)


class Supervise(Protocol):
    def __call__(
        self,
        plan: str,
        *children: ChildSpec,
        strategy: Strategy = ...,
        max_restarts: int = ...,
        draws: Draws | None = ...,
    ) -> Supervised: ...


@pytest_asyncio.fixture
async def supervised() -> AsyncIterator[Supervise]:
    """Makes supervisors that are not started; they are stopped, and everybody let go."""
    made: list[Supervised] = []

    def make(
        plan: str,
        *children: ChildSpec,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        draws: Draws | None = None,
    ) -> Supervised:
        recorder = MemoryRecorder()
        failpoints = PlannedFailpoints(RunningPlan(FaultPlan.parse(plan), draws=draws))
        supervisor = Supervisor(
            children,
            strategy=strategy,
            intensity=RestartIntensity(max_restarts=max_restarts, period_s=60.0),
            recorder=recorder,
            failpoints=failpoints,
        )
        made.append(Supervised(supervisor, failpoints, recorder))
        return made[-1]

    yield make
    for each in made:
        if each.supervisor.failure is None:
            await each.supervisor.stop()
        await each.failpoints.release()
