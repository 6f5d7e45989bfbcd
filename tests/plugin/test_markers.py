from __future__ import annotations

import pytest

from tests.plugin.project import Project

NEEDING = """
    @pytest.mark.requires_api_key
    async def test_it():
        from anthropic import AsyncAnthropic
        assert await ask(AsyncAnthropic(), "known") == "answer"
"""


def test_a_test_that_needs_claude_replays_what_is_recorded(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(NEEDING)

    project.run().assert_outcomes(passed=1)


def test_without_a_recording_it_is_skipped_with_the_command_that_makes_one(
    project: Project,
) -> None:
    project.test_file(NEEDING)

    result = project.run("-rs")

    result.assert_outcomes(skipped=1)
    text = " ".join(result.outlines)
    assert "--mnemosyne-mode=record" in text
    assert "test_it.py" in text


def test_without_a_recording_it_fails_under_ci(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.test_file(NEEDING)

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*nothing is recorded for this test*commit the cassette*"])


LIVE = """
    @pytest.mark.live_only
    async def test_it(claude, scripted_claude):
        scripted_claude.reply("now")
        assert await ask(claude, "known") == "now"
"""


@pytest.mark.parametrize(
    "args",
    [
        pytest.param((), id="replay"),
        pytest.param(
            ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted"), id="record-without-a-key"
        ),
    ],
)
def test_a_live_test_is_skipped_where_claude_is_not_called(
    project: Project, args: tuple[str, ...]
) -> None:
    project.cassette("test_it/test_it", ("known", "recorded"))
    project.test_file(LIVE)

    result = project.run("-rs", *args)

    result.assert_outcomes(skipped=1)
    assert "--mnemosyne-mode=live" in " ".join(result.outlines)


@pytest.mark.parametrize("mode", ["live", "record"])
def test_a_live_test_never_replays(
    project: Project, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-is-not-used")
    path = project.cassette("test_it/test_it", ("known", "recorded"))
    before = path.read_bytes()
    project.test_file(LIVE)

    result = project.run(f"--mnemosyne-mode={mode}", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1)
    assert path.read_bytes() == before


def test_the_marker_alone_gives_a_test_its_cassette(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        @pytest.mark.claude_cassette
        def test_it():
            from anthropic import Anthropic
            assert ask_sync(Anthropic(), "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        pytest.param('name="a", path="b"', "not both", id="both"),
        pytest.param('name="../outside"', "inside the cassette folder", id="outside"),
        pytest.param('name="/outside"', "inside the cassette folder", id="absolute"),
        pytest.param("name=3", "a text", id="no-text"),
        pytest.param('name="."', "the name of a file", id="the-folder-itself"),
        pytest.param(r'name="a\0b"', "the name of a file", id="no-file-has-it"),
        pytest.param(
            'title="a"',
            "does not know title, but name, path, match, unplayed, expires, pace",
            id="unknown",
        ),
        pytest.param(
            'nmae="a", unplayed="no", expires=0, pace="slow"',
            "does not know nmae (did you mean name?), but name, *, pace; takes error, warn, "
            "ignore as unplayed=; takes a number of days as expires=; takes instant or recorded "
            "as pace=",
            id="everything",
        ),
        pytest.param('"a", "b"', "takes one name", id="two-names"),
        pytest.param('path="nowhere.yaml"', "where no file is", id="missing-path"),
    ],
)
def test_a_marker_that_cannot_be_is_told(project: Project, marker: str, problem: str) -> None:
    project.test_file(
        f"""
        @pytest.mark.claude_cassette({marker})
        async def test_it(claude):
            pass
        """
    )

    result = project.run("--tb=short")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{problem}*"])


def test_a_name_may_be_given_without_its_key(project: Project) -> None:
    project.cassette("shared", ("known", "answer"))
    project.test_file(
        """
        @pytest.mark.claude_cassette("shared")
        async def test_it(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("marker", ["live_only(True)", "requires_api_key(reason='no key')"])
def test_a_marker_that_takes_nothing_says_so(project: Project, marker: str) -> None:
    project.test_file(
        f"""
        @pytest.mark.{marker}
        async def test_it(claude):
            pass
        """
    )

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"the marker {marker} takes nothing"])
