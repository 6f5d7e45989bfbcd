"""Recording from a scripted Claude through the real record path, and playing what came of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from pytest_mnemosyne.cassette import load
from tests.plugin.project import Project, interaction

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
RERECORD = ("--mnemosyne-mode=rerecord", "--mnemosyne-upstream=scripted")

GREETING = """
    async def test_it(claude, scripted_claude):
        scripted_claude.reply("hello")
        assert await ask(claude, "Say hello.") == "hello"
"""


def cassettes_of(project: Project) -> list[str]:
    return sorted(path.name for path in (project.path / "cassettes").rglob("*.yaml"))


def test_what_was_recorded_replays_without_a_script(project: Project) -> None:
    project.test_file(GREETING)
    project.run(*RECORD).assert_outcomes(passed=1)

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played; * tokens in, * out"])


def test_recording_says_what_was_recorded_and_where_from(project: Project) -> None:
    project.test_file(GREETING)

    result = project.run(*RECORD)

    result.stdout.fnmatch_lines(["mnemosyne (record): 1 recorded; * tokens in, * out"])
    recorded = load(project.path / "cassettes/test_it/test_it.yaml").recorded
    assert recorded is not None
    assert (recorded.source, recorded.test) == ("scripted", "test_it.py::test_it")
    assert {"pytest-mnemosyne", "anthropic", "anthropic-version"} == set(recorded.versions)


def test_a_test_that_fails_writes_no_cassette_and_says_what_is_kept(project: Project) -> None:
    project.test_file(f"{GREETING}        assert False\n")

    result = project.run(*RECORD)

    result.assert_outcomes(failed=1)
    assert cassettes_of(project) == []
    result.stdout.fnmatch_lines(
        [
            "mnemosyne: test_it.py::test_it did not pass, so *test_it.yaml was not written",
            "mnemosyne: 1 answer recorded by test_it.py::test_it reached no cassette and *.journal",
            "mnemosyne: to make cassettes of them: mnemosyne cassettes recover cassettes",
        ]
    )


def test_a_failing_teardown_writes_nothing_either(project: Project) -> None:
    project.test_file(
        """
        @pytest.fixture
        def failing():
            yield
            raise AssertionError("in the teardown")

        async def test_it(failing, claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Say hello.")
        """
    )

    project.run(*RECORD).assert_outcomes(passed=1, errors=1)

    assert cassettes_of(project) == []


def test_record_adds_only_what_is_missing(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "recorded earlier"))
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("recorded now")
            assert await ask(claude, "known") == "recorded earlier"
            assert await ask(claude, "new") == "recorded now"
        """
    )

    project.run(*RECORD).assert_outcomes(passed=1)

    assert len(load(path).interactions) == 2
    project.run().assert_outcomes(passed=1)


def test_rerecord_replaces_everything(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "earlier"), ("forgotten", "earlier"))
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("now")
            assert await ask(claude, "known") in ("now",)
        """
    )

    project.run(*RERECORD).assert_outcomes(passed=1)

    assert len(load(path).interactions) == 1


def test_an_equal_rerecording_leaves_the_file_untouched(project: Project) -> None:
    project.test_file(GREETING)
    project.run(*RECORD).assert_outcomes(passed=1)
    path = project.path / "cassettes/test_it/test_it.yaml"
    before = (path.read_bytes(), path.stat().st_mtime_ns)

    project.run(*RERECORD).assert_outcomes(passed=1)

    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_request_that_the_script_does_not_foresee_fails_the_test(project: Project) -> None:
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            with contextlib.suppress(Exception):
                await ask(claude, "Say hello.")
        """
    )

    result = project.run(*RECORD)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the script has no answer for what was asked*"])
    assert cassettes_of(project) == []


