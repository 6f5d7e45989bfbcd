"""What a user of the SDK sees of each fault: the table in docs/faults.md, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_mnemosyne.simulation.faults import PROVIDER_FAULTS, FaultPlan
from tests.simulation.faults.asking import ANSWER, TOOL_CALL, Seen, see, see_async

PAGE = Path(__file__).parents[3] / "docs" / "faults.md"


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    plan: str
    asked_for: str
    outcome: str
    requests: int
    asked: int
    seconds: float
    seconds_sync: float

    @classmethod
    def of(cls, line: str) -> Row:
        plan, asked_for, outcome, *numbers = (
            cell.strip() for cell in line.strip("|\n ").split("|")
        )
        requests, asked, seconds, seconds_sync = map(float, numbers)
        return cls(
            plan.strip("`"), asked_for, outcome, int(requests), int(asked), seconds, seconds_sync
        )

    @property
    def streams(self) -> bool:
        return "stream" in self.asked_for

    @property
    def message(self) -> dict[str, object]:
        return TOOL_CALL if "tool" in self.asked_for else ANSWER

    def promises(self, seconds: float) -> Seen:
        return Seen(
            outcome=self.outcome,
            requests=self.requests,
            asked=self.asked,
            seconds=seconds,
            unmet=False,
        )


def rows() -> list[Row]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [Row.of(line) for line in lines if line.startswith("| `") and line.count("|") == 8]


EACH_ROW = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row.plan} {row.asked_for}") for row in rows()]
)


@EACH_ROW
def test_the_asynchronous_client_sees_what_the_table_says(row: Row) -> None:
    seen = see_async(FaultPlan.parse(row.plan), stream=row.streams, message=row.message)

    assert seen == row.promises(row.seconds)


@EACH_ROW
def test_the_synchronous_client_sees_what_the_table_says(row: Row) -> None:
    seen = see(FaultPlan.parse(row.plan), stream=row.streams, message=row.message)

    assert seen == row.promises(row.seconds_sync)


def test_the_table_has_every_kind_of_fault() -> None:
    shown = {planned.fault.word for row in rows() for planned in FaultPlan.parse(row.plan)}

    assert shown == {kind.word for kind in PROVIDER_FAULTS}
