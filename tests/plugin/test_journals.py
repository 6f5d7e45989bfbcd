"""What a test has recorded and no cassette holds is kept, told and used again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import journals, load, recover
from tests.plugin.project import Project

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
RERECORD = ("--mnemosyne-mode=rerecord", "--mnemosyne-upstream=scripted")
WORKERS = ("-p", "no:hypothesispytest", "-p", "no:recording")

WRONG_AT_LAST = """
    async def test_it(claude, scripted_claude):
        scripted_claude.reply("first").reply("second")
        assert await ask(claude, "One?") == "first"
        assert await ask(claude, "Two?") == "{expected}"
"""


def folder(project: Project) -> Path:
    return project.path / "cassettes"


def recorded_in(project: Project) -> list[bytes]:
    """The questions of every cassette."""
    return [
        each.request.body
        for path in folder(project).rglob("*.yaml")
        for each in load(path).interactions
    ]


def test_a_test_that_passes_leaves_no_journal(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="second"))

    result = project.run(*RECORD)

    result.assert_outcomes(passed=1)
    assert journals(folder(project)) == ()
    result.stdout.no_fnmatch_line("mnemosyne: *")


def test_what_was_recovered_is_played_by_the_corrected_test(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)
    project.test_file(WRONG_AT_LAST.format(expected="second"))

    recover(journals(folder(project)))

    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 2 played; *"])


def test_a_recovered_cassette_says_what_its_test_does_not_compare(project: Project) -> None:
    source = f"""
    pytestmark = pytest.mark.claude_cassette(match=["dates", "$.metadata.user_id"])
    {WRONG_AT_LAST}
    """
    project.test_file(source.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)

    (done,) = recover(journals(folder(project)))

    assert load(done.cassette).loosened == ("dates", "$.metadata.user_id")
    project.test_file(source.format(expected="second"))
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*leaves out*")


def test_a_journal_that_cannot_be_read_is_told_beside_the_others(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)
    os.mkfifo(folder(project) / ".mnemosyne" / "pipe.journal")

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "mnemosyne: cannot read the cassette *pipe.journal: it is a pipe or a device and *",
            "mnemosyne: 2 answers recorded by test_it.py::test_it reached no cassette and are *",
        ]
    )


def test_a_failed_recording_does_not_stand_in_the_way_of_the_corrected_test(
    project: Project,
) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("other")
            assert await ask(claude, "Another?") == "other"
        """
    )

    project.run(*RECORD).assert_outcomes(passed=1)

    project.run().assert_outcomes(passed=1)
    assert len(journals(folder(project))) == 1


def test_who_records_again_is_told_before_what_lies_there(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)

    result = project.run(*RECORD, "--collect-only")

    result.stdout.fnmatch_lines(
        [
            "mnemosyne: 2 answers recorded by test_it.py::test_it reached no cassette and are *",
            "mnemosyne: to make cassettes of them: mnemosyne cassettes recover cassettes",
            "collected 1 item",
        ]
    )


def test_a_miss_names_what_was_recorded_and_lies_aside(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    project.run(*RECORD).assert_outcomes(failed=1)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["mnemosyne: to make cassettes of them: mnemosyne cassettes recover cassettes"]
    )


def test_what_could_not_even_be_kept_aside_is_told(project: Project) -> None:
    project.test_file(WRONG_AT_LAST.format(expected="wrong"))
    folder(project).mkdir()
    (folder(project) / ".mnemosyne").write_text("no folder", encoding="utf-8")

    result = project.run(*RECORD)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["mnemosyne: what test_it.py::test_it recorded could not be kept aside: *.mnemosyne: *"]
    )


def test_a_leak_fails_the_test_and_nothing_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-ant-api03-0123456789-0123456789"
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    project.test_file(
        f"""
        from mnemosyne_core.lane import Lane, entered

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            with entered(Lane("{key}")):
                await ask(claude, "Say hello.")
        """
    )

    result = project.run(*RECORD)

    result.assert_outcomes(passed=1, errors=1)
    assert all(key.encode() not in path.read_bytes() for path in _files(folder(project)))
    assert recorded_in(project) == []


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


SHARED = """
    pytestmark = pytest.mark.claude_cassette(name="shared")

    @pytest.mark.parametrize("number", range(8))
    async def test_it(claude, scripted_claude, number):
        scripted_claude.reply(f"hello {number}").reply("hello all")
        assert await ask(claude, f"Greet {number}.") == f"hello {number}"
        await ask(claude, "Greet all.")
        MORE
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [RECORD, RERECORD], ids=["record", "rerecord"])
def test_workers_record_into_one_cassette_what_one_process_would(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.cassette("shared", ("Greet all.", "hello from before"))
    project.test_file(SHARED.replace("MORE", ""))

    project.run_apart(*WORKERS, "-n", "2", *mode).assert_outcomes(passed=8)

    asked = recorded_in(project)
    assert sorted(str(number) for number in range(8)) == sorted(
        body.decode().partition("Greet ")[2][0] for body in asked if b"all" not in body
    )
    assert sum(b"all" in body for body in asked) == 1
    assert journals(folder(project)) == ()
    project.run_apart(*WORKERS).assert_outcomes(passed=8)


@pytest.mark.slow
def test_a_killed_worker_loses_none_of_its_calls(project: Project) -> None:
    project.test_file(SHARED.replace("MORE", "import os; number == 3 and os.kill(os.getpid(), 9)"))

    result = project.run_apart(*WORKERS, "-n", "2", *RECORD)

    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(
        [
            "mnemosyne: * recorded by test_it.py::test_it?3? reached no cassette and *",
            "mnemosyne: to make cassettes of them: mnemosyne cassettes recover cassettes",
        ]
    )
    (journal,) = journals(folder(project))
    assert b"Greet 3" in journal.interactions()[0].request.body
    assert sum(b"all" not in body for body in recorded_in(project)) == 7


@pytest.mark.slow
def test_what_a_killed_run_has_recorded_is_told_by_the_next_one(project: Project) -> None:
    project.test_file(
        """
        import os

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Say hello.")
            os.kill(os.getpid(), 9)
        """
    )
    assert project.run_apart(*WORKERS, *RECORD).ret < 0
    project.test_file("def test_it(): pass")

    result = project.run(*RECORD)

    result.stdout.fnmatch_lines(
        ["mnemosyne: 1 answer recorded by test_it.py::test_it reached no cassette and is kept *"]
    )