def test_live_mode_records_nothing(project: Project) -> None:
    project.test_file(GREETING)

    result = project.run("--mnemosyne-mode=live", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (live): 1 forwarded; *"])
    assert not (project.path / "cassettes").exists()


def test_an_upstream_url_gets_what_would_have_gone_to_the_api(project: Project) -> None:
    from pytest_mnemosyne.simulation import ScriptedClaude

    project.test_file(
        """
        async def test_it(claude):
            assert await ask(claude, "Say hello.") == "hello"
        """
    )

    with ScriptedClaude() as upstream:
        upstream.reply("hello")
        result = project.run("--mnemosyne-mode=record", f"--mnemosyne-upstream={upstream.url}")

    result.assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_the_scripted_run_has_no_way_to_the_real_api(project: Project) -> None:
    project.test_file(
        """
        async def test_it():
            from anthropic import AsyncAnthropic
            await ask(AsyncAnthropic(api_key="none"), "hello")
        """
    )

    result = project.run(*RECORD)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["api.anthropic.com was contacted*"])


def test_a_real_key_reaches_neither_the_test_nor_the_script(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-a-real-key-of-mine")
    project.test_file(
        """
        import os
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            assert "real" not in os.environ["ANTHROPIC_API_KEY"]
            await ask(claude, "Say hello.")
        """
    )

    project.run(*RECORD).assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_two_tests_share_a_cassette_by_name(project: Project) -> None:
    project.test_file(
        """
        pytestmark = pytest.mark.claude_cassette(name="shared/greetings")

        @pytest.mark.parametrize("name", ["Ann", "Bob"])
        async def test_it(claude, scripted_claude, name):
            scripted_claude.reply(f"hello {name}")
            assert await ask(claude, f"Greet {name}.") == f"hello {name}"
        """
    )

    project.run(*RERECORD).assert_outcomes(passed=2)

    path = project.path / "cassettes/shared/greetings.yaml"
    assert len(load(path).interactions) == 2
    project.run().assert_outcomes(passed=2)


def test_an_equal_rerecording_of_a_shared_cassette_changes_no_line(project: Project) -> None:
    project.test_file(
        """
        pytestmark = pytest.mark.claude_cassette(name="shared")

        @pytest.mark.parametrize("name", ["Ann", "Bob"])
        async def test_it(claude, scripted_claude, name):
            scripted_claude.reply(f"hello {name}")
            await ask(claude, f"Greet {name}.")
        """
    )
    project.run(*RECORD).assert_outcomes(passed=2)
    path = project.path / "cassettes/shared.yaml"
    before = path.read_bytes().replace(b"took: 0.", b"took: 7.")
    path.write_bytes(before)

    project.run(*RERECORD).assert_outcomes(passed=2)

    assert path.read_bytes() == before


def test_any_recording_can_be_played_by_its_path(project: Project) -> None:
    known = interaction("known", "from elsewhere")
    assert known.response is not None
    exchange = {
        "request": {
            "method": "POST",
            "uri": known.request.url,
            "body": known.request.body.decode(),
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": known.response.body.decode()},
        },
    }
    vcrpys = {"version": 1, "interactions": [exchange]}
    (project.path / "foreign.yaml").write_text(yaml.safe_dump(vcrpys), encoding="utf-8")
    project.test_file(
        """
        @pytest.mark.claude_cassette(path="foreign.yaml")
        async def test_it(claude):
            assert await ask(claude, "known") == "from elsewhere"

        @pytest.mark.claude_cassette(path="foreign.yaml", unplayed="ignore")
        async def test_more(claude):
            await ask(claude, "new")
        """
    )
    before = (project.path / "foreign.yaml").read_bytes()

    project.run("-k", "not more").assert_outcomes(passed=1, deselected=1)
    result = project.run(*RERECORD)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            (
                "*record:  mnemosyne cassettes import foreign.yaml -o foreign-mnemosyne.yaml, name "
                "that file in the marker, and then pytest test_it.py::test_more *=record*"
            )
        ]
    )
    assert (project.path / "foreign.yaml").read_bytes() == before


