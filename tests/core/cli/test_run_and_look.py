"""`run`, and what `work` and `events` show of it: one tree, one database, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemosyne_core.events import WorkClaimed, WorkReleased, WorkSubmitted
from mnemosyne_core.storage import Journal
from mnemosyne_core.work import Gate, WorkItem
from pytest_mnemosyne.simulation import ScriptedClaude, tool_use
from tests.core.cli.conftest import Mnemosyne
from tests.core.storage.building import TickingClock

APPROVAL = {
    "decision": "approve",
    "gates": dict.fromkeys(Gate, True),
    "confidence": 0.9,
    "issues": [],
    "suggested_tests": [],
}


@pytest.fixture
def greeted(mnemosyne: Mnemosyne, api: ScriptedClaude, tmp_path: Path) -> Path:
    """The database of one item that was done and approved."""
    api.reply(tool_use("write_file", path="hello.txt", content="hello"))
    api.reply("There is a greeting now.").reply(json=APPROVAL)
    database = tmp_path / "deep" / "work.db"
    ran = mnemosyne("run", "Write a greeting.", "--database", database)
    assert ran.exit_code == 0, ran.output
    return database


def test_run_has_the_work_done_and_reviewed_in_the_present_folder(
    greeted: Path, api: ScriptedClaude, tmp_path: Path
) -> None:
    assert (tmp_path / "hello.txt").read_text(encoding="utf-8") == "hello"
    api.assert_all_played()


def test_run_prints_the_result_as_json(mnemosyne: Mnemosyne, api: ScriptedClaude) -> None:
    api.reply("Nothing to do.")

    ran = mnemosyne("run", "Look around.", "--no-review", "--json")

    result = json.loads(ran.stdout)
    assert (ran.exit_code, result["success"]) == (0, True)
    assert result["data"]["summary"] == "Nothing to do."


def test_work_that_fails_ends_with_1_and_says_why(
    mnemosyne: Mnemosyne, api: ScriptedClaude
) -> None:
    api.fail(400, message="prompt is too long")

    ran = mnemosyne("run", "Read everything.")

    assert ran.exit_code == 1
    assert "prompt is too long" in ran.stdout
    assert ran.stdout.endswith("-> make the item smaller or mend what the message names\n")


def test_without_a_key_the_work_fails_with_what_is_missing(mnemosyne: Mnemosyne) -> None:
    ran = mnemosyne("run", "Write a greeting.")

    assert ran.exit_code == 1
    assert "no API key (looked in ANTHROPIC_API_KEY" in ran.stdout
    assert ran.stdout.count("set ANTHROPIC_API_KEY") == 1


def test_a_program_is_offered_to_the_agent_only_when_it_is_allowed(
    mnemosyne: Mnemosyne, api: ScriptedClaude
) -> None:
    api.reply("Done.", times=2)

    mnemosyne("run", "Test it.", "--no-review")
    mnemosyne("run", "Test it.", "--no-review", "--allow", "pytest")

    assert ["run_command" in request.tools for request in api.requests] == [False, True]


def test_work_list_shows_each_item(mnemosyne: Mnemosyne, greeted: Path) -> None:
    ran = mnemosyne("work", "list", "--database", greeted)

    assert ran.stdout.splitlines()[-1] == "1 work items"
    assert "completed  executor  Write a greeting." in ran.stdout


@pytest.mark.parametrize(("state", "count"), [("completed", 1), ("failed", 0)])
def test_work_list_can_be_narrowed_to_a_state(
    mnemosyne: Mnemosyne, greeted: Path, state: str, count: int
) -> None:
    ran = mnemosyne("work", "list", "--database", greeted, "--state", state, "--json")

    assert [each["state"] for each in json.loads(ran.stdout)] == [state] * count


def test_work_show_tells_an_items_story(
    mnemosyne: Mnemosyne, greeted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMOSYNE_DATABASE", str(greeted))
    (item,) = json.loads(mnemosyne("work", "list", "--json").stdout)
    item_id = item["item"]["id"]

    shown = mnemosyne("work", "show", item_id).stdout
    as_json = json.loads(mnemosyne("work", "show", item_id, "--json").stdout)

    assert "completed, attempt 1 of 3" in shown
    assert "attempt 1: success" in shown
    assert as_json["reviews"] == 1
    assert as_json["results"][0]["data"]["files"] == ["hello.txt"]


def test_work_show_says_until_when_an_item_rests(mnemosyne: Mnemosyne, tmp_path: Path) -> None:
    database = tmp_path / "work.db"
    moment = datetime(2026, 11, 22, 15, 10, tzinfo=UTC)
    facts = (
        WorkSubmitted(item=WorkItem(id="a", description="Write a greeting.")),
        WorkClaimed(item_id="a", worker="executor"),
        WorkReleased(item_id="a", reason="busy", not_before=moment),
    )
    with Journal.open(database, clock=TickingClock()) as journal:
        journal.record_all(facts, agent="orchestrator")

    shown = mnemosyne("work", "show", "a", "--database", database).stdout
    as_json = mnemosyne("work", "show", "a", "--database", database, "--json").stdout

    assert "not before 2026-11-22T15:10:00+00:00" in shown.splitlines()
    assert json.loads(as_json)["not_before"] == "2026-11-22T15:10:00+00:00"


def test_events_lists_what_happened_with_its_cause(mnemosyne: Mnemosyne, greeted: Path) -> None:
    lines = mnemosyne("events", "--database", greeted, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    by_kind = {event["fact"]["kind"]: event for event in events}

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert by_kind["work_claimed"]["by"] == by_kind["work_submitted"]["seq"]
    assert by_kind["work_reviewed"]["by"] == by_kind["work_returned"]["seq"]


def test_events_can_be_narrowed(mnemosyne: Mnemosyne, greeted: Path) -> None:
    ran = mnemosyne("events", "--database", greeted, "--kind", "work_completed", "--limit", 1)

    (line,) = ran.stdout.splitlines()
    assert "work_completed" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["work", "list"], "there is no database", id="no-database"),
        pytest.param(["events", "--database", "text.db"], "no SQLite database", id="no-sqlite"),
        pytest.param(
            ["run", "x", "--database", "text.db/x.db"], "folder cannot be made", id="no-folder"
        ),
        pytest.param(["run", " "], "not a work item: description", id="empty-description"),
        pytest.param(["run", "x", "--role", "boss"], "no agent role is called 'boss'", id="role"),
    ],
)
def test_what_cannot_work_is_one_line_that_says_so(
    mnemosyne: Mnemosyne, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "text.db").write_text("only words, many of them " * 20, encoding="utf-8")

    ran = mnemosyne(*arguments)

    assert ran.exit_code == 1
    assert said in ran.stderr
    assert ran.stderr.startswith("mnemosyne: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["work", "show", "nothing"], "nothing", id="unknown-item"),
        pytest.param(["work", "list", "--state", "odd"], "states are waiting", id="unknown-state"),
        pytest.param(["events", "--kind", "odd"], "the kinds are", id="unknown-kind"),
    ],
)
def test_what_is_not_in_the_database_is_one_line_that_says_so(
    mnemosyne: Mnemosyne, greeted: Path, arguments: list[str], said: str
) -> None:
    ran = mnemosyne(*arguments, "--database", greeted)

    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert said in ran.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_takes_the_work_back_and_ends_with_130(
    mnemosyne: Mnemosyne, api: ScriptedClaude, tmp_path: Path
) -> None:
    asked, released = threading.Event(), threading.Event()

    def hesitate(_request: object) -> str:
        asked.set()
        released.wait(60)
        return "Too late."

    api.answer(hesitate)
    program = str(Path(sys.executable).with_name("mnemosyne"))
    command = [program, "run", "Think.", "--database", "w.db"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        released.set()

    assert process.returncode == 130
    assert errors.decode() == "mnemosyne: interrupted; what was stored so far is kept\n"
    (item,) = json.loads(mnemosyne("work", "list", "--json", "--database", "w.db").stdout)
    assert item["state"] == "cancelled"
