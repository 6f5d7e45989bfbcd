"""The fault plan of a test: in front of its cassette, for as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator
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
    from pytest_mnemosyne.simulation.faults import Strike

TITLE: Final = "fault plan"


class FaultInjector(FaultPlanBuilder):
    """A plan in front of a test's Claude: what is said takes effect at once.

    It concerns every client of the process, in trees and outside.
    """

    def __init__(self, *, seed: str) -> None:
        """An empty plan; outside a search of schedules its chance comes from `seed`."""
        super().__init__()
        self.running = RunningPlan(draws=OfRunningLoop(Seeded(seed)))

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


def injecting(door: Door, record: TestRecord) -> Iterator[FaultInjector]:
    """Put a plan in front of `door`, and check at the end that it was met."""
    injector = record.faults = FaultInjector(seed=record.nodeid)
    before, door.faults = door.faults, injector.running
    try:
        yield injector
    finally:
        door.faults = before
    if not record.has_passed:
        return
    try:
        injector.running.check_met()
    except FaultsNotMetError as error:
        pytest.fail(str(error), pytrace=False)
