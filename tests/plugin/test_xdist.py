"""Workers read the options and the controller tells what they have seen."""

from __future__ import annotations

import pytest

from pytest_mnemosyne.cassette import load
from tests.plugin.project import Project

pytestmark = pytest.mark.slow

WORKERS = ("-n", "2", "-p", "no:hypothesispytest")


def test_the_numbers_of_the_workers_add_up(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.cassette(f"test_it/test_{name}", ("known", "answer"))
    project.test_file(
        """
        async def test_one(claude):
            assert await ask(claude, "known") == "answer"

        async def test_two(claude):
            assert await ask(claude, "known") == "answer"

        async def test_three(claude):
            with contextlib.suppress(BaseException):
                await ask(claude, "new")
        """
    )

    result = project.run_apart(*WORKERS)

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "Claude was asked something that the cassette has no answer for",
            "*requests to Claude without an answer*",
            "test_it.py::test_three",
            "mnemosyne (replay): 2 played, 1 missed, 1 unplayed; 14 tokens in, 6 out",
        ]
    )


def test_a_worker_that_crashes_takes_only_its_own_test_along(project: Project) -> None:
    project.cassette("test_it/test_one", ("known", "answer"))
    project.test_file(
        """
        import os

        async def test_one(claude):
            assert await ask(claude, "known") == "answer"

        def test_two():
            os._exit(3)
        """
    )

    result = project.run_apart(*WORKERS)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played; 7 tokens in, 3 out"])


def test_workers_record_as_the_controller_was_told(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.parametrize("name", ["Ann", "Bob"])
        async def test_it(claude, scripted_claude, name):
            scripted_claude.reply(f"hello {name}")
            assert await ask(claude, f"Greet {name}.") == f"hello {name}"
        """
    )

    result = project.run_apart(*WORKERS, "--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mnemosyne (record): 2 recorded; *"])
    assert len(list((project.path / "cassettes").rglob("*.yaml"))) == 2


def test_contact_while_a_worker_imports_fails_the_run(project: Project) -> None:
    project.test_file(
        """
        import socket
        with contextlib.suppress(BaseException):
            socket.getaddrinfo("api.anthropic.com", 443)

        def test_it():
            pass
        """
    )

    result = project.run_apart(*WORKERS)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["outside every test", "*api.anthropic.com was contacted*"])


def test_what_no_worker_has_asked_for_is_left_over_and_can_be_trimmed(project: Project) -> None:
    shared = project.cassette("shared", *((name, "answer") for name in ("one", "two", "three")))
    orphan = project.cassette("old", ("known", "answer"))
    project.test_file(
        """
        @pytest.mark.claude_cassette(name="shared")
        @pytest.mark.parametrize("name", ["one", "two"])
        async def test_it(claude, name):
            await ask(claude, name)
        """
    )

    told = project.run_apart(*WORKERS)
    partial = project.run_apart(*WORKERS, "-k", "one")
    trimmed = project.run_apart(*WORKERS, "--mnemosyne-trim")

    assert told.ret == pytest.ExitCode.TESTS_FAILED
    told.stdout.fnmatch_lines(
        [
            "*recorded calls that no test asked for*",
            "cassettes/shared.yaml",
            '  outside any agent: * "three"',
            "*cassettes that no test has*",
            "cassettes/old.yaml",
        ]
    )
    assert partial.ret == pytest.ExitCode.OK
    partial.stdout.no_fnmatch_line("cassettes/old.yaml")
    assert trimmed.ret == pytest.ExitCode.OK
    assert len(load(shared).interactions) == 2
    assert not orphan.exists()


def test_after_a_crash_nobody_knows_what_is_left_over(project: Project) -> None:
    orphan = project.cassette("old", ("known", "answer"))
    project.test_file(
        """
        import os

        def test_one():
            os._exit(3)
        """
    )

    result = project.run_apart(*WORKERS, "--mnemosyne-trim")

    result.stdout.no_fnmatch_line("*cassettes that no test has*")
    assert orphan.exists()
