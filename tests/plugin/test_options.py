"""Options, ini settings and variables, as a user meets them."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TRIVIAL = """
    def test_it():
        pass
"""


def _is_usage_error(result: pytest.RunResult, *words: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = " ".join(result.stderr.str().split())
    for word in words:
        assert word in text
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_wrong_option_stops_the_run_at_once(project: Project) -> None:
    project.test_file(TRIVIAL)

    result = project.run("--mnemosyne-mode=relive")

    _is_usage_error(result, "--mnemosyne-mode", "'relive'", "replay, record, rerecord, live")


def test_a_wrong_variable_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMOSYNE_MODE", "relive")
    project.test_file(TRIVIAL)

    _is_usage_error(project.run(), "environment variable MNEMOSYNE_MODE")


def test_a_wrong_ini_setting_is_named(project: Project) -> None:
    project.test_file(TRIVIAL)

    _is_usage_error(project.run("-o", "mnemosyne_mode=relive"), "ini setting mnemosyne_mode")


@pytest.mark.parametrize("mode", ["record", "rerecord", "live"])
def test_a_mode_that_needs_a_key_says_where_it_was_looked_for(project: Project, mode: str) -> None:
    project.test_file(TRIVIAL)

    result = project.run(f"--mnemosyne-mode={mode}")

    _is_usage_error(result, "ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN", "scripted")


def test_ci_only_replays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-real-key")
    project.test_file(TRIVIAL)

    _is_usage_error(project.run("--mnemosyne-mode=live"), "CI only replays")
    project.run("--mnemosyne-mode=live", "--mnemosyne-allow-live").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_a_wrong_upstream_stops_the_run(project: Project) -> None:
    project.test_file(TRIVIAL)

    result = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=nowhere")

    _is_usage_error(result, "--mnemosyne-upstream", "'nowhere'")


def test_a_cassette_folder_that_is_a_file_stops_the_run(project: Project) -> None:
    project.test_file(TRIVIAL)
    (project.path / "taken").write_text("", encoding="utf-8")

    result = project.run("-o", "mnemosyne_cassette_dir=taken")

    _is_usage_error(result, "mnemosyne_cassette_dir", "which is a file")


def test_the_cassette_folder_is_relative_to_rootdir(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    (project.path / "cassettes").rename(project.path / "recorded")
    project.test_file(
        """
        async def test_it(claude, claude_cassette):
            assert await ask(claude, "known") == "answer"
            assert claude_cassette.path.parts[-3:] == ("recorded", "test_it", "test_it.yaml")
        """
    )

    project.run("-o", "mnemosyne_cassette_dir=recorded").assert_outcomes(passed=1)


def test_help_names_every_option_and_setting(project: Project) -> None:
    result = project.run("--help")

    result.stdout.fnmatch_lines(
        [
            "*--mnemosyne-mode=MODE*",
            "*--mnemosyne-allow-live*",
            "*--mnemosyne-upstream=scripted|URL*",
            "*mnemosyne_mode*",
            "*mnemosyne_cassette_dir*",
            "*mnemosyne_block_hosts*",
        ]
    )


def test_a_setting_that_is_neither_true_nor_false_is_named(project: Project) -> None:
    result = project.run("-o", "mnemosyne_block_hosts=maybe")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mnemosyne_block_hosts takes true or false*'maybe'*"])


def test_help_works_whatever_the_settings_say(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMOSYNE_MODE", "relive")

    assert project.run("--help").ret == pytest.ExitCode.OK


def test_the_markers_are_registered_with_a_help_text(project: Project) -> None:
    result = project.run("--markers")

    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.claude_cassette(name=None, path=None, *): *",
            "@pytest.mark.requires_api_key: *",
            "@pytest.mark.live_only: *",
        ]
    )


BLOCKED = {
    "a-client-that-the-cassette-covers": (
        """
        import urllib.request

        def test_it(claude_cassette):
            with contextlib.suppress(Exception):
                urllib.request.urlopen("http://example.test/", timeout=1)
        """,
        "*GET http://example.test/ was refused*",
    ),
    "a-test-without-a-cassette": (
        """
        import socket

        def test_it():
            with contextlib.suppress(BaseException):
                socket.getaddrinfo("example.test", 80)
        """,
        "*example.test was contacted*mnemosyne_block_hosts*",
    ),
}


@pytest.mark.parametrize("mode", ["replay", "live"])
@pytest.mark.parametrize(("source", "told"), BLOCKED.values(), ids=BLOCKED)
def test_other_hosts_can_be_blocked_too(
    project: Project, source: str, told: str, mode: str
) -> None:
    project.test_file(source)

    result = project.run(
        "-o",
        "mnemosyne_block_hosts=true",
        f"--mnemosyne-mode={mode}",
        "--mnemosyne-upstream=scripted",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([told])


def test_this_machine_is_never_blocked(project: Project) -> None:
    project.test_file(
        """
        import socket

        def test_it():
            with socket.create_server(("", 0)) as server:
                address = ("localhost", server.getsockname()[1])
                socket.create_connection(address, timeout=1).close()
        """
    )

    project.run("-o", "mnemosyne_block_hosts=true").assert_outcomes(passed=1)
