"""A process that a test forks has a copy of its cassette, of which nobody would hear."""

from __future__ import annotations

import os

import pytest

from tests.plugin.project import Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes"),
]

_FORKING = """
    import os
    import anthropic

    def forked(client, text):
        '''The name of the error that asking raises in a forked process; empty for none.'''
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                ask_sync(client, text)
                os.write(write, b"none")
            except BaseException as error:
                os.write(write, type(error).__name__.encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with open(read, "rb") as answer:
            return answer.read().decode()

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_it(claude_sync, scripted_claude):
        scripted_claude.improvise()
        ask_sync(claude_sync, "here")
        assert forked(claude_sync, "there") == EXPECTED
"""


def _forking(expected: str) -> str:
    return _FORKING.replace("EXPECTED", repr(expected))


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_a_forked_process_is_refused_and_its_test_fails_whatever_it_makes_of_that(
    project: Project, mode: str
) -> None:
    project.cassette("test_it/test_it", ("here", "yes"), ("there", "yes"))
    project.test_file(_forking("ForkedProcessError"))

    result = project.run_apart(f"--mnemosyne-mode={mode}", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*a forked process asked Claude, and what a copy of the test's process asks reaches*",
            "*call:    POST /v1/messages",
        ]
    )


def test_a_live_run_has_no_cassette_that_anybody_could_miss_it_in(project: Project) -> None:
    project.test_file(_forking("none"))

    result = project.run_apart("--mnemosyne-mode=live", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1)


_FORKED_TESTS = """
    import os
    import pickle

    import pytest
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item):
        if item.name != "test_apart":
            return None
        hook, config = item.ihook, item.config
        read, write = os.pipe()
        if os.fork() == 0:
            reports = runtestprotocol(item, log=False)
            told = [hook.pytest_report_to_serializable(config=config, report=r) for r in reports]
            os.write(write, pickle.dumps(told))
            os._exit(0)
        os.close(write)
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        with open(read, "rb") as told:
            for data in pickle.load(told):
                report = hook.pytest_report_from_serializable(config=config, data=data)
                hook.pytest_runtest_logreport(report=report)
        return True
"""
"""What the plug-in pytest-forked does."""


def test_a_test_that_runs_as_a_whole_in_a_forked_process_has_its_cassette_there(
    project: Project,
) -> None:
    project.test_file(_FORKED_TESTS, name="conftest")
    project.test_file(
        """
        def test_before(claude_sync, scripted_claude):
            scripted_claude.reply("yes")
            assert ask_sync(claude_sync, "here?") == "yes"

        @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
        def test_apart(claude_sync, scripted_claude):
            scripted_claude.reply("yes")
            assert ask_sync(claude_sync, "there?") == "yes"
        """
    )

    recorded = project.run_apart("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
    replayed = project.run_apart()

    recorded.assert_outcomes(passed=2)
    replayed.assert_outcomes(passed=2)
