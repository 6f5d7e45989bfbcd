"""Strict tests: vcrpy's file, and for Claude the rules of this project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.echo import Echo
from tests.compat.suite import COMPAT, Suite


def test_each_question_gets_its_own_answer_whatever_the_order(suite: Suite) -> None:
    for name in ("test_loose", "test_strict"):
        suite.claudes(f"test_it/{name}.yaml", ("first?", "1st"), ("second?", "2nd"))
    suite.file(
        """
        @pytest.mark.vcr
        def test_loose():
            assert [ask("second?"), ask("first?")] == ["1st", "2nd"]

        @pytest.mark.vcr(strict=True)
        def test_strict():
            assert [ask("second?"), ask("first?")] == ["2nd", "1st"]
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=2)


def test_a_changed_prompt_is_a_miss_that_nothing_hides(suite: Suite) -> None:
    suite.claudes("test_it/test_it.yaml", ("known?", "known"))
    suite.file(
        """
        @pytest.mark.xfail
        @pytest.mark.vcr(strict=True)
        def test_it():
            try:
                ask("unknown?")
            except Exception:
                pass
        """
    )

    result = suite.run(*COMPAT)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "Claude was asked something that the cassette has no answer for",
            "  why: *unknown*",
            "  record: *pytest test_it.py::test_it --record-mode=new_episodes",
            "  cassette: *cassettes/test_it/test_it.yaml (1 interaction)",
        ]
    )


def test_an_answer_is_given_once_though_vcrpy_may_repeat_it(suite: Suite) -> None:
    suite.claudes("test_it/test_it.yaml", ("known?", "known"))
    suite.file(
        """
        @pytest.mark.vcr(strict=True, allow_playback_repeats=True)
        def test_it():
            ask("known?"), ask("known?")
        """
    )

    result = suite.run(*COMPAT)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the one answer recorded for exactly this request was already*"])


def test_other_hosts_stay_vcrpys_by_its_own_matchers(suite: Suite) -> None:
    suite.claudes("test_it/test_it.yaml", ("known?", "known"), others=("/a", "/b"))
    suite.file(
        """
        @pytest.mark.vcr(strict=True, match_on=["method"])
        def test_it(request, vcr):
            assert get("/whatever", request) == "/a recorded"
            assert ask("known?") == "known"
            assert get("/b", request) == "/b recorded"
            assert get("/more", request).startswith("CannotOverwrite")
            assert (vcr.play_count, vcr.all_played) == (3, True)
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=1)


def test_vcrpy_keeps_what_was_played_and_drops_what_was_not(suite: Suite) -> None:
    path = suite.claudes("test_it/test_it.yaml", ("known?", "known"), ("old?", "old"))
    suite.ini("mnemosyne_unplayed = ignore")
    suite.file(
        """
        @pytest.mark.vcr(strict=True, drop_unused_requests=True)
        def test_it():
            ask("known?")
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=1)

    assert suite.questions(path) == ["known?"]


def test_what_a_test_leaves_unasked_of_its_own_file_fails_it(suite: Suite) -> None:
    suite.claudes("test_it/test_own.yaml", ("known?", "known"), ("old?", "old"), others=("/a",))
    suite.claudes("test_it/test_extra.yaml", ("known?", "known"))
    suite.claudes("test_it/extra.yaml", ("old?", "old"), ("more?", "more"))
    suite.file(
        """
        @pytest.mark.vcr(strict=True)
        def test_own():
            ask("known?")

        @pytest.mark.vcr("extra.yaml", strict=True)
        def test_extra():
            assert ask("more?") + ask("known?") == "moreknown"
        """
    )

    result = suite.run(*COMPAT)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "1 recorded call was not asked for",
            "*not asked: *old?*",
            "  rerecord: pytest test_it.py::test_own --record-mode=rewrite",
        ]
    )


def test_tests_that_share_a_file_use_it_up_together(suite: Suite) -> None:
    suite.claudes("test_it/shared.yaml", ("one?", "1"), ("two?", "2"))
    suite.file(
        """
        @pytest.mark.default_cassette("shared")
        @pytest.mark.vcr(strict=True)
        @pytest.mark.parametrize("question", ["one?", "two?"])
        def test_it(question):
            ask(question)
        """
    )

    result = suite.run(*COMPAT)

    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.OK