def test_unplayed_interactions_are_told(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"), ("other", "answer"))
    project.test_file(
        """
        async def test_it(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "1 recorded call was not asked for",
            "mnemosyne (replay): 1 played, 1 unplayed; 7 tokens in, 3 out",
        ]
    )


def test_a_run_that_never_meets_claude_says_nothing(project: Project) -> None:
    project.test_file("def test_it(): pass")

    result = project.run()

    result.stdout.no_fnmatch_line("mnemosyne*:*")


def test_a_corrupt_cassette_is_the_tests_error_and_names_file_and_line(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "answer"))
    path.write_text("mnemosyne: 1\ninteractions: [\n", encoding="utf-8")
    project.test_file(
        """
        async def test_it(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    result = project.run("--tb=short")

    result.assert_outcomes(errors=1)
    told = [line for line in result.outlines if "test_it.yaml:" in line]
    assert told[0].startswith(str(path)), "the message stands at the margin"
    result.stdout.no_fnmatch_line("*_session.py*")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_folder_fails_the_test_that_records(project: Project) -> None:
    folder = project.path / "cassettes"
    folder.mkdir(mode=0o500)
    project.test_file(GREETING)

    _cannot_be_written(project, folder)


def test_a_folder_that_cannot_be_made_fails_the_test_that_records(project: Project) -> None:
    # The module's folder is in the way, as a file.
    folder = project.path / "cassettes"
    folder.mkdir()
    (folder / "test_it").write_text("in the way", encoding="utf-8")
    project.test_file(GREETING)

    _cannot_be_written(project, folder)


def _cannot_be_written(project: Project, folder: Path) -> None:
    result = project.run(*RECORD, "--tb=short")

    # At setup: Claude was not asked for what could not be kept.
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["cannot write the cassette *"])
    result.stdout.no_fnmatch_line("*_cassettes.py*")
    assert not list(folder.rglob("*.yaml"))


def test_a_folder_lost_while_the_test_ran_is_told_once_and_nothing_counts_as_recorded(
    project: Project,
) -> None:
    project.test_file(
        """
        import pathlib

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Say hello.")
            pathlib.Path("cassettes/test_it").write_text("in the way")
        """
    )

    result = project.run(*RECORD, "--tb=short")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["cannot write the cassette *", "mnemosyne (record): 1 discarded;*"]
    )
    result.stdout.no_fnmatch_line("*did not pass*")


def test_a_cassette_is_not_taken_for_a_users_yaml_test(project: Project) -> None:
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".yaml":
                return Yaml.from_parent(parent, path=file_path)

        class Yaml(pytest.File):
            def collect(self):
                yield Item.from_parent(self, name="item")

        class Item(pytest.Item):
            def runtest(self):
                pass
        """
    )
    project.cassette("test_it/test_it", ("known", "answer"))
    (project.path / "cassettes" / "test_users.yaml").write_text("a: 1", encoding="utf-8")

    result = project.run("--collect-only", "-q")

    result.stdout.fnmatch_lines(["cassettes/test_users.yaml::item", "1 test collected*"])


@pytest.mark.slow
def test_what_a_broken_off_run_has_recorded_so_far_is_whole(project: Project) -> None:
    project.test_file(
        """
        import os, signal

        async def test_first(claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Say hello.")

        async def test_second(claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Say hello.")
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        """
    )

    result = project.run_apart(*RECORD)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["mnemosyne: test_it.py::test_second was broken off, so *test_second.yaml was not written"]
    )
    assert cassettes_of(project) == ["test_first.yaml"]
    assert len(load(project.path / "cassettes/test_it/test_first.yaml").interactions) == 1


def test_a_marker_has_answers_take_the_time_that_they_took(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "answer"))
    path.write_text(path.read_text(encoding="utf-8").replace("took: 0.0", "took: 90.0"))
    project.test_file(
        """
        @pytest.mark.virtual_time
        @pytest.mark.claude_cassette(pace="recorded")
        async def test_it(claude, virtual_clock):
            began_s = virtual_clock.monotonic()
            await ask(claude, "known")
            assert virtual_clock.monotonic() - began_s == 90.0

        @pytest.mark.claude_cassette(pace="hurried")
        async def test_misused(claude):
            pass
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*(pace='hurried') takes instant or recorded as pace=*"])


def test_one_role_is_recorded_anew_and_all_others_play(project: Project) -> None:
    project.test_file(
        """
        from mnemosyne_core.lane import Lane, entered

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("one").reply("two").reply("three")
            for agent in ("executor", "executor/sub-1", "reviewer"):
                with entered(Lane(agent)):
                    await ask(claude, "Go on.")
        """
    )
    project.run(*RECORD).assert_outcomes(passed=1)

    result = project.run(*RERECORD, "--mnemosyne-lane=executor")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (rerecord): 1 played, 2 recorded; *"])


def test_a_role_without_a_recording_mode_stops_the_run(project: Project) -> None:
    result = project.run("--mnemosyne-lane=executor")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mnemosyne-lane=executor*add --mnemosyne-mode=rerecord*"])


def test_a_role_that_nobody_has_is_told(project: Project) -> None:
    project.cassette("test_it/test_it", ("Say hello.", "hello"))
    project.test_file(GREETING)

    result = project.run(*RERECORD, "--mnemosyne-lane=executer")

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            (
                "mnemosyne: --mnemosyne-lane=executer: nothing was recorded for this role and no "
                "cassette of this run holds it, so the run has failed; they hold no agent's calls"
            )
        ]
    )


IN_A_ROLE = """
    from mnemosyne_core.lane import Lane, entered

    @pytest.mark.parametrize("agent", ["executor/sub-1", "reviewer"])
    async def test_it(claude, scripted_claude, agent):
        scripted_claude.reply("one")
        with entered(Lane(agent)):
            await ask(claude, "Go on.")
"""


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_role_that_nobody_has_is_told_beside_those_that_there_are_and_fails_the_run(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.test_file(IN_A_ROLE)
    project.run(*RECORD).assert_outcomes(passed=2)

    run = project.run_apart if workers else project.run
    result = run(*workers, *RERECORD, "--mnemosyne-lane=revewer")

    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            (
                "mnemosyne: --mnemosyne-lane=revewer (did you mean reviewer?): nothing *; they "
                "hold executor, reviewer"
            )
        ]
    )


