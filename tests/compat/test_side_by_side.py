"""pytest-recording and this project in one suite, and what stands in for the former."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import yaml

from pytest_mnemosyne.cassette import CassetteFile, load, write
from tests.compat.echo import MESSAGES, Echo
from tests.compat.suite import COMPAT, Suite
from tests.plugin.project import interaction

WITH_EITHER = pytest.mark.parametrize(
    "plugin", [pytest.param((), id="pytest-recording"), pytest.param(COMPAT, id="in-its-place")]
)


def ours(suite: Suite, name: str, *exchanges: tuple[str, str]) -> None:
    """A cassette of this project's own."""
    file = CassetteFile(interactions=tuple(interaction(*each) for each in exchanges))
    assert write(suite.path / "cassettes" / name, file)


# --- tests of both kinds in one suite --------------------------------------------------


@WITH_EITHER
def test_tests_of_both_kinds_play_one_after_the_other(
    suite: Suite, plugin: tuple[str, ...]
) -> None:
    suite.recording("test_it/test_2_vcrpys.yaml", "/recorded")
    suite.claudes("test_it/test_4_claude_by_vcrpy.yaml", ("known?", "vcrpy's"))
    for name in ("test_1_ours", "test_3_ours"):
        ours(suite, f"test_it/{name}.yaml", ("known?", "ours"))
    suite.file(
        """
        @pytest.mark.claude_cassette
        def test_1_ours():
            assert ask("known?") == "ours"

        @pytest.mark.vcr
        def test_2_vcrpys(request):
            assert get("/recorded", request) == "/recorded recorded"

        def test_3_ours(claude_cassette):
            assert ask("known?") == "ours"

        @pytest.mark.vcr
        def test_4_claude_by_vcrpy():
            assert ask("unknown?") == "vcrpy's"
        """
    )

    suite.run(*plugin).assert_outcomes(passed=4)


@WITH_EITHER
def test_what_vcrpy_records_may_reach_everybody(
    suite: Suite, echo: Echo, plugin: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.ini("mnemosyne_block_hosts = true")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", echo.url)
    monkeypatch.setattr(socket, "getaddrinfo", _resolving_nothing)
    ours(suite, "test_it/test_1_ours.yaml", ("known?", "ours"))
    suite.file(
        """
        import socket

        @pytest.mark.claude_cassette
        def test_1_ours():
            assert ask("known?") == "ours"

        @pytest.mark.vcr
        def test_2_recorded():
            assert ask("new?") == "/v1/messages 1"
            for host in ("api.anthropic.com", "example.com"):
                with pytest.raises(OSError, match="resolves nothing"):
                    socket.getaddrinfo(host, 443)

        @pytest.mark.vcr(record_mode="none")
        def test_3_not_recorded():
            socket.getaddrinfo("api.anthropic.com", 443)

        @pytest.mark.vcr(record_mode="none")
        def test_4_not_recorded():
            socket.getaddrinfo("example.com", 443)
        """
    )

    result = suite.run(*plugin, "--record-mode=once")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines_random(
        ["FAILED *test_3* - refused: api.anthropic.com*", "FAILED *test_4* - refused: example.com*"]
    )
    assert echo.asked == {MESSAGES: 1}
    assert suite.questions(suite.path / "cassettes/test_it/test_2_recorded.yaml") == ["new?"]


def _resolving_nothing(host: Any, *args: Any, **options: Any) -> Any:
    if host == "127.0.0.1":
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(args[0])))]
    raise OSError("this resolves nothing")


@WITH_EITHER
def test_both_fences_hold(suite: Suite, plugin: tuple[str, ...]) -> None:
    suite.file(
        """
        import socket

        @pytest.mark.block_network
        def test_a_connection(request):
            assert get("/", request) == "RuntimeError: Network is disabled for host '127.0.0.1'"

        @pytest.mark.block_network
        def test_claude():
            socket.getaddrinfo("api.anthropic.com", 443)
        """
    )

    result = suite.run(*plugin)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_claude - refused: api.anthropic.com*"])


# --- one test of both kinds ------------------------------------------------------------

OF_BOTH_KINDS = """
    @pytest.mark.vcr
    def test_it(request, claude_cassette):
        assert ask("known?") == "ours"
        assert get("/recorded", request) == "/recorded recorded"
"""


def test_beside_pytest_recording_a_test_has_one_recorder(suite: Suite) -> None:
    suite.file(OF_BOTH_KINDS)

    result = suite.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it has the marker vcr *and a cassette for Claude*"])


