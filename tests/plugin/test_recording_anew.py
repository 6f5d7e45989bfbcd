"""Recording anew what several tests share: what others have in the cassette stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import load, write
from tests.plugin.project import Project, interaction

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
RERECORD = ("--mnemosyne-mode=rerecord", "--mnemosyne-upstream=scripted")

SHARED = """
    from pathlib import Path

    pytestmark = pytest.mark.claude_cassette(name="shared")

    @pytest.mark.parametrize("name", ["Ann", "Bob", "Cem"])
    async def test_it(claude, scripted_claude, name):
        word = Path("word").read_text()
        scripted_claude.reply(f"{word} {name}").reply(f"{word} all")
        await ask(claude, f"Greet {name}.")
        await ask(claude, "Greet all.")
"""

IN_ROLES = """
    from pathlib import Path
    from mnemosyne_core.lane import Lane, entered

    pytestmark = pytest.mark.claude_cassette(name="shared")

    @pytest.mark.parametrize("name", ["Ann", "Bob"])
    async def test_it(claude, scripted_claude, name):
        word = Path("word").read_text()
        scripted_claude.reply(f"{word} {name}").reply(f"{word} {name}")
        for role in ("executor", "reviewer"):
            with entered(Lane(role)):
                await ask(claude, f"Greet {name}.")
"""

TALKS = """
    pytestmark = pytest.mark.claude_cassette(name="shared")

    @pytest.mark.parametrize("name", ["Ann", "Bob"])
    async def test_it(claude, scripted_claude, name):
        scripted_claude.reply({"type": "tool_use", "name": "greet", "input": {}})
        scripted_claude.reply(f"greeted {name}")
        asked = [{"role": "user", "content": f"Greet {name}."}]
        tool = {"name": "greet", "input_schema": {"type": "object"}}
        more = dict(model="claude-sonnet-5-5", max_tokens=16, tools=[tool])
        answer = await claude.messages.create(messages=asked, **more)
        call = {"type": "tool_use", "id": answer.content[0].id, "name": "greet", "input": {}}
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "done"}
        asked += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        await claude.messages.create(messages=asked, **more)
"""


class Shared:
    """A project whose tests share one cassette, and what its script says now."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.path = project.path / "cassettes" / "shared.yaml"

    def record(self, source: str, word: str) -> None:
        """Record all tests of a module with a script that says `word`."""
        self.project.test_file(source)
        self.say(word)
        assert self.project.run(*RECORD).ret == pytest.ExitCode.OK

    def say(self, word: str) -> None:
        """Have the script say this from now on."""
        (self.project.path / "word").write_text(word, encoding="utf-8")

    @property
    def held(self) -> list[str]:
        """The cassette: each question, and its answer."""
        return exchanges(self.path)


def exchanges(path: Path) -> list[str]:
    found = []
    for each in load(path).interactions:
        assert each.response is not None
        asked = json.loads(each.request.body)["messages"][-1]["content"]
        said = json.loads(each.response.body)["content"][0]["text"]
        agent = f"{each.lane.agent}: " if each.lane is not None else ""
        found.append(f"{agent}{asked} {said}")
    return found


@pytest.fixture
def shared(project: Project) -> Shared:
    return Shared(project)


