"""Tests under many orders: one item, run again and again until an order fails.

Each run is the whole of pytest's protocol for a test, with fixtures of its own, and is
kept to itself; the one that tells most is reported as the test's. That is the last of a
search that found nothing, and otherwise the smallest one that fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest._code.code import ExceptionRepr
from _pytest.runner import runtestprotocol

from pytest_mnemosyne.plugin._loop_scopes import loop_scope_of
from pytest_mnemosyne.plugin._markers import SCHEDULES, misused, unknown_settings
from pytest_mnemosyne.plugin._miss_report import plain_repr

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._options import Settings
    from pytest_mnemosyne.plugin._session import Run
    from pytest_mnemosyne.simulation.schedules import (
        Found,
        Plan,
        Ran,
        Replay,
        Report,
        Schedule,
        Tape,
    )

TITLE: Final = "mnemosyne schedule"

_SETTINGS: Final = ("n", "policy")
"""What the marker knows."""

_SELF_CHECK_RUNS: Final = 2
_RECENT: Final = 10

Reports = list[pytest.TestReport]


def plan_of(item: pytest.Item, settings: Settings) -> Plan | None:
    """How a test is to be searched; `None` where it is not.

    Raises:
        UsageError: Its marker says what cannot be.
    """
    marker = item.get_closest_marker(SCHEDULES)
    if marker is None:
        return None
    from pytest_mnemosyne.simulation.schedules import Plan, PolicyName

    problems = unknown_settings(marker, _SETTINGS)
    if marker.args:
        problems.append(f"takes {', '.join(_SETTINGS)}, each by name")
    policy = marker.kwargs.get("policy", PolicyName.RANDOM)
    if policy not in list(PolicyName):
        problems.append(f"has the policies {', '.join(PolicyName)}")
    if loop_scope_of(item) != "function":
        problems.append("needs a loop for each run: loop_scope has to be function")
    if problems:
        raise misused(marker, problems)
    runs = settings.schedules or marker.kwargs.get("n", Plan().runs)
    return Plan(
        runs=runs,
        policy=PolicyName(policy),
        seed=settings.seed,
        # A debugger is to stop at the failure, not at every smaller one.
        shrink_budget=0 if item.config.getoption("usepdb") else settings.shrink,
    )


def run_under_schedules(
    item: pytest.Item, run: Run, nextitem: pytest.Item | None
) -> Reports | None:
    """Run a test that has the marker, under one or many orders.

    Args:
        item: The test.
        run: The session's.
        nextitem: The test after it, if there is one.

    Returns:
        The reports that are to be the test's; `None` where it is to be run as any other.
    """
    from mnemosyne_core.errors import UsageError

    try:
        plan = plan_of(item, run.settings)
    except UsageError:
        # Said in the test's setup, where it is a plain failure.
        return None
    if plan is None or run.settings.mode.forwards:
        return None
    if run.settings.tape is not None:
        reports = _replayed(item, run, run.settings.tape)
    else:
        reports = _Search(item, run, plan).reports()
    return [*reports, *_torn_down(item, nextitem)]


def _torn_down(item: pytest.Item, nextitem: pytest.Item | None) -> Reports:
    """Tear down what the runs have left for each other and the next test has no use for."""
    call = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown"
    )
    if call.excinfo is None:
        return []
    return [item.ihook.pytest_runtest_makereport(item=item, call=call)]


def _replayed(item: pytest.Item, run: Run, tape: Tape) -> Reports:
    from pytest_mnemosyne.simulation.schedules import Replay, Schedule

    replay = Replay(tape)
    schedule = Schedule(replay)
    reports = _run_once(item, run, schedule)
    _tell(reports, "\n".join(_about_replay(replay, schedule)))
    return reports


def _about_replay(replay: Replay, schedule: Schedule) -> Iterator[str]:
    yield f"one run, along the tape {schedule.tape}"
    if replay.misfits or replay.unread:
        places = ", ".join(map(str, (*replay.misfits, *replay.unread)))
        yield (
            f"the tape does not fit this test (at {places}): it is that of another test, or the "
            "test has changed since"
        )
    yield from _recent(schedule)


def _run_once(
    item: pytest.Item, run: Run, schedule: Schedule, sometimes: dict[str, bool] | None = None
) -> Reports:
    """One run of a test, setup to teardown, with reports that nobody has seen."""
    record = run.begin(item)
    record.schedule = schedule
    record.sometimes = sometimes
    item._report_sections.clear()
    item.user_properties.clear()
    try:
        # pytest tears down what the next item does not need. The next one is this one again,
        # so that is all that stands below its parent.
        following: Any = item.parent
        return runtestprotocol(item, log=False, nextitem=following)
    finally:
        run.end(record)


class _Search:
    """The search of one test."""

    def __init__(self, item: pytest.Item, run: Run, plan: Plan) -> None:
        self._item = item
        self._run = run
        self._plan = plan
        self._made = 0
        self._escapes: list[str] = []
        self._sometimes: dict[str, bool] = {}
        self._latest: Reports = []
        self._first_failed: Reports = []

    def reports(self) -> Reports:
        """Search, and hand back the reports that tell most."""
        from pytest_mnemosyne.simulation.schedules import search

        report = search(self._one_run, self._plan, on_run=self._is_hopeless)
        found = report.found
        if report.unstable is not None:
            return self._unstable(report)
        if found is None:
            return self._passed(report)
        reports = self._latest if found.comes_again else self._first_failed
        _tell(reports, "\n".join(self._about(found)))
        return reports

    def _one_run(self, schedule: Schedule) -> Ran:
        from pytest_mnemosyne.simulation.schedules import Ran, noting_escapes

        self._made += 1
        if self._made <= _SELF_CHECK_RUNS:
            with noting_escapes() as escapes:
                self._latest = _run_once(self._item, self._run, schedule, self._sometimes)
            self._escapes += [each for each in escapes if each not in self._escapes]
        else:
            self._latest = _run_once(self._item, self._run, schedule, self._sometimes)
        failure = _failure_of(self._latest)
        if failure is not None and not self._first_failed:
            self._first_failed = self._latest
        return Ran(schedule, failure)

    def _is_hopeless(self, _ran: Ran) -> bool:
        """Whether more runs tell no more: the test was skipped, or the session is to stop."""
        session = self._item.session
        skipped = any(report.skipped for report in self._latest)
        return skipped or bool(session.shouldfail or session.shouldstop)

    # --- telling -----------------------------------------------------------------------

    def _passed(self, report: Report) -> Reports:
        never = [name for name, seen in self._sometimes.items() if not seen]
        if never:
            _fail(
                self._latest,
                f"sometimes: {', '.join(never)} was not true under any of {report.runs} orders",
            )
        elif self._escapes:
            self._run.summary.take_note(
                f"{self._item.nodeid} asks for what its schedule does not decide: "
                f"{'; '.join(self._escapes)}"
            )
        return self._latest

    def _unstable(self, report: Report) -> Reports:
        lines = [
            "two runs of this test under the same schedule differ: no order could be found again",
            f"first in {report.unstable}",
            *(f"what differs from run to run: {each}" for each in self._escapes),
            "hand in clock, ids and randomness; sets of texts have another order in each process",
        ]
        if report.found is None:
            _fail(self._latest, "\n".join(lines))
        else:
            _tell(self._latest, "\n".join(lines))
        return self._latest

    def _about(self, found: Found) -> Iterator[str]:
        plan = self._plan
        if found.number == 0:
            yield "it fails in the plain order, in which everybody has their turn"
        else:
            seed = f", seed {plan.seed}" if plan.seed else ""
            yield (
                f"order {found.number + 1} of {plan.runs} fails (policy {plan.policy}{seed}); the "
                "plain one passes"
            )
            yield (
                f"shrunk from {len(found.first_tape)} choices to {len(found.tape)} in "
                f"{found.shrink_runs} runs"
            )
        if not found.comes_again:
            yield "it did not fail again when its tape was replayed: not all is decided by it"
            yield from (f"what differs from run to run: {each}" for each in self._escapes)
        if found.divergence is not None:
            parting = found.divergence
            yield (
                f"the two part at step {parting.place}: the plain order runs {parting.one}, this "
                f"one {parting.other}"
            )
        yield f"run it again: pytest '{self._item.nodeid}' --mnemosyne-tape={found.tape}"
        yield from _recent(found.ran.schedule)


def _recent(schedule: Schedule) -> Iterator[str]:
    yield "the last steps:"
    yield from (f"  {step}" for step in schedule.trace.recent(_RECENT))


def _failure_of(reports: Reports) -> str | None:
    """In which way a run failed: phase, place and kind of error; `None` if it passed."""
    failed = next((report for report in reports if report.failed), None)
    if failed is None:
        return None
    crash = getattr(failed.longrepr, "reprcrash", None)
    if crash is None:
        return f"{failed.when} {failed.longreprtext.splitlines()[:1]}"
    kind = crash.message.partition(":")[0].partition("\n")[0]
    return f"{failed.when} {crash.path}:{crash.lineno} {kind}"


def _tell(reports: Reports, text: str) -> None:
    """Put a section below the traceback of what failed."""
    for report in reports:
        if not report.failed:
            continue
        if isinstance(report.longrepr, ExceptionRepr):
            report.longrepr.addsection(TITLE, f"{text}\n")
        else:
            report.sections.append((TITLE, text))


def _fail(reports: Reports, text: str) -> None:
    """Make a test that passed in every run one that fails."""
    for report in reports:
        if report.when == "call":
            report.outcome = "failed"
            report.longrepr = plain_repr(report, f"{text}\n", headline=text.splitlines()[0])
