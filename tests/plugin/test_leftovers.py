"""Recorded calls that nobody asked for, and cassettes that no test has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import Leftovers, load, read_leftovers
from tests.plugin.project import Project

KNOWN = ("known", "answer")
FORGOTTEN = ("forgotten", "answer")

ASKING_ONE = """
    async def test_it(claude):
        assert await ask(claude, "known") == "answer"
"""
SHARED = """
    pytestmark = pytest.mark.claude_cassette(name="shared")

    async def test_one(claude):
        await ask(claude, "known")

    async def test_other(claude):
        await ask(claude, "other")
"""


@pytest.fixture
def cached(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose runs keep what they know for the next one."""
    monkeypatch.setattr(
        "tests.plugin.project._LEAN", ("-p", "no:hypothesispytest", "-p", "no:recording")
    )
    return project


def questions(path: Path) -> list[str]:
    return [
        question
        for each in load(path).interactions
        for question in ("known", "forgotten", "other")
        if question.encode() in each.request.body
    ]


# --- a test's own cassette -------------------------------------------------------------


def test_a_call_that_was_not_asked_for_fails_the_test_with_what_to_do(project: Project) -> None:
    path = project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.test_file(ASKING_ONE)

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            "1 recorded call was not asked for",
            "  outside any agent: asked 1, recorded 2",
            '    not asked: 2. POST /v1/messages (claude-sonnet-5-5, 1 message) "forgotten"',
            "  remove:   pytest test_it.py::test_it --mnemosyne-trim",
            "  rerecord: pytest test_it.py::test_it --mnemosyne-mode=rerecord",
            f"  cassette: {path}",
            "ERROR test_it.py::test_it - unplayed: outside any agent, POST /v1/messages*",
        ]
    )


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("assert False", id="failed"),
        pytest.param('pytest.skip("enough")', id="skipped"),
        pytest.param('pytest.xfail("as expected")', id="xfailed"),
        pytest.param('await ask(claude, "unknown")', id="missed"),
    ],
)
def test_a_test_that_did_not_pass_is_not_failed_twice(project: Project, ending: str) -> None:
    project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.test_file(f"{ASKING_ONE}        {ending}\n")

    assert "errors" not in project.run().parseoutcomes()


@pytest.mark.parametrize(
    ("args", "marker"),
    [
        pytest.param(("-o", "mnemosyne_unplayed=warn"), "", id="ini"),
        pytest.param((), '@pytest.mark.claude_cassette(unplayed="warn")', id="marker"),
    ],
)
def test_it_is_a_warning_where_that_is_asked_for(
    project: Project, args: tuple[str, ...], marker: str
) -> None:
    project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.test_file(ASKING_ONE.replace("    async", f"    {marker}\n    async"))

    result = project.run(*args)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*calls that are not as recorded*", "test_it.py::test_it", '*not asked:*"forgotten"']
    )


def test_it_is_nothing_where_it_is_to_be_ignored(project: Project) -> None:
    project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.test_file(ASKING_ONE)

    result = project.run("-o", "mnemosyne_unplayed=ignore")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*not asked*")


