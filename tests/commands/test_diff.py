from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cassettes
from .making import EXECUTOR, REVIEWER, call, cassette, message, text, tool_use, user

YES = message(text("Yes."))
ASKED = call([user("Is hello.py good?")], YES, lane=EXECUTOR)


def test_recordings_that_say_the_same_do_not_differ(cassettes: Cassettes, tmp_path: Path) -> None:
    old = cassette(tmp_path / "old.yaml", ASKED)
    again = message(text("Yes.")) | {"id": "msg_2"}
    slower = call([user("Is hello.py good?")], again, lane=EXECUTOR, took_s=9.0)
    new = cassette(tmp_path / "new.yaml", slower, source="api", at=None)

    ran = cassettes("diff", old, new)

    assert (ran.exit_code, ran.output) == (0, "")


def test_changes_are_told_agent_by_agent(cassettes: Cassettes, tmp_path: Path) -> None:
    gone = call([user("Anything else?")], YES, lane=REVIEWER)
    old = cassette(tmp_path / "old.yaml", ASKED, gone)
    changed = call([user("Is world.py good?")], YES, lane=EXECUTOR)
    new = cassette(tmp_path / "new.yaml", changed)

    ran = cassettes("diff", old, new)

    assert ran.exit_code == 1
    pytest.LineMatcher(ran.stdout.splitlines()).fnmatch_lines(
        [
            "executor:",
            "  1. POST /v1/messages *",
            '     asked: messages[[]0[]] (user): "Is [[]-hello-[]]{+world+}.py good?"',
            "reviewer, attempt 2:",
            "  2. POST /v1/messages * is gone",
        ]
    )


def test_words_of_answers_may_be_left_out(cassettes: Cassettes, tmp_path: Path) -> None:
    old = cassette(tmp_path / "old.yaml", ASKED)
    reworded = call([user("Is hello.py good?")], message(text("It is.")), lane=EXECUTOR)
    calls_a_tool = message(text("It is."), tool_use({}), stop_reason="tool_use")
    new = cassette(tmp_path / "new.yaml", reworded)
    newer = cassette(
        tmp_path / "newer.yaml", call([user("Is hello.py good?")], calls_a_tool, lane=EXECUTOR)
    )

    assert "words: " in cassettes("diff", old, new).stdout
    assert cassettes("diff", old, new, "--ignore-words").exit_code == 0
    drifted = cassettes("diff", old, newer, "--ignore-words")
    assert drifted.exit_code == 1
    assert "stop reason: [-end_turn-] {+tool_use+}" in drifted.stdout
    assert "words: " not in drifted.stdout


def test_json_holds_the_difference_for_scripts(cassettes: Cassettes, tmp_path: Path) -> None:
    old = cassette(tmp_path / "old.yaml", ASKED)
    new = cassette(tmp_path / "new.yaml", call([user("Why?")], YES, lane=EXECUTOR))

    ran = cassettes("diff", old, new, "--json")

    found = json.loads(ran.stdout)
    assert ran.exit_code == 1
    assert (found["old"], found["new"]) == (str(old), str(new))
    assert {call["agent"] for call in found["calls"]} == {"executor"}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"mnemosyne: 1\ninteractions: 7\n", id="damaged"),
    ],
)
def test_what_cannot_be_read_is_no_difference(
    cassettes: Cassettes, tmp_path: Path, content: bytes | None
) -> None:
    old = cassette(tmp_path / "old.yaml", ASKED)
    if content is not None:
        (tmp_path / "new.yaml").write_bytes(content)

    ran = cassettes("diff", old, tmp_path / "new.yaml")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("mnemosyne: ")


def test_of_two_that_cannot_be_read_both_are_told(cassettes: Cassettes, tmp_path: Path) -> None:
    ran = cassettes("diff", tmp_path / "old.yaml", tmp_path / "new.yaml")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        f"mnemosyne: there is no {tmp_path}/{name}.yaml; name a file that exists"
        for name in ("old", "new")
    ]
