"""The fault plan of a test: in front of its cassette and in its systems, while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pytest

from pytest_mnemosyne.simulation.draws import OfRunningLoop, Seeded
from pytest_mnemosyne.simulation.faults import (
    FaultPlan,
    FaultPlanBuilder,
    FaultsNotMetError,
    RunningPlan,
)

if TYPE_CHECKING:
    from typing import Self

    from pytest_mnemosyne.cassette import Door
    from pytest_mnemosyne.plugin._record import TestRecord
    from pytest_mnemosyne.simulation.faults import PlannedFailpoints, Strike

TITLE: Final = "fault plan"


class FaultInjector(FaultPlanBuilder):
    """A plan for a test: what is said takes effect at once.

    What it says of Claude concerns every client of the process, in trees and outside. The
    rest concerns the trees and bridges of this plug-in's fixtures, and whoever else is given
    its `failpoints`.
    """

    def __init__(self, *, seed: str) -> None:
        """An empty plan; outside a search of schedules its chance comes from `seed`."""
        super().__init__()
        self.running = RunningPlan(draws=OfRunningLoop(Seeded(seed)))

    @cached_property
    def failpoints(self) -> PlannedFailpoints:
        """The plan for a supervisor, tree, bridge or broadcaster of the test's own."""
        from pytest_mnemosyne.simulation.faults import PlannedFailpoints

        return PlannedFailpoints(self.running)

    def add(self, plan: FaultPlan | str) -> Self:
        """Let a whole plan follow, such as one that a report shows."""
        before = len(self.plan)
        super().add(plan)
        self.running.add(FaultPlan(self.plan.faults[before:]))
        return self

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """What has happened so far, in order."""
        return self.running.strikes

    def told(self) -> str:
        """The plan as a line that can be used again, and what it did."""
        lines = [f"fault_plan.add({str(self.plan)!r})"]
        lines += [f"  {strike}" for strike in self.strikes] or ["  nothing met it"]
        return "\n".join(lines)

    def tell(self, report: pytest.TestReport) -> None:
        """Let the report of a failure show the plan under which it happened."""
        if report.failed and self.plan:
            report.sections.append((TITLE, self.told()))

    async def release(self) -> None:
        """Let everybody go whom the plan keeps from ending: a loop waits for all its tasks."""
        if "failpoints" in vars(self):
            await self.failpoints.release()

    def judge(self, record: TestRecord) -> None:
        """Fail a test that has passed although it has not met its plan."""
        if not record.has_passed:
            return
        try:
            self.running.check_met()
        except FaultsNotMetError as error:
            pytest.fail(str(error), pytrace=False)


def injecting(
    door: Door, record: TestRecord, cleanup: AsyncExitStack | None
) -> Iterator[FaultInjector]:
    """Put a plan in front of `door`, and check at the end that it was met.

    Args:
        door: The way to Claude.
        record: Of the test.
        cleanup: Unwound on the loop of an asynchronous test. The end of its systems is part
            of what a plan may have to do with, so the check comes after that.
    """
    injector = record.faults = FaultInjector(seed=record.nodeid)
    if cleanup is not None:
        cleanup.callback(injector.judge, record)
        cleanup.push_async_callback(injector.release)
    before, door.faults = door.faults, injector.running
    try:
        yield injector
    finally:
        door.faults = before
    if cleanup is None:
        injector.judge(record)