def test_a_role_that_has_nothing_new_to_record_fails_no_run(project: Project) -> None:
    project.test_file(IN_A_ROLE)
    project.run(*RECORD).assert_outcomes(passed=2)

    result = project.run(*RECORD, "--mnemosyne-lane=reviewer")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["mnemosyne: --mnemosyne-lane=reviewer: no agent of this role was recorded"]
    )


def test_a_role_that_is_recorded_for_the_first_time_fails_no_run(project: Project) -> None:
    project.test_file(IN_A_ROLE)

    result = project.run(*RECORD, "-k", "reviewer", "--mnemosyne-lane=reviewer")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*--mnemosyne-lane*")


@pytest.mark.parametrize("mode", ["record", "rerecord"])
def test_a_cassette_of_a_newer_release_is_not_written_over(project: Project, mode: str) -> None:
    path = project.path / "cassettes" / "test_it" / "test_it.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mnemosyne: 9\nof: a newer release\n", encoding="utf-8")
    project.test_file(GREETING)

    result = project.run(f"--mnemosyne-mode={mode}", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            (
                f"{path} is a cassette of format 9, * upgrade pytest-mnemosyne to a version that "
                "writes format 9, or remove the file and record it in format 1"
            )
        ]
    )
    assert path.read_text(encoding="utf-8") == "mnemosyne: 9\nof: a newer release\n"


@pytest.mark.parametrize("mode", ["record", "rerecord"])
def test_a_file_that_never_was_a_cassette_is_not_written_over(project: Project, mode: str) -> None:
    path = project.path / "package.json"
    path.write_text('{"name": "web"}\n', encoding="utf-8")
    project.test_file(
        """
        @pytest.mark.claude_cassette(path="package.json")
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("one")
            await ask(claude, "first")
        """
    )

    result = project.run(f"--mnemosyne-mode={mode}", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(errors=1)
    assert "is this a cassette? name a file that a recording has written" in str(result.stdout)
    assert path.read_text(encoding="utf-8") == '{"name": "web"}\n'


@pytest.mark.parametrize("ending", ["pytest.xfail('known')", "pytest.skip('for now')", "assert 0"])
def test_what_a_test_asks_before_it_ends_as_it_is_meant_to_is_kept(
    project: Project, ending: str
) -> None:
    mark = "@pytest.mark.xfail" if ending.startswith("assert") else ""
    project.test_file(
        f"""
        {mark}
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("one")
            await ask(claude, "first")
            {ending}
        """
    )

    recorded = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
    replayed = project.run()

    for result, word in ((recorded, "1 recorded"), (replayed, "1 played")):
        result.assert_outcomes(skipped="skip" in ending, xfailed="skip" not in ending)
        assert word in str(result.stdout)