def test_recording_warns_of_the_call_that_a_new_one_has_replaced(project: Project) -> None:
    path = project.cassette("test_it/test_it", FORGOTTEN)
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("answer")
            await ask(claude, "known")
        """
    )

    result = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*calls that are not as recorded*", "*--mnemosyne-trim"])
    assert len(load(path).interactions) == 2


def test_a_changed_order_is_told_and_fails_where_that_is_asked_for(project: Project) -> None:
    project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.test_file(
        """
        async def test_it(claude):
            await ask(claude, "forgotten")
            await ask(claude, "known")
        """
    )

    told = project.run()
    failed = project.run("-o", "mnemosyne_order=error")

    told.assert_outcomes(passed=1)
    told.stdout.fnmatch_lines(["*  outside any agent: recorded 1, 2, asked 2, 1"])
    failed.assert_outcomes(passed=1, errors=1)
    failed.stdout.fnmatch_lines(["ERROR test_it.py::test_it - order changed: outside any agent"])


# --- trimming --------------------------------------------------------------------------


def test_trimming_removes_what_a_test_that_passed_did_not_ask_for(project: Project) -> None:
    path = project.cassette("test_it/test_it", FORGOTTEN, KNOWN)
    project.test_file(ASKING_ONE)

    result = project.run("--mnemosyne-trim", "test_it.py::test_it")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["mnemosyne: trimmed cassettes/test_it/test_it.yaml: 1 call that no test asked for"]
    )
    assert questions(path) == ["known"]
    project.run().assert_outcomes(passed=1)


def test_a_run_that_did_not_pass_trims_nothing(project: Project) -> None:
    path = project.cassette("test_it/test_it", FORGOTTEN, KNOWN)
    orphan = project.cassette("test_it/test_gone", KNOWN)
    project.test_file(f"{ASKING_ONE}\n    def test_that_fails():\n        assert False")

    result = project.run("--mnemosyne-trim")

    result.stdout.fnmatch_lines(["mnemosyne: nothing was trimmed, because not everything has*"])
    assert questions(path) == ["forgotten", "known"]
    assert orphan.exists()


# --- cassettes of several tests --------------------------------------------------------


def test_a_call_of_a_shared_cassette_is_left_over_if_no_test_asked_for_it(
    project: Project,
) -> None:
    path = project.cassette("shared", KNOWN, ("other", "answer"), FORGOTTEN)
    project.test_file(SHARED)

    failed = project.run()
    partial = project.run("-k", "test_one")
    trimmed = project.run("--mnemosyne-trim")

    failed.assert_outcomes(passed=2)
    assert failed.ret == pytest.ExitCode.TESTS_FAILED
    failed.stdout.fnmatch_lines(
        [
            "*recorded calls that no test asked for*",
            "cassettes/shared.yaml",
            '  outside any agent: POST /v1/messages (*) "forgotten"',
            "remove them: pytest --mnemosyne-trim",
        ]
    )
    assert partial.ret == pytest.ExitCode.OK, "the other half may be the other test's"
    assert trimmed.ret == pytest.ExitCode.OK
    assert questions(path) == ["known", "other"]


def _numbers(result: pytest.RunResult) -> str:
    """The line of numbers at the end of a run, its tokens apart."""
    (line,) = (line for line in result.outlines if line.startswith("mnemosyne (replay): "))
    return line.removeprefix("mnemosyne (replay): ").partition(";")[0]


def test_a_shared_cassette_that_its_tests_play_whole_has_nothing_unplayed(
    project: Project,
) -> None:
    project.cassette("shared", KNOWN, ("other", "answer"))
    project.test_file(SHARED)

    assert _numbers(project.run()) == "2 played"
    assert _numbers(project.run("-k", "test_one")) == "1 played"


def test_what_nobody_asked_for_is_counted_once_for_the_run(project: Project) -> None:
    project.cassette("shared", KNOWN, ("other", "answer"), FORGOTTEN)
    project.cassette("test_own/test_it", KNOWN, FORGOTTEN)
    project.test_file(SHARED)
    project.test_file(ASKING_ONE, name="test_own")

    assert _numbers(project.run()) == "3 played, 2 unplayed"


def test_a_call_of_another_recorders_file_counts_and_is_not_trimmed(project: Project) -> None:
    exchange = """
    - request: {method: POST, uri: https://api.anthropic.com/v1/messages, body: '{}'}
      response: {status: {code: 200, message: OK}, headers: {}, body: {string: '{}'}}
    """
    path = project.path / "old.yaml"
    path.write_text(f"version: 1\ninteractions:{exchange}", encoding="utf-8")
    before = path.read_bytes()
    source = """
        @pytest.mark.claude_cassette(path="old.yaml")
        def test_it():
            pass
    """
    project.test_file(source)

    result = project.run("--mnemosyne-trim")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*recorded calls that no test asked for*",
            "old.yaml",
            "leave them, *another recorder* claude_cassette(path=..., unplayed=*ignore*)",
            "mnemosyne: old.yaml was not trimmed: another recorder wrote it",
        ]
    )
    assert path.read_bytes() == before
    project.test_file(source.replace('"old.yaml"', '"old.yaml", unplayed="ignore"'))
    assert project.run().ret == pytest.ExitCode.OK


def test_a_shared_cassette_is_not_judged_when_one_of_its_tests_did_not_run(
    project: Project,
) -> None:
    project.cassette("shared", KNOWN, ("other", "answer"), FORGOTTEN)
    project.test_file(f"{SHARED}\n    @pytest.mark.skip\n    def test_third(): pass")

    assert project.run().ret == pytest.ExitCode.OK


# --- cassettes that no test has --------------------------------------------------------


@pytest.fixture
def orphaned(project: Project) -> list[Path]:
    """A cassette that a test plays, and three that none has; two tests that do not pass."""
    project.cassette("test_it/test_it", KNOWN)
    project.cassette("test_it/test_skipped", KNOWN)
    project.test_file(
        f"""{ASKING_ONE}
    async def test_that_asks_no_more():
        pass

    @pytest.mark.skip
    async def test_skipped(claude):
        pass
"""
    )
    return [
        project.cassette("old", KNOWN),
        project.cassette("test_it/test_gone", KNOWN),
        project.cassette("test_it/test_that_asks_no_more", KNOWN),
    ]


LISTED = ["*cassettes that no test has*", "cassettes/old.yaml", "cassettes/test_it/test_gone.yaml"]


def test_they_are_listed_at_the_end_of_a_full_run(project: Project, orphaned: list[Path]) -> None:
    (project.path / "cassettes" / "foreign.yaml").write_text("interactions: []")

    result = project.run()

    result.assert_outcomes(passed=2, skipped=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [*LISTED, "cassettes/test_it/test_that_asks_no_more.yaml", "remove them: pytest*"]
    )
    result.stdout.no_fnmatch_line("cassettes/test_it/test_skipped.yaml")
    result.stdout.no_fnmatch_line("cassettes/foreign.yaml")


PARTIAL = {
    "one-test": ("test_it.py::test_it",),
    "one-file": ("test_it.py",),
    "by-word": ("-k", "test_it and not gone and not asks"),
    "deselected": ("--deselect", "test_it.py::test_that_asks_no_more"),
    "ignored": ("--ignore", "elsewhere"),
    "stopped": ("-x",),
    "broken-collection": ("--continue-on-collection-errors",),
    "only-collected": ("--collect-only",),
}


@pytest.mark.parametrize("args", PARTIAL.values(), ids=PARTIAL)
def test_a_partial_run_does_not_judge(
    project: Project, orphaned: list[Path], args: tuple[str, ...]
) -> None:
    if "-x" in args:
        project.test_file("def test_that_fails():\n        assert False", name="test_early")
    if "--continue-on-collection-errors" in args:
        (project.path / "test_broken.py").write_text("import no_such_module")

    result = project.run(*args, "--mnemosyne-trim")

    result.stdout.no_fnmatch_line("*cassettes that no test has*")
    assert all(path.exists() for path in orphaned)


def test_trimming_removes_them_with_their_empty_folders(
    project: Project, orphaned: list[Path]
) -> None:
    alone = project.cassette("deep/down/test_gone", KNOWN)

    result = project.run("--mnemosyne-trim")

    result.stdout.fnmatch_lines(["mnemosyne: removed cassettes/old.yaml, which no test has"])
    assert [path for path in (*orphaned, alone) if path.exists()] == []
    assert not alone.parent.exists()
    kept = sorted(path.name for path in (project.path / "cassettes").rglob("*.yaml"))
    assert kept == ["test_it.yaml", "test_skipped.yaml"]


def test_a_full_run_leaves_word_of_what_it_found(cached: Project) -> None:
    path = cached.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    orphan = cached.cassette("old", KNOWN)
    cached.test_file(ASKING_ONE)
    kept = cached.path / ".pytest_cache/d/mnemosyne/leftovers.json"

    cached.run("test_it.py")
    assert not kept.exists()

    cached.run()
    found = read_leftovers(kept, root=cached.path)
    assert found is not None
    assert (len(found.unplayed[path]), found.orphans) == (1, (orphan,))

    cached.run("--mnemosyne-trim")
    assert read_leftovers(kept, root=cached.path) == Leftovers()


def test_a_file_that_cannot_be_rewritten_is_named_and_the_others_are_trimmed(
    project: Project,
) -> None:
    path = project.cassette("test_it/test_it", KNOWN, FORGOTTEN)
    project.cassette("test_it/test_other", KNOWN, FORGOTTEN)
    project.test_file(
        f"""{ASKING_ONE}
    async def test_other(claude, claude_cassette):
        await ask(claude, "known")
        claude_cassette.path.write_text("mnemosyne: 1\\ninteractions: [")
"""
    )

    result = project.run("--mnemosyne-trim")

    result.stdout.fnmatch_lines(["mnemosyne: cassettes/test_it/test_other.yaml could not be trim*"])
    assert questions(path) == ["known"]