def test_a_question_is_compared_as_the_settings_had_it_recorded(suite: Suite) -> None:
    suite.claudes("test_it/test_it.yaml", ("the key is REDACTED", "so it is"))
    suite.file(
        """
        def without_key(request):
            request.body = request.body.replace(b"s3cret", b"REDACTED")
            return request

        @pytest.fixture(scope="module")
        def vcr_config():
            return {"before_record_request": without_key, "strict": True}

        @pytest.mark.vcr
        def test_it():
            assert ask("the key is s3cret") == "so it is"
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=1)


def test_a_file_in_a_format_of_the_projects_own_is_read_by_its_serializer(suite: Suite) -> None:
    path = suite.claudes("test_it/test_it.yaml", ("known?", "known"))
    path.rename(path.with_suffix(".upside-down"))
    text = path.with_suffix(".upside-down").read_text(encoding="utf-8")
    path.with_suffix(".upside-down").write_text(text[::-1], encoding="utf-8")
    suite.file(
        """
        import yaml

        class UpsideDown:
            deserialize = staticmethod(lambda text: yaml.safe_load(text[::-1]))
            serialize = staticmethod(lambda data: yaml.safe_dump(data)[::-1])

        def pytest_recording_configure(vcr):
            vcr.register_serializer("upside-down", UpsideDown)
        """,
        "conftest.py",
    )
    suite.file(
        """
        @pytest.mark.vcr(strict=True, serializer="upside-down")
        def test_it():
            assert ask("known?") == "known"
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=1)


def test_files_are_made_strict_one_by_one_in_the_settings(suite: Suite) -> None:
    suite.ini("mnemosyne_strict =", "    test_strict.py", "    agents")
    for name in ("test_loose.py", "test_strict.py", "agents/test_deep.py"):
        suite.file(
            """
            @pytest.mark.vcr
            def test_it():
                assert ask("unknown?") == "known"

            @pytest.mark.vcr(strict=False)
            def test_loose():
                assert ask("unknown?") == "known"
            """,
            name,
        )
        below = Path(name).parent.joinpath("cassettes", Path(name).stem)
        for test in ("test_it", "test_loose"):
            suite.claudes(str(Path("..", below, f"{test}.yaml")), ("known?", "known"))

    result = suite.run(*COMPAT)

    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines_random(
        ["FAILED agents/test_deep.py::test_it*", "FAILED test_strict.py::test_it*"]
    )


@pytest.mark.parametrize(
    ("ini", "test", "complaint"),
    [
        pytest.param(
            "mnemosyne_strict = test_that.py",
            "def test_it(): pass",
            "*mnemosyne_strict names */test_that.py, where nothing is*",
            id="no-such-file",
        ),
        pytest.param(
            "",
            "@pytest.mark.vcr(strict='very')\ndef test_it(): pass",
            "*the setting strict of the marker vcr takes True or False, got 'very'",
            id="no-such-word",
        ),
        pytest.param(
            "",
            "@pytest.mark.claude_cassette\n@pytest.mark.vcr(strict=True)\ndef test_it(): pass",
            "*test_it is strict, so vcrpy's file would be its cassette for Claude, and*",
            id="two-cassettes",
        ),
    ],
)
def test_what_cannot_be_is_said(suite: Suite, ini: str, test: str, complaint: str) -> None:
    suite.ini(ini)
    suite.path.joinpath("test_it.py").write_text(f"import pytest\n{test}", encoding="utf-8")

    result = suite.run(*COMPAT)

    assert result.ret != pytest.ExitCode.OK
    pytest.LineMatcher([*result.outlines, *result.errlines]).fnmatch_lines([complaint])


def test_strictness_needs_the_plug_in_that_sees_to_it(suite: Suite) -> None:
    suite.file("@pytest.mark.vcr(strict=True)\ndef test_it(): pass")

    result = suite.run(*COMPAT, "-p", "no:mnemosyne")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it is strict, and the plug-in that sees to it is not*"])


def test_what_asks_something_else_is_recorded_anew_and_the_file_stays_vcrpys(
    suite: Suite, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite.claudes("test_it/test_it.yaml", ("known?", "known"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", echo.url)
    suite.file(
        """
        @pytest.mark.vcr(strict=True, match_on=["method", "path"])
        def test_it():
            assert ask("known?") == "known"
            assert ask("new?") == "/v1/messages 1"
        """
    )

    suite.run(*COMPAT, "--record-mode=new_episodes").assert_outcomes(passed=1)
    suite.run(*COMPAT).assert_outcomes(passed=1)

    assert suite.questions(path) == ["known?", "new?"]
    assert echo.asked["/v1/messages"] == 1


def test_a_damaged_file_is_told_by_its_name_and_line(suite: Suite) -> None:
    path = suite.claudes("test_it/test_it.yaml", ("known?", "known"))
    path.write_text("version: 1\ninteractions: ]\n", encoding="utf-8")
    suite.file("@pytest.mark.vcr\ndef test_it(): pass")

    result = suite.run(*COMPAT)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"{path}:2: *restore the cassette from version control*"])
