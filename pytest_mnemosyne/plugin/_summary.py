"""What the end of the run says about Claude.

Everything travels on the tests' reports, as plain values. So the numbers of xdist
workers add up in the controller by themselves, and a worker that crashes takes only
its unreported test along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

import pytest

from pytest_mnemosyne.plugin._record import Violation

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._leftovers import Opened, Result

STRAYS_KEY: Final = "mnemosyne_strays"
"""Where an xdist worker's output holds the refused requests that belong to no test."""

_ATTRIBUTE: Final = "mnemosyne"
_LINES_PER_VIOLATION: Final = 5
_COUNTED: Final = (
    "played",
    "compared",
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
    sections: dict[str, list[str]]
    """Lines about the test, each list under a title of its own."""

    models: dict[str, str]
    """The deprecated models that were asked for, and when their lives end."""

    opened: Opened | None


def attach(
    report: pytest.TestReport,
    *,
    mode: str,
    counts: Mapping[str, int] | None = None,
    violations: Sequence[Violation] = (),
    notes: Sequence[str] = (),
    sections: Mapping[str, list[str]] | None = None,
    models: Mapping[str, str] | None = None,
    opened: Opened | None = None,
) -> None:
    """Put a parcel on a report."""
    parcel = Parcel(
        counts=dict(counts or {}),
        mode=mode,
        violations=violations_to_plain(violations),
        notes=list(notes),
        sections=dict(sections or {}),
        models=dict(models or {}),
        opened=opened,
    )
    setattr(report, _ATTRIBUTE, parcel)


def parcel_of(report: pytest.TestReport) -> Parcel | None:
    """The parcel on a report; `None` where it carries none."""
    parcel: Parcel | None = getattr(report, _ATTRIBUTE, None)
    return parcel


class Summary:
    """The parcels of a run, added up; registered as a plug-in of its own."""

    def __init__(self) -> None:
        self.opened: dict[str, Opened] = {}
        """Which cassette each test had; of a test that is repeated the last run counts."""

        self.left_over: Result | None = None
        """What was made of them at the end; `None` before, and in workers."""

        self.counts: Counter[str] = Counter()
        self.modes: set[str] = set()
        self.money = ""
        """The line about money; empty where there is nothing to say."""

        self.has_strays = False
        self._violations: list[tuple[str, Violation]] = []
        self._notes: list[str] = []
        self._sections: dict[str, dict[str, list[str]]] = {}
        self._models: dict[str, tuple[str, set[str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the parcel of a report, if it carries one."""
        parcel = parcel_of(report)
        if parcel is None:
            return
        if parcel["counts"] or parcel["violations"]:
            self.modes.add(parcel["mode"])
        self.counts.update(parcel["counts"])
        opened = parcel["opened"]
        if opened is not None:
            self.opened[report.nodeid] = opened
            for model, end in parcel["models"].items():
                self._models.setdefault(model, (end, set()))[1].add(opened["path"])
        for title, lines in parcel["sections"].items():
            self._sections.setdefault(title, {})[report.nodeid] = lines
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
        for title, by_test in self._sections.items():
            terminalreporter.section(title, yellow=True, bold=True)
            for nodeid, lines in by_test.items():
                terminalreporter.write_line(nodeid, bold=True)
                for line in lines:
                    terminalreporter.write_line(f"  {line}")
        rootdir = terminalreporter.config.rootpath
        if self.left_over is not None:
            self.left_over.tell(terminalreporter, rootdir)
            self._notes += self.left_over.notes
        for model, (end, paths) in self._models.items():
            self._notes.append(_about_model(model, end, paths, rootdir))
        for note in self._notes:
            terminalreporter.write_line(f"mnemosyne: {note}", yellow=True)
        for line in (self.money, self.line()):
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


def _about_model(model: str, end: str, paths: set[str], rootdir: Path) -> str:
    from pytest_mnemosyne.plugin._leftovers import shown

    first, *more = sorted(shown(Path(path), rootdir) for path in paths)
    others = f" and {len(more)} more" if more else ""
    return f"{model} is deprecated (end of life {end}); asked for in {first}{others}"


def violations_to_plain(violations: Sequence[Violation]) -> list[list[str]]:
    """Violations as plain values, for a worker's output."""
    return [[each.headline, each.text] for each in violations]
