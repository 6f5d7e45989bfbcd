"""What time does to recordings: live answers that drift, dates that pass, models that end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import CassetteFile, Recorded, write
from pytest_mnemosyne.plugin._deprecations import deprecated_models
from tests.plugin.project import Project, interaction

VERIFY = ("--mnemosyne-mode=verify", "--mnemosyne-upstream=scripted")

ASKING = """
    async def test_it(claude):
        assert await ask(claude, "known") == "answer"
"""
SCRIPTED = """
    from pytest_mnemosyne.simulation import Reply

    async def test_it(claude, scripted_claude):
        scripted_claude.reply({reply})
        assert await ask(claude, "known") == "answer"
"""


# --- verify ----------------------------------------------------------------------------


def test_a_live_run_with_other_words_has_not_drifted(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "answer"))
    before = path.read_bytes()
    project.test_file(SCRIPTED.format(reply='"other words"'))

    result = project.run(*VERIFY)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (verify): 1 compared; *"])
    assert path.read_bytes() == before


def test_a_live_run_that_has_drifted_fails_and_says_in_what(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(SCRIPTED.format(reply='"cut", stop_reason="max_tokens"'))

    result = project.run(*VERIFY)

    result.assert_outcomes(passed=1, errors=1)
    call = '1. POST /v1/messages (claude-sonnet-5-5, 1 message) "known"'
    result.stdout.fnmatch_lines(
        [
            "Claude answers in another way than it did when this was recorded",
            "  outside any agent:",
            f"    {call}",
            "       stop reason: [[]-end_turn-] {+max_tokens+}",
            (
                "  rerecord: pytest test_it.py::test_it --mnemosyne-mode=rerecord "
                "--mnemosyne-upstream=scripted"
            ),
            f"  cassette: {path}",
            "*what has drifted from the recordings*",
            "test_it.py::test_it",
            f"    {call}",
            "ERROR test_it.py::test_it - drift: outside any agent, POST /v1/messages*",
        ]
    )


def test_calls_that_are_new_or_gone_fail_a_verify_run(project: Project) -> None:
    project.cassette("test_it/test_new", ("known", "answer"))
    project.cassette("test_it/test_gone", ("known", "answer"), ("forgotten", "answer"))
    project.test_file(
        """
        async def test_new(claude, scripted_claude):
            await ask(claude, "new")

        async def test_gone(claude, scripted_claude):
            scripted_claude.reply("answer")
            await ask(claude, "known")
        """
    )

    result = project.run(*VERIFY)

    result.assert_outcomes(failed=1, passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED test_it.py::test_new - miss: POST /v1/messages*",
            "ERROR test_it.py::test_gone - unplayed: outside any agent*",
        ]
    )


def test_a_test_that_needs_claude_and_has_no_recording_is_skipped(project: Project) -> None:
    project.test_file(f"    @pytest.mark.requires_api_key{ASKING}")

    project.run(*VERIFY).assert_outcomes(skipped=1)


def test_verifying_needs_a_key_or_another_upstream(project: Project) -> None:
    project.test_file(ASKING)

    result = project.run("--mnemosyne-mode=verify")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*asks for mode 'verify', which calls Claude and needs a key*"])


# --- expiry ----------------------------------------------------------------------------


def recorded_ago(project: Project, days: float | None) -> Path:
    """The cassette of the test, recorded some days ago; `None` for nobody knows when."""
    at = None if days is None else datetime.now(UTC) - timedelta(days=days)
    path = project.path / "cassettes/test_it/test_it.yaml"
    recorded = Recorded(source="api", at=at)
    assert write(
        path, CassetteFile(interactions=(interaction("known", "answer"),), recorded=recorded)
    )
    return path


def test_an_expired_cassette_is_told_with_the_command_that_records_it_anew(
    project: Project,
) -> None:
    path = recorded_ago(project, 40)
    project.test_file(ASKING)

    result = project.run("-o", "mnemosyne_expires=30")

    result.assert_outcomes(passed=1)
    what = f"the cassette {path} was recorded 40 days ago and expires after 30; record it anew"
    command = "pytest test_it.py::test_it --mnemosyne-mode=rerecord"
    result.stdout.fnmatch_lines(
        ["*cassettes that have expired*", "test_it.py::test_it", f"  {what}: {command}"]
    )


def test_an_expired_cassette_fails_its_test_where_that_is_asked_for(project: Project) -> None:
    recorded_ago(project, 40)
    project.test_file(f"    @pytest.mark.claude_cassette(expires=30){ASKING}")

    result = project.run("-o", "mnemosyne_expired=error")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*was recorded 40 days ago and expires after 30*"])


@pytest.mark.parametrize(
    ("days", "args"),
    [
        pytest.param(29, (), id="young-enough"),
        pytest.param(None, (), id="nobody-knows-when"),
        pytest.param(40, ("-o", "mnemosyne_expired=ignore"), id="nobody-asks"),
        pytest.param(
            40, ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted"), id="while-recording"
        ),
    ],
)
def test_otherwise_nothing_is_said(
    project: Project, days: float | None, args: tuple[str, ...]
) -> None:
    recorded_ago(project, days)
    project.test_file(ASKING)

    result = project.run("-o", "mnemosyne_expires=30", *args)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*expire*")


@pytest.mark.parametrize("days", ["soon", "0", "-1", "inf", "nan"])
def test_the_setting_takes_a_number_of_days(project: Project, days: str) -> None:
    project.test_file(ASKING)

    result = project.run("-o", f"mnemosyne_expires={days}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mnemosyne_expires takes a number of days*"])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param("expires='soon'", "takes a number of days as expires=", id="expires"),
        pytest.param("expires=0", "takes a number of days as expires=", id="no-days"),
        pytest.param("unplayed='maybe'", "takes error, warn, ignore as unplayed=", id="unplayed"),
    ],
)
def test_a_marker_that_says_what_cannot_be_is_refused(
    project: Project, given: str, problem: str
) -> None:
    project.test_file(f"    @pytest.mark.claude_cassette({given}){ASKING}")

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{problem}*"])


# --- models ----------------------------------------------------------------------------


def test_a_deprecated_model_is_told_with_its_end_and_who_asks_for_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:

    ends = {"claude-sonnet-5-5": "June 1st, 2027"}
    monkeypatch.setattr("anthropic.resources.messages.messages.DEPRECATED_MODELS", ends)
    for name in ("one", "two"):
        project.cassette(f"test_it/test_{name}", ("known", "answer"))
    project.test_file(
        """
        pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

        async def test_one(claude):
            await ask(claude, "known")

        async def test_two(claude):
            await ask(claude, "known")
        """
    )

    result = project.run()

    result.assert_outcomes(passed=2)
    what = "claude-sonnet-5-5 is deprecated (end of life June 1st, 2027)"
    where = "asked for in cassettes/test_it/test_one.yaml and 1 more"
    result.stdout.fnmatch_lines([f"mnemosyne: {what}; {where}"])


def test_a_release_of_the_sdk_without_such_a_list_is_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("anthropic.resources.messages.messages.DEPRECATED_MODELS")

    assert deprecated_models() == {}