def test_one_test_replaces_its_own_answers_where_they_stand(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.say("hi")

    shared.project.run(*RERECORD, "test_it.py::test_it[Bob]").assert_outcomes(passed=1)

    assert shared.held == [
        "Greet Ann. hello Ann",
        "Greet all. hi all",
        "Greet Bob. hi Bob",
        "Greet Cem. hello Cem",
    ]
    assert shared.project.run().ret == pytest.ExitCode.OK


def test_a_question_of_several_tests_is_paid_for_once_in_a_run(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.say("hi")

    result = shared.project.run(*RERECORD)

    result.stdout.fnmatch_lines(["mnemosyne (rerecord): 2 played, 4 recorded; *"])
    assert [each.split(". ")[1] for each in shared.held] == ["hi Ann", "hi all", "hi Bob", "hi Cem"]


def test_what_a_changed_test_asked_before_stays_until_all_tests_have_run(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.project.test_file(SHARED.replace("Greet {name}.", "Greet dear {name}."))

    shared.project.run(*RERECORD, "-k", "Bob").assert_outcomes(passed=1, deselected=2)

    assert [each.split(". ")[0] for each in shared.held] == [
        "Greet Ann",
        "Greet dear Bob",
        "Greet all",
        "Greet Bob",
        "Greet Cem",
    ]
    shared.project.run("-k", "Bob").assert_outcomes(passed=1, deselected=2)
    shared.project.test_file(
        SHARED.replace("Greet {name}.", "Greet {'dear ' if name == 'Bob' else ''}{name}.")
    )
    told = shared.project.run()
    assert told.ret == pytest.ExitCode.TESTS_FAILED
    told.stdout.fnmatch_lines(
        ["cassettes/shared.yaml", '*"Greet Bob."', "remove them: pytest --mnemosyne-trim"]
    )
    shared.project.run("--mnemosyne-trim")
    assert len(shared.held) == 4


def test_a_full_run_that_records_anew_leaves_nothing_over(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.project.test_file(SHARED.replace("Greet {name}.", "Greet dear {name}."))

    result = shared.project.run(*RERECORD)

    result.stdout.fnmatch_lines(
        ["mnemosyne: trimmed cassettes/shared.yaml: 3 calls that no test asked for"]
    )
    assert [each.split(". ")[0] for each in shared.held] == [
        "Greet dear Ann",
        "Greet all",
        "Greet dear Bob",
        "Greet dear Cem",
    ]
    assert shared.project.run().ret == pytest.ExitCode.OK


@pytest.mark.parametrize("ending", ["assert name != 'Bob'", "name == 'Bob' and pytest.skip()"])
def test_nothing_is_removed_where_one_of_the_tests_has_not_passed(
    shared: Shared, ending: str
) -> None:
    shared.record(SHARED, "hello")
    changed = SHARED.replace("Greet {name}.", "Greet dear {name}.")
    shared.project.test_file(f"{changed}        {ending}\n")

    shared.project.run(*RERECORD)

    before = {"Greet Ann. hello Ann", "Greet Bob. hello Bob", "Greet Cem. hello Cem"}
    assert before <= set(shared.held)


@pytest.mark.parametrize(
    "chosen",
    [("-k", "Bob"), (), pytest.param(("-n", "2"), marks=pytest.mark.slow)],
    ids=["one", "all", "two-workers"],
)
@pytest.mark.parametrize("source", [SHARED, TALKS], ids=["equal-questions", "ids-of-claude"])
def test_recording_anew_what_has_not_changed_changes_no_line(
    shared: Shared, source: str, chosen: Sequence[str]
) -> None:
    shared.record(source, "hello")
    before = shared.path.read_bytes().replace(b"took: 0.", b"took: 7.")
    before = before.replace(b"toolu_", b"toolu_before_").replace(b"msg_", b"msg_before_")
    shared.path.write_bytes(before)

    run = shared.project.run_apart if "-n" in chosen else shared.project.run
    result = run(*RERECORD, *chosen)

    assert result.ret == pytest.ExitCode.OK
    assert shared.path.read_bytes() == before


@pytest.mark.slow
def test_workers_that_share_a_cassette_record_anew_what_all_of_them_ask(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.say("hi")

    shared.project.run_apart(*RERECORD, "-n", "2").assert_outcomes(passed=3)

    assert [each.split(". ")[1] for each in shared.held] == ["hi Ann", "hi all", "hi Bob", "hi Cem"]


def test_what_another_run_adds_meanwhile_stays(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    there = load(shared.path)
    added = replace(there, interactions=(*there.interactions, interaction("Bye.", "bye")))
    write(shared.project.path / "of another run.yaml", added)
    shared.say("hi")
    adding = "if name == 'Bob': Path('of another run.yaml').replace('cassettes/shared.yaml')"
    shared.project.test_file(f"{SHARED}        {adding}\n")

    shared.project.run(*RERECORD, "-k", "Ann or Bob").assert_outcomes(passed=2, deselected=1)

    assert shared.held == [
        "Greet Ann. hi Ann",
        "Greet all. hi all",
        "Greet Bob. hi Bob",
        "Greet Cem. hello Cem",
        "Bye. bye",
    ]


def test_of_one_role_only_what_the_tests_of_the_run_ask_is_replaced(shared: Shared) -> None:
    shared.record(IN_ROLES, "hello")
    shared.say("hi")

    result = shared.project.run(*RERECORD, "--mnemosyne-lane=executor", "-k", "Bob")

    result.stdout.fnmatch_lines(["mnemosyne (rerecord): 1 played, 1 recorded; *"])
    assert shared.held == [
        "executor: Greet Ann. hello Ann",
        "executor: Greet Bob. hi Bob",
        "reviewer: Greet Ann. hello Ann",
        "reviewer: Greet Bob. hello Bob",
    ]


def test_another_role_that_another_run_records_anew_meanwhile_stays(shared: Shared) -> None:
    shared.record(IN_ROLES, "hello")
    there = load(shared.path)
    theirs = tuple(
        replace(each, response=interaction("", "theirs").response)
        if each.lane is not None and each.lane.agent == "reviewer"
        else each
        for each in there.interactions
    )
    write(shared.project.path / "of another run.yaml", replace(there, interactions=theirs))
    shared.say("hi")
    adding = "if name == 'Bob': Path('of another run.yaml').replace('cassettes/shared.yaml')"
    shared.project.test_file(f"{IN_ROLES}        {adding}\n")

    shared.project.run(*RERECORD, "--mnemosyne-lane=executor").assert_outcomes(passed=2)

    assert shared.held == [
        "executor: Greet Ann. hi Ann",
        "executor: Greet Bob. hi Bob",
        "reviewer: Greet Ann. theirs",
        "reviewer: Greet Bob. theirs",
    ]


def test_one_role_of_all_tests_is_replaced_by_a_full_run(shared: Shared) -> None:
    shared.record(IN_ROLES, "hello")
    shared.say("hi")

    shared.project.run(*RERECORD, "--mnemosyne-lane=executor").assert_outcomes(passed=2)

    assert shared.held == [
        "executor: Greet Ann. hi Ann",
        "executor: Greet Bob. hi Bob",
        "reviewer: Greet Ann. hello Ann",
        "reviewer: Greet Bob. hello Bob",
    ]


def test_a_damaged_cassette_that_is_shared_is_repaired(shared: Shared) -> None:
    shared.record(SHARED, "hello")
    shared.path.write_text("mnemosyne: [", encoding="utf-8")
    shared.say("hi")

    shared.project.run(*RERECORD).assert_outcomes(passed=3)

    assert len(shared.held) == 4
