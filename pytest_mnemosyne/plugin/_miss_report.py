"""Turning a test's report red, whatever the code under test or a marker made of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from _pytest._code.code import (
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
)

from pytest_mnemosyne.plugin._record import Violation


def fail_report(
    report: pytest.TestReport, violations: Sequence[Violation], *, calls: Sequence[str] = ()
) -> None:
    """Make `report` a failure that begins with `violations`, and tells of `calls` below.

    It ends what xfail, skip, an absorbed exception or a cancelled task had made of the
    test; that stays below, as a section of its own.
    """
    aftermath = _aftermath(report)
    failure = plain_repr(report, _joined(violations), headline=violations[0].headline)
    if calls:
        failure.addsection("what each agent asked", "\n".join(calls))
    failure.addsection("what the test made of it", aftermath)
    report.longrepr = failure
    report.outcome = "failed"
    if hasattr(report, "wasxfail"):
        del report.wasxfail


def fail_plainly(report: pytest.TestReport, text: str, *, headline: str) -> None:
    """Make the report of a phase that went well a failure that consists of a text."""
    report.longrepr = plain_repr(report, f"{text}\n", headline=headline)
    report.outcome = "failed"


def plain_repr(report: pytest.TestReport, text: str, *, headline: str) -> ReprExceptionInfo:
    """A failure that consists of a text, at the place of its test."""
    path, line, _name = report.location
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback(
            reprentries=[ReprEntryNative([text])], extraline=None, style="native"
        ),
        reprcrash=ReprFileLocation(path, (line or 0) + 1, headline),
    )


def _joined(violations: Sequence[Violation]) -> str:
    return "\n\n".join(violation.text.rstrip() for violation in violations) + "\n"


def _aftermath(report: pytest.TestReport) -> str:
    """What pytest would have reported, in words."""
    if hasattr(report, "wasxfail"):
        reason = report.wasxfail
        how = "fails as expected" if report.skipped else "passes although it should fail"
        return f"it would have been reported as one that {how} ({reason or 'xfail'})"
    if report.skipped:
        skipped = report.longrepr
        return f"it skipped itself afterwards: {skipped[2] if isinstance(skipped, tuple) else ''}"
    if report.passed:
        return "it went on, and would have passed"
    return report.longreprtext or "it failed"
