"""The pytest plug-in: the hooks, each a few lines over the run that `config.stash` holds.

Loading it imports neither the SDK nor what records it: whatever costs time is imported
by the first test that uses it.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_mnemosyne.plugin import _hooks, _markers, _options, _summary, _virtual_hooks
from pytest_mnemosyne.plugin._bystanders import WiderFixtures
from pytest_mnemosyne.plugin._completeness import PARTIAL_KEY
from pytest_mnemosyne.plugin._fixtures import *  # noqa: F403 - pytest finds fixtures by name in this module
from pytest_mnemosyne.plugin._fixtures import ClaudeFixtures
from pytest_mnemosyne.plugin._matching import check_match
from pytest_mnemosyne.plugin._miss_report import fail_report, plain_repr
from pytest_mnemosyne.plugin._plainly import PLAINLY, end_at_the_readers_code, tells_all_by_itself
from pytest_mnemosyne.plugin._record import TestRecord
from pytest_mnemosyne.plugin._redacted_report import redact_report
from pytest_mnemosyne.plugin._session import RUN, Run, run_of
from pytest_mnemosyne.plugin._summary import STRAYS_KEY
from pytest_mnemosyne.plugin._virtual_fixtures import *  # noqa: F403 - as above


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options and ini settings, and the fixtures that know their run."""
    _options.add_options(parser)
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    # Not later: of two plug-ins' fixtures of one name, those registered later win.
    pluginmanager.register(ClaudeFixtures(config), "mnemosyne-claude")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that a project may implement."""
    pluginmanager.add_hookspecs(_hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, stop a run that cannot work, and put up the guard."""
    _markers.register(config)
    if config.option.help or config.option.version:
        return
    run = Run(config, _options.read_settings(config))
    config.stash[RUN] = run
    config.add_cleanup(run.stop)
    config.pluginmanager.register(run.summary, "mnemosyne-summary")
    config.pluginmanager.register(run.completeness, "mnemosyne-completeness")
    if run.settings.mode.writes:
        watch = WiderFixtures(lambda: run.current)
        config.pluginmanager.register(watch, "mnemosyne-wider-fixtures")
    run.start()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Before a recording, name what earlier ones have left, so that it is not paid for again."""
    run = run_of(config)
    notes = run.notes_on_journals() if run.settings.mode.writes else []
    return [f"mnemosyne: {note}" for note in notes]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep cassettes from whoever collects YAML files: many are named like tests."""
    return True if run_of(config).is_own_cassette(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Bring the hooks of virtual time in before pytest-asyncio asks for loops."""
    _virtual_hooks.be_there_for(metafunc.definition)
    return (yield)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop a run that leaves out what nobody declares, and listen to other threads.

    Not earlier, because conftest files have to be there, and pytest's own hook is to lie
    below ours.
    """
    run = run_of(session.config)
    check_match(session.config, run.settings)
    run.listen()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test its record, and undo what the test needed even if the run is broken off."""
    run = run_of(item.config)
    record = run.begin(item)
    try:
        return (yield)
    finally:
        run.end(record)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test's setup be stopped."""
    record = run_of(item.config).current
    if record is None:
        return (yield)
    if record.is_closed:
        # A plug-in that repeats failed tests is at work.
        record.start_over()
    with record:
        return (yield)


@pytest.hookimpl(specname="pytest_runtest_setup")
def pytest_runtest_setup_cassette(item: pytest.Item) -> None:
    """Open the test's cassette: after the skip marks were read, before fixtures are made."""
    with PLAINLY:
        run_of(item.config).prepare(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test be stopped while it runs."""
    record = run_of(item.config).current
    if record is None:
        return (yield)
    with record:
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Write the test's cassette once everything has passed."""
    run = run_of(item.config)
    record = run.current
    if record is None:
        return (yield)
    with record:
        try:
            result = yield
            with PLAINLY:
                run.save(record)
            return result
        finally:
            # Here and not with the record's end, so that an error is the test's.
            record.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the report of a phase in which a request to Claude was refused."""
    run = run_of(item.config)
    record = run.current
    if record is None:
        return (yield)
    if record.violations and call.excinfo is not None and not item.config.option.fulltrace:
        end_at_the_readers_code(call.excinfo)
    report = yield
    if record.wish is not None:
        if record.schedule is not None and report.when == "call":
            record.schedule.trace.mark_end()
        _end_plainly(report, call, full=item.config.option.fulltrace)
    if record.faults is not None:
        record.faults.tell(report)
    violations = run.report(record, report)
    if violations:
        fail_report(report, violations, calls=_calls(record))
    if record.cassette is not None:
        redact_report(report, run.shown_text)
    return report


def _calls(record: TestRecord) -> list[str]:
    """What each agent of a test asked, where that is not what is recorded."""
    if record.cassette is None:
        return []
    from pytest_mnemosyne.plugin._judgement import agent_lines

    return agent_lines(record.cassette.calls())


def _end_plainly(report: pytest.TestReport, call: pytest.CallInfo[None], *, full: bool) -> None:
    """Let an error of the virtual loop speak for itself: it has no traceback to show."""
    if full or not report.failed or call.excinfo is None or not tells_all_by_itself(call.excinfo):
        return
    error = call.excinfo.value
    headline = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    report.longrepr = plain_repr(report, f"{error}\n", headline=headline)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> None:
    """Say what is known at the end alone; not in workers, which say nothing."""
    run_of(config).tell_the_end()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker what it shares with the others."""
    folder = run_of(node.config).folder
    if folder is not None:
        folder.tell(node.workerinput)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which Claude was contacted outside every test."""
    run = run_of(session.config)
    for violation in run.strays:
        run.summary.take_stray(violation)
    if run.summary.has_strays and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is None:
        if run.summary.opened or run.has_cassettes or run.settings.lane is not None:
            from pytest_mnemosyne.plugin._conclusion import conclude_run

            conclude_run(run, session)
    else:
        output[STRAYS_KEY] = _summary.violations_to_plain(run.strays)
        output[PARTIAL_KEY] = run.completeness.partial_because(session)
