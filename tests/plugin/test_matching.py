"""What a test leaves out of matching, and what differs from run to run, for its author."""

from __future__ import annotations

import re

import pytest

from pytest_mnemosyne.cassette import load
from tests.plugin.project import Project

_RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

_TICKET = """
    from pytest_mnemosyne.cassette import Matcher

    def pytest_mnemosyne_matchers(config):
        return [Matcher("tickets", r"T-[0-9]+"), Matcher("case", str.lower)]
"""


def _asking(text: str, *, mark: str = "") -> str:
    return f"""
    @pytest.mark.claude_cassette({mark})
    async def test_it(claude, scripted_claude):
        scripted_claude.reply("yes")
        assert await ask(claude, {text!r}) == "yes"
    """


def _recorded(project: Project, source: str, *args: str) -> tuple[str, ...]:
    """Record it; what its cassette says is not compared."""
    project.test_file(source)
    project.run(*_RECORD, *args).assert_outcomes(passed=1)
    return load(project.path / "cassettes/test_it/test_it.yaml").loosened


@pytest.mark.parametrize(
    ("mark", "then", "now"),
    [
        pytest.param("match='dates'", "On 2026-11-27.", "On 2026-11-28.", id="dates"),
        pytest.param("match=['durations']", "It took 1.5 s.", "It took 12 ms.", id="durations"),
        pytest.param("match=('hashes',)", f"At {'ab' * 20}.", f"At {'cd' * 20}.", id="hashes"),
        pytest.param(
            "match=['uuids']",
            "Is 123e4567-e89b-12d3-a456-426614174000 there?",
            "Is 123e4567-e89b-12d3-a456-426614174001 there?",
            id="uuids",
        ),
        pytest.param("match=['$.messages[0].content']", "One.", "Two.", id="json-path"),
    ],
)
def test_a_test_leaves_out_what_it_names_and_its_cassette_says_so(
    project: Project, mark: str, then: str, now: str
) -> None:
    loosened = _recorded(project, _asking(then, mark=mark))
    project.test_file(_asking(now, mark=mark))

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*leaves out*")
    assert loosened == (mark.split("'")[1],)


def test_without_it_the_same_change_misses(project: Project) -> None:
    _recorded(project, _asking("On 2026-11-27."))
    project.test_file(_asking("On 2026-11-28."))

    project.run().assert_outcomes(failed=1)


def test_a_project_declares_matchers_and_leaves_out_for_all_its_tests(project: Project) -> None:
    project.pytester.makeconftest(_TICKET)
    ini = ("-o", "mnemosyne_match=tickets case", "-o", "mnemosyne_ignore=metadata.user_id")
    loosened = _recorded(project, _asking("Close T-12."), *ini)
    project.test_file(_asking("CLOSE T-345."))

    project.run(*ini).assert_outcomes(passed=1)
    assert loosened == ("case", "tickets", "$.metadata.user_id")


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ("", "match='dates'", "*leaves out dates, which its cassette compares*"),
        ("match='dates'", "", "*compares dates, which its cassette leaves out*"),
    ],
)
def test_a_test_that_leaves_out_otherwise_than_its_cassette_says_is_told(
    project: Project, then: str, now: str, told: str
) -> None:
    _recorded(project, _asking("Hi.", mark=then))
    project.test_file(_asking("Hi.", mark=now))

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"mnemosyne: test_it.py::test_it {told} record it anew*"])


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (
            "match=['dats', 'uuids', 'tickets']",
            (
                "cannot leave out 'dats' (did you mean dates?), 'tickets'; it knows dates, "
                "durations, hashes, uuids,"
            ),
        ),
        ("match='$..x'", "is no JSON path that can be left out"),
        ("match=3", "takes names, JSON paths and matchers as match="),
    ],
)
def test_what_nobody_has_declared_is_an_error_that_says_what_there_is(
    project: Project, mark: str, told: str
) -> None:
    project.test_file(_asking("Hi.", mark=mark))

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{told}*"])


def test_a_matcher_of_another_ones_name_is_an_error(project: Project) -> None:
    project.pytester.makeconftest(_TICKET.replace('"tickets"', '"dates"'))
    project.test_file(_asking("Hi.", mark="match='dates'"))

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*two matchers are called 'dates'*"])


def test_a_path_in_the_ini_file_that_is_none_stops_the_run(project: Project) -> None:
    result = project.run("-o", "mnemosyne_ignore=$..x")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mnemosyne_ignore*is no JSON path*"])


def test_folders_ids_and_times_of_the_run_are_others_in_each_run(project: Project) -> None:
    project.test_file(
        """
        import os
        from pathlib import Path
        from mnemosyne_core.clock import LoopClock
        from mnemosyne_core.ids import RandomIds

        async def test_it(claude, scripted_claude, tmp_path, request, monkeypatch):
            said = [
                tmp_path, tmp_path.parent, request.config.rootpath / "src", Path.home() / ".x",
                RandomIds().mint("work"), LoopClock().now().isoformat(),
            ]
            scripted_claude.reply(f"I see {tmp_path}/a and {said[4]}.")
            answer = await ask(claude, " ".join(map(str, said)))
            assert answer == f"I see {tmp_path}/a and {said[4]}."
        """
    )
    project.run(*_RECORD).assert_outcomes(passed=1)
    path = project.path / "cassettes/test_it/test_it.yaml"
    written = path.read_text()

    # Each run has a temporary folder of its own; here the home folder is the rootdir.
    project.run("--basetemp", str(project.path / "elsewhere")).assert_outcomes(passed=1)

    assert load(path).volatile.folders == (
        "/mnemosyne/root",
        "/mnemosyne/tmp",
        "/mnemosyne/tmp_path",
    )
    assert "I see /mnemosyne/tmp_path/a and this-run-work-1." in written
    assert "2001-02-03T04:05:06+00:00" in written
    assert str(project.path) not in written


