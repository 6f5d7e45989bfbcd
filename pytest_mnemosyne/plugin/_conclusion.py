"""How a test and a run end, as far as their cassettes have a say.

A test's cassette is looked at when it is opened and when its test is over; what is found
travels on the test's report. What only the whole run can know is found at its end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from pytest_mnemosyne.plugin import _lane, _markers
from pytest_mnemosyne.plugin._commands import recording_command
from pytest_mnemosyne.plugin._deprecations import deprecated_in
from pytest_mnemosyne.plugin._journals import notes_on_loss
from pytest_mnemosyne.plugin._judgement import DRIFT_TITLE, drift_lines, judge, severity_of_unplayed
from pytest_mnemosyne.plugin._leftovers import RunLeftovers, never_opened, opened
from pytest_mnemosyne.plugin._miss_report import fail_plainly
from pytest_mnemosyne.plugin._money import money_of
from pytest_mnemosyne.plugin._record import counts_of
from pytest_mnemosyne.plugin._summary import Summary, attach

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_mnemosyne.cassette import Cassette, Prices
    from pytest_mnemosyne.plugin._markers import Chosen
    from pytest_mnemosyne.plugin._options import Settings
    from pytest_mnemosyne.plugin._record import TestRecord, Violation
    from pytest_mnemosyne.plugin._session import Run

_NOT_AS_RECORDED: Final = "calls that are not as recorded"
_EXPIRED: Final = "cassettes that have expired"


def check_age(record: TestRecord, cassette: Cassette, chosen: Chosen, settings: Settings) -> None:
    """Look at the age of a cassette that is being opened.

    Raises:
        CassetteExpiredError: It has expired, and that is an error in this run.
    """
    days = chosen.expires_days or settings.expires_days
    if days is None or cassette.mode.writes or settings.expired == "ignore":
        return
    from pytest_mnemosyne.cassette import CassetteExpiredError, check_expiry

    assert cassette.path is not None
    try:
        check_expiry(
            cassette.path,
            cassette.header,
            expires_days=days,
            now=datetime.now(UTC),
            command=recording_command(record.item, settings, "rerecord"),
        )
    except CassetteExpiredError as error:
        if settings.expired == "error":
            raise
        record.tell(_EXPIRED, [str(error)])


def conclude(
    record: TestRecord,
    cassette: Cassette,
    report: pytest.TestReport,
    violations: Sequence[Violation],
    settings: Settings,
    prices: Prices,
) -> None:
    """Judge a test by its cassette, and put everything that is to be told on its last report."""
    chosen = record.chosen
    assert chosen is not None, "it is known since the cassette was opened"
    has_passed = record.has_passed
    turns, unplayed = cassette.wire_turns, cassette.unplayed()
    counts = counts_of(turns, saved=record.saved) | money_of(turns, prices)
    if has_passed:
        for finding in judge(cassette, turns, unplayed, chosen, settings, record.item):
            if finding.severity == "error":
                fail_plainly(report, finding.text, headline=finding.headline)
                record.failed = True
            else:
                record.tell(_NOT_AS_RECORDED, finding.text.splitlines())
    if cassette.drift:
        record.tell(DRIFT_TITLE, drift_lines(cassette.drift))
    # A cassette that could not be written is the test's error, which says so itself.
    if counts.get("discarded") and not record.was_worth_saving:
        record.notes.append(f"{record.nodeid} did not pass, so {cassette.path} was not written")
    if counts.get("discarded"):
        record.notes += notes_on_loss(record.nodeid, cassette)
    attach(
        report,
        mode=settings.mode.name if cassette.mode.writes else cassette.mode.value,
        counts=counts,
        violations=violations,
        notes=record.notes,
        sections=record.sections,
        models=deprecated_in(turns),
        opened=opened(
            cassette,
            unplayed,
            is_shared=chosen.is_shared,
            severity=severity_of_unplayed(chosen, settings),
            has_passed=has_passed,
            roles=[] if settings.lane is None else _lane.roles_in(cassette),
        ),
    )


def conclude_unopened(run: Run, record: TestRecord, report: pytest.TestReport) -> None:
    """Say which cassette a test has that came to nothing: it is not one that no test has."""
    from mnemosyne_core.errors import UsageError

    asked = _markers.Asked.of(record.item)
    try:
        path = run.cassettes.path_for(record.item, asked)
    except UsageError:
        path = run.cassettes.path_for(record.item, replace(asked, cassette=None))
    attach(report, mode=run.settings.mode.name, opened=never_opened(path))


def conclude_run(run: Run, session: pytest.Session) -> None:
    """Judge what the run has left over, and fail it for that at need; not in xdist's workers."""
    leftovers = RunLeftovers(
        run.summary.opened,
        cassette_dir=run.settings.cassette_dir,
        rootdir=run.config.rootpath,
        trim=run.settings.trim,
    )
    result = leftovers.finish(
        partial_because=run.completeness.partial_because(session),
        is_green=session.exitstatus == pytest.ExitCode.OK,
        is_own=run.is_own_cassette,
        keep_at=lambda: _keep_at(run.config),
        superseded=run.folder.left if run.folder is not None else None,
    )
    run.summary.left_over = result
    # Not counted test by test: what one leaves of a shared cassette another one asks for.
    run.summary.counts["unplayed"] = result.unplayed
    fails = result.fails
    if run.settings.lane is not None:
        fails |= _conclude_lane(run.settings.lane, run.summary)
    if fails and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _conclude_lane(lane: str, summary: Summary) -> bool:
    """Tell that the one role that was to be recorded was not; true where nobody has it."""
    roles = [role for each in summary.opened.values() for role in each["roles"]]
    if not _lane.is_held(lane, roles):
        summary.take_note(_lane.note_on_nobody(lane, roles))
        return True
    if not (summary.counts["recorded"] or summary.counts["discarded"]):
        summary.take_note(_lane.note_on_nothing(lane))
    return False


def _keep_at(config: pytest.Config) -> Path | None:
    """The file that says later what was left over; `None` where pytest keeps nothing."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return None
    from pytest_mnemosyne.cassette import LEFTOVERS_FILE

    folder: Path = cache.mkdir("mnemosyne")
    return folder / LEFTOVERS_FILE
