"""Calls that a test's cassette gets from somebody who is no part of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pytest_mnemosyne.plugin._bystanders import OlderThreads
from pytest_mnemosyne.simulation import ScriptedClaude
from tests.plugin.project import Project

_RECORD = "--mnemosyne-mode=record"

_WARM = """
    import anthropic

    @pytest.fixture(scope="module")
    def warm():
        return ask_sync(anthropic.Anthropic(), "are you there?")

    @pytest.mark.claude_cassette(MARK)
    def test_first(warm):
        assert warm

    @pytest.mark.claude_cassette(MARK)
    def test_second(warm):
        assert warm
"""


@pytest.fixture
def upstream() -> Iterator[str]:
    with ScriptedClaude() as claude:
        claude.improvise()
        yield f"--mnemosyne-upstream={claude.url}"


def test_a_call_of_a_fixture_that_outlives_its_test_is_told_when_it_is_recorded(
    project: Project, upstream: str
) -> None:
    project.test_file(_WARM.replace("MARK", ""))

    result = project.run(_RECORD, upstream)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*the fixture warm (scope module) has made a call to Claude in test_it.py::test_first*"]
    )
    assert 'claude_cassette(name="...")' in str(result.stdout)


def test_tests_that_share_a_cassette_may_share_such_a_fixture(
    project: Project, upstream: str
) -> None:
    project.test_file(_WARM.replace("MARK", "name='warm'"))

    result = project.run(_RECORD, upstream)

    result.assert_outcomes(passed=2)
    assert "the fixture warm" not in str(result.stdout)
    project.run("-k", "second").assert_outcomes(passed=1, deselected=1)


def test_a_miss_of_a_thread_that_an_earlier_test_has_left_says_so(project: Project) -> None:
    project.cassette("test_it/test_first", ("known", "yes"))
    project.test_file(
        """
        import anthropic

        go, gone = threading.Event(), threading.Event()

        def ask_late(client):
            go.wait(10)
            with contextlib.suppress(BaseException):
                ask_sync(client, "late")
            gone.set()

        def test_first(claude_sync):
            assert ask_sync(claude_sync, "known") == "yes"
            client = anthropic.Anthropic()
            threading.Thread(target=ask_late, args=(client,), name="straggler").start()

        def test_second(claude_cassette):
            go.set()
            assert gone.wait(10)
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*asked by the thread 'straggler', which was there before this test began*"]
    )


def test_a_thread_of_the_test_is_not_taken_for_an_older_one_whose_number_it_got() -> None:
    older, told, leave = OlderThreads(), dict[int | None, str](), threading.Event()
    straggler = threading.Thread(target=leave.wait)
    straggler.start()
    older.look()
    leave.set()
    straggler.join()

    # Where the system gives numbers away again, the next thread or one after it has that one.
    for _ in range(20):
        _in_a_thread(lambda: told.update({threading.get_ident(): older.words()}))

    assert set(told.values()) == {""}


def test_the_thread_in_which_tests_run_is_none_of_them_though_it_is_not_the_main_one() -> None:
    older, told = OlderThreads(), list[str]()

    def run_two_tests() -> None:
        older.look()
        told.append(older.words())

    _in_a_thread(run_two_tests)

    assert told == [""]


def _in_a_thread(target: Callable[[], None]) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
