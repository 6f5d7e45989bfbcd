"""The pytest plug-in: the hooks, each a few lines over the run that `config.stash` holds.

Loading it imports neither the SDK nor what records it: whatever costs time is imported
by the first test that uses it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mnemosyne.plugin import _markers, _options, _summary
from pytest_mnemosyne.plugin._fixtures import *  # noqa: F403 - pytest finds fixtures by name in this module
from pytest_mnemosyne.plugin._fixtures import ClaudeFixtures
from pytest_mnemosyne.plugin._miss_report import fail_report, plain_repr
from pytest_mnemosyne.plugin._plainly import PLAINLY, end_at_the_readers_code, tells_all_by_itself
from pytest_mnemosyne.plugin._schedules import run_under_schedules
from pytest_mnemosyne.plugin._session import RUN, Run, run_of
from pytest_mnemosyne.plugin._summary import STRAYS_KEY
from pytest_mnemosyne.plugin._virtual_fixtures import *  # noqa: F403 - as above

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._record import Phase
    from pytest_mnemosyne.plugin._virtual import LoopFactory


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options and ini settings, and the fixtures that know their run."""
    _options.add_options(parser)
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    # Not later: of two plug-ins' fixtures of one name, those registered later win.
    pluginmanager.register(ClaudeFixtures(config), "mnemosyne-claude")


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, stop a run that cannot work, and put up the guard."""
    _markers.register(config)
    if config.option.help or config.option.version:
        return
    run = Run(config, _options.read_settings(config))
    config.stash[RUN] = run
    config.add_cleanup(run.stop)
    config.pluginmanager.register(run.summary, "mnemosyne-summary")
    run.start()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep cassettes from whoever collects YAML files: many are named like tests."""
    return True if run_of(config).is_own_cassette(collection_path) else None


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Generator[None, Mapping[str, LoopFactory] | None, Mapping[str, LoopFactory]]:
    """Give a test that wants it a loop with virtual time; leave every other as it is."""
    others = yield
    return run_of(config).loops.factories_for(item, others)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to other threads: not earlier, because pytest's own hook is to lie below ours."""
    run_of(session.config).listen()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test its record, and undo what the test needed even if the run is broken off."""
    run = run_of(item.config)
    record = run.begin(item)
    try:
        return (yield)
    finally:
        run.end(record)


@pytest.hookimpl(specname="pytest_runtest_protocol", tryfirst=True)
def pytest_runtest_protocol_schedules(item: pytest.Item) -> bool | None:
    """Run a test that is marked so under many orders, and report one of its runs."""
    reports = run_under_schedules(item, run_of(item.config))
    if reports is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test's setup be stopped."""
    run = run_of(item.config)
    if run.current is not None and run.current.is_closed:
        # A plug-in that repeats failed tests is at work.
        run.current.start_over()
    with _Phase(run, "setup"):
        return (yield)


@pytest.hookimpl(specname="pytest_runtest_setup")
def pytest_runtest_setup_cassette(item: pytest.Item) -> None:
    """Open the test's cassette: after the skip marks were read, before fixtures are made."""
    with PLAINLY:
        run_of(item.config).prepare(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test be stopped while it runs."""
    with _Phase(run_of(item.config), "call"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Write the test's cassette once everything has passed."""
    run = run_of(item.config)
    record = run.current
    with _Phase(run, "teardown"):
        if record is None:
            return (yield)
        try:
            result = yield
            with PLAINLY:
                run.save(record)
            return result
        finally:
            # Here and not with the record's end, so that an error is the test's.
            record.close()


class _Phase:
    """Marks the time in which the test may be interrupted; cheaper than a generator."""

    __slots__ = ("_name", "_record")

    def __init__(self, run: Run, name: Phase) -> None:
        self._record = run.current
        self._name = name

    def __enter__(self) -> None:
        if self._record is not None:
            self._record.phase = self._name

    def __exit__(self, *exc_info: object) -> None:
        if self._record is not None:
            self._record.phase = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the report of a phase in which a request to Claude was refused."""
    run = run_of(item.config)
    was_refused = run.current is not None and run.current.violations
    if was_refused and call.excinfo is not None and not item.config.option.fulltrace:
        end_at_the_readers_code(call.excinfo)
    report = yield
    if run.current is not None and run.current.wish is not None:
        if run.current.schedule is not None and report.when == "call":
            run.current.schedule.trace.mark_end()
        _end_plainly(report, call, full=item.config.option.fulltrace)
    if run.current is not None:
        if run.current.faults is not None:
            run.current.faults.tell(report)
        violations = run.report(run.current, report)
        if violations:
            fail_report(report, violations)
    return report


def _end_plainly(report: pytest.TestReport, call: pytest.CallInfo[None], *, full: bool) -> None:
    """Let an error of the virtual loop speak for itself: it has no traceback to show."""
    if full or not report.failed or call.excinfo is None or not tells_all_by_itself(call.excinfo):
        return
    error = call.excinfo.value
    headline = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    report.longrepr = plain_repr(report, f"{error}\n", headline=headline)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which Claude was contacted outside every test."""
    run = run_of(session.config)
    for violation in run.strays:
        run.summary.take_stray(violation)
    if run.summary.has_strays and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[STRAYS_KEY] = _summary.violations_to_plain(run.strays)
