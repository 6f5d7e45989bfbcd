"""What the end of the run says about Claude.

Everything travels on the tests' reports, as plain values. So the numbers of xdist
workers add up in the controller by themselves, and a worker that crashes takes only
its unreported test along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

import pytest

from pytest_mnemosyne.plugin._record import Violation

STRAYS_KEY: Final = "mnemosyne_strays"
"""Where an xdist worker's output holds the refused requests that belong to no test."""

_ATTRIBUTE: Final = "mnemosyne"
_LINES_PER_VIOLATION: Final = 5
_COUNTED: Final = (
    "played",
    "recorded",
    "discarded",
    "forwarded",
    "injected",
    "missed",
    "unplayed",
)


class Parcel(TypedDict):
    """What one report carries."""

    counts: dict[str, int]
    mode: str
    violations: list[list[str]]
    notes: list[str]


def attach(
    report: pytest.TestReport,
    *,
    mode: str,
    counts: Mapping[str, int] | None = None,
    violations: Sequence[Violation] = (),
    notes: Sequence[str] = (),
) -> None:
    """Put a parcel on a report."""
    parcel = Parcel(
        counts=dict(counts or {}),
        mode=mode,
        violations=violations_to_plain(violations),
        notes=list(notes),
    )
    setattr(report, _ATTRIBUTE, parcel)


class Summary:
    """The parcels of a run, added up; registered as a plug-in of its own."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.modes: set[str] = set()
        self.has_strays = False
        self._violations: list[tuple[str, Violation]] = []
        self._notes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the parcel of a report, if it carries one."""
        parcel: Parcel | None = getattr(report, _ATTRIBUTE, None)
        if parcel is None:
            return
        self.counts.update(parcel["counts"])
        self.modes.add(parcel["mode"])
        self._notes += parcel["notes"]
        for each in parcel["violations"]:
            found = (report.nodeid, Violation(*each))
            # The report of a subtest tells it before its test's own does.
            if found not in self._violations:
                self._violations.append(found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what an xdist worker has left over; nothing where it crashed."""
        output = getattr(node, "workeroutput", None) or {}
        for each in output.get(STRAYS_KEY, ()):
            self.take_stray(Violation(*each))

    def take_stray(self, violation: Violation) -> None:
        """Add a refused request that belongs to no test."""
        self.has_strays = True
        self._violations.append(("outside every test", violation))

    def take_note(self, note: str) -> None:
        """Add a line about a test that no report will carry."""
        self._notes.append(note)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what there is to say; nothing where Claude was never asked."""
        if self._violations:
            terminalreporter.section("requests to Claude without an answer", red=True, bold=True)
            for where, violation in self._violations:
                terminalreporter.write_line(where, bold=True)
                for line in violation.text.splitlines()[:_LINES_PER_VIOLATION]:
                    terminalreporter.write_line(f"  {line}")
        for note in self._notes:
            terminalreporter.write_line(f"mnemosyne: {note}", yellow=True)
        line = self.line()
        if line:
            terminalreporter.write_line(line)

    def line(self) -> str:
        """The one line of numbers; empty where there are none."""
        counts = self.counts
        numbers = ", ".join(f"{counts[word]:,} {word}" for word in _COUNTED if counts[word])
        if not numbers:
            return ""
        tokens = f"{counts['input_tokens']:,} tokens in, {counts['output_tokens']:,} out"
        return f"mnemosyne ({', '.join(sorted(self.modes))}): {numbers}; {tokens}"


def violations_to_plain(violations: Sequence[Violation]) -> list[list[str]]:
    """Violations as plain values, for a worker's output."""
    return [[each.headline, each.text] for each in violations]