def test_without_vcrpy_there_is_one_recorder_only(suite: Suite) -> None:
    ours(suite, "test_it/test_it.yaml", ("known?", "ours"))
    suite.file(
        """
        @pytest.mark.vcr
        def test_it(vcr, claude_cassette):
            assert ask("known?") == "ours"
            assert vcr is None
        """
    )

    suite.run("--disable-recording").assert_outcomes(passed=1)


def test_in_its_place_claude_is_ours_and_the_rest_vcrpys(suite: Suite) -> None:
    ours(suite, "claude/test_it/test_it.yaml", ("known?", "ours"))
    suite.claudes("test_it/test_it.yaml", ("known?", "vcrpy's"), others=("/recorded",))
    suite.ini("mnemosyne_cassette_dir = cassettes/claude")
    suite.file(OF_BOTH_KINDS)

    suite.run(*COMPAT).assert_outcomes(passed=1)


def test_in_its_place_each_records_its_own(
    suite: Suite, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{echo.url}/claude")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-real-key")
    suite.ini("mnemosyne_cassette_dir = cassettes/claude")
    suite.file(
        """
        import json

        @pytest.mark.vcr
        def test_it(request, claude_cassette):
            assert ask("by the SDK?") == "/claude/v1/messages 1"
            assert ask_by_urllib("by urllib?") == "/claude/v1/messages 2"
            assert get("/other", request) == "/other 1"

        def ask_by_urllib(text):
            question = {"model": "m", "messages": [{"role": "user", "content": text}]}
            asked = urllib.request.Request(
                URL + "/claude/v1/messages",
                data=json.dumps(question).encode(),
                headers={"content-type": "application/json"},
            )
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return json.loads(answer.read())["content"][0]["text"]
        """
    )

    suite.run(*COMPAT, "--record-mode=once", "--mnemosyne-mode=record").assert_outcomes(passed=1)
    asked = dict(echo.asked)
    suite.run(*COMPAT).assert_outcomes(passed=1)

    assert asked == dict(echo.asked) == {f"/claude{MESSAGES}": 2, "/other": 1}
    theirs = yaml.safe_load((suite.path / "cassettes/test_it/test_it.yaml").read_text("utf-8"))
    assert [each["request"]["uri"] for each in theirs["interactions"]] == [f"{echo.url}/other"]
    file = load(suite.path / "cassettes/claude/test_it/test_it.yaml")
    questions = [json.loads(each.request.body) for each in file.interactions]
    assert [each["messages"][0]["content"] for each in questions] == ["by the SDK?", "by urllib?"]


def test_in_its_place_both_may_not_have_one_file(suite: Suite) -> None:
    suite.file(OF_BOTH_KINDS)

    result = suite.run(*COMPAT)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["the cassette for Claude and vcrpy's would both be *test_it.yaml*"]
    )


# --- taking pytest-recording's place ---------------------------------------------------


def test_pytest_recording_stays_out(suite: Suite) -> None:
    suite.file(
        """
        def test_it(pytestconfig):
            assert not pytestconfig.pluginmanager.has_plugin("recording")
            assert pytestconfig.pluginmanager.has_plugin("pytest_mnemosyne.compat.recording")
        """
    )

    suite.run(*COMPAT).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(("-p", "pytest_recording.plugin", *COMPAT), id="by-name"),
        pytest.param((), id="by-itself"),
    ],
)
def test_two_of_a_kind_are_refused(suite: Suite, args: tuple[str, ...]) -> None:
    suite.path.joinpath("conftest.py").write_text(
        "pytest_plugins = ['pytest_mnemosyne.compat.recording']", encoding="utf-8"
    )

    result = suite.run(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest-recording is loaded already*-p no:recording*"])


def test_so_is_pytest_vcr(suite: Suite) -> None:
    suite.file(
        """
        def pytest_configure(config):
            config.pluginmanager.register(object(), "vcr")
        """,
        "conftest.py",
    )

    result = suite.run(*COMPAT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest-vcr is loaded*-p no:vcr*"])


@pytest.mark.slow
def test_loading_it_imports_nothing_heavy_and_workers_load_it_too(suite: Suite) -> None:
    suite.file(
        """
        import sys

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(pytestconfig, vcr, number):
            assert not pytestconfig.pluginmanager.has_plugin("recording")
            loaded = {"anthropic", "httpx2", "pydantic", "vcr", "yaml"} & set(sys.modules)
            assert loaded == set()
        """
    )

    suite.run_apart(*COMPAT, "-n", "2").assert_outcomes(passed=2)