def test_names_that_tempfile_draws_are_others_in_each_run(project: Project) -> None:
    project.test_file(
        """
        import tempfile
        from pathlib import Path
        from tempfile import mkdtemp

        async def test_it(claude, scripted_claude, tmp_path):
            scripted_claude.improvise()
            with tempfile.TemporaryDirectory() as first, tempfile.NamedTemporaryFile() as file:
                second = mkdtemp(prefix="agent-", dir=tmp_path)
                names = [Path(each).name for each in (first, second, file.name)]
            await ask(claude, f"of {names[0]} and {names[1]}")
            await ask(claude, f"of {names[2]}, and of {names[0]}/notes.txt")
        """
    )

    project.run(*_RECORD).assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)

    assert sorted(load(project.path / "cassettes/test_it/test_it.yaml").volatile.ids) == [
        "this-run-1",
        "this-run-tmp-1",
        "this-run-tmp-2",
    ]


def test_a_temporary_name_that_is_not_utf_8_is_left_to_whoever_draws_it(
    project: Project,
) -> None:
    project.test_file(
        """
        import os
        import tempfile

        def test_it(claude_cassette, tmp_path):
            prefix, folder = os.fsencode("a") + b"\\xff", os.fsencode(tmp_path)
            handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
            os.close(handle)
            assert os.path.basename(name).startswith(prefix)
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_temporary_name_that_is_taken_for_another_one_misses(project: Project) -> None:
    source = """
        import tempfile
        from pathlib import Path

        async def test_it(claude, scripted_claude, tmp_path):
            scripted_claude.improvise()
            names = [Path(tempfile.mkdtemp(dir=tmp_path)).name for _ in "12"]
            await ask(claude, f"of {names[0]} and {names[1]}")
            await ask(claude, f"of {names[WHICH]}")
        """
    project.test_file(source.replace("WHICH", "0"))
    project.run(*_RECORD).assert_outcomes(passed=1)

    project.test_file(source.replace("WHICH", "1"))
    result = project.run()

    result.assert_outcomes(failed=1)
    assert "this-run-tmp-1" in str(result.stdout)


_CONCURRENT = """
    from pathlib import Path
    from mnemosyne_core.lane import Lane, entered
    from pytest_mnemosyne.simulation import text_contains

    async def talk(claude, agent, answers):
        with entered(Lane(agent)):
            first = await claude.messages.create(**asked("Ready?"))
            said = first.content[0].text
            body = asked(f"You said {said}.")
            body["messages"].insert(0, {"role": "assistant", "content": first.id})
            second = await claude.messages.create(**body)
            answers.setdefault(agent, []).append((said, second.content[0].text))

    MARK
    async def test_it(claude, scripted_claude):
        for number in range(6):
            scripted_claude.when(text_contains("Ready?")).reply(f"yes {number}")
        scripted_claude.improvise()
        answers = {}
        agents = ["reviewer", "executor", "executor", "reviewer", "executor", "optimizer"]
        await asyncio.gather(*(talk(claude, agent, answers) for agent in agents))
        got = {agent: sorted(pairs) for agent, pairs in sorted(answers.items())}
        told = Path("answers.txt")
        if not told.exists():
            told.write_text(repr(got))
        assert told.read_text() == repr(got)
"""


def test_identical_concurrent_requests_get_their_own_answers_under_every_schedule(
    project: Project,
) -> None:
    project.test_file(_CONCURRENT.replace("MARK", ""))
    project.run(*_RECORD).assert_outcomes(passed=1)
    project.test_file(_CONCURRENT.replace("MARK", "@pytest.mark.schedules(n=15)"))

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*unplayed*")
    answers = project.path.joinpath("answers.txt").read_text()
    assert len(set(re.findall(r"yes \d", answers))) == 6


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "daets",
            "*mnemosyne_match: matching cannot leave out 'daets' (did you mean dates?); it *",
        ),
        ("$..x", "*mnemosyne_match: '$..x' is no JSON path*"),
        ("Tickets", "*'Tickets' (did you mean tickets?); it knows case, dates,*"),
    ],
)
def test_a_setting_that_leaves_out_what_nobody_declares_stops_the_run(
    project: Project, setting: str, told: str
) -> None:
    project.pytester.makeconftest(_TICKET)
    project.test_file(_asking("Hi."))

    result = project.run("-o", f"mnemosyne_match={setting}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
    result.stdout.no_fnmatch_line("*test_it*")


def test_so_it_does_where_workers_run_the_tests(project: Project) -> None:
    project.test_file(_asking("Hi."))

    result = project.run("-p", "xdist", "-n2", "-o", "mnemosyne_match=daets")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mnemosyne_match: matching cannot leave out 'daets' *"])
