"""What is exported is played by vcrpy itself, with a client that is none of ours."""

from __future__ import annotations

import http.client
from dataclasses import replace
from pathlib import Path

import pytest
import vcr

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import CassetteFile, Chunk, Interaction, Outcome, load, write

from .conftest import Cassettes
from .making import EXECUTOR, REVIEWER, body_of, call, cassette, message, stream, text, user

YES = message(text("Yes ☀️ é."))
KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"


def ask(one: Interaction) -> tuple[int, bytes]:
    client = http.client.HTTPSConnection("api.anthropic.com")
    client.request("POST", "/v1/messages", one.request.body)
    answer = client.getresponse()
    found = answer.status, answer.read()
    client.close()
    return found


@pytest.mark.parametrize("name", ["out.yaml", "out.json"])
def test_vcrpy_plays_what_was_exported(cassettes: Cassettes, tmp_path: Path, name: str) -> None:
    calls = (
        call([user("One?")], b'{"type":"error"}', status=529),
        call([user("One?")], YES),
        call([user("Two?")], stream(YES), stream=True),
    )
    path = cassette(tmp_path / "x.yaml", *calls)

    ran = cassettes("export", path, "-o", tmp_path / name)

    serializer = "json" if name.endswith("json") else "yaml"
    player = vcr.VCR(record_mode="none", serializer=serializer, match_on=["method", "uri", "body"])
    with player.use_cassette(str(tmp_path / name)) as played:
        # In another order: the bodies tell them apart.
        answers = [ask(calls[at]) for at in (2, 0, 1)]
    assert (ran.exit_code, ran.stdout) == (0, f"{tmp_path / name}: written for vcrpy\n")
    assert answers == [(200, stream(YES)), (529, b'{"type":"error"}'), (200, body_of(YES))]
    assert played.all_played


def test_what_vcrpy_cannot_hold_is_told(cassettes: Cassettes, tmp_path: Path) -> None:
    said = call([user("Read /mnemosyne/tmp/a.txt")], YES, lane=EXECUTOR)
    assert said.response is not None
    chunks = (Chunk(data=said.response.body, at_s=0.5),)
    path = cassette(
        tmp_path / "x.yaml",
        replace(said, response=replace(said.response, chunks=chunks)),
        replace(said, lane=REVIEWER, outcome=Outcome.DROPPED),
        replace(said, lane=Lane("z"), outcome=Outcome.RESET, response=None),
    )

    ran = cassettes("export", path, "-o", tmp_path / "out.yaml")

    pytest.LineMatcher(ran.stdout.splitlines()).fnmatch_lines(
        [
            "*/out.yaml: written for vcrpy",
            "  interaction 2 is left out: it was dropped, *",
            "  interaction 3 is left out: it has no answer, *",
            "  which of the 3 agents asked what is dropped: *",
            "  what stands in for folders, ids and times of a run is exported as it stands, *",
            "  how streams arrived is dropped: *",
        ],
        consecutive=True,
    )
    assert len(load(tmp_path / "out.yaml").interactions) == 1


def test_a_strangers_secrets_are_not_exported(cassettes: Cassettes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(
        '{"request": {"method": "GET", "url": "https://h/", "headers": {"cookie": "a=b"}},'
        f' "response": {{"status": 200, "body": "my key is {KEY}"}}}}',
        "utf-8",
    )

    cassettes("export", tmp_path / "x.json", "-o", tmp_path / "out.yaml")

    written = (tmp_path / "out.yaml").read_text("utf-8")
    assert "my key is <redacted:anthropic-key>" in written
    assert "a=b" not in written


@pytest.mark.parametrize(
    ("output", "told"),
    [
        pytest.param("there.yaml", "exists; name another file, or replace it with", id="exists"),
        pytest.param("out.txt", "ends in none of .yaml, .yml and .json", id="suffix"),
        pytest.param("out.json", "a body in this cassette is no text", id="binary-in-json"),
        pytest.param("x.yaml/out.yaml", "cannot write the cassette", id="no-folder"),
    ],
)
def test_what_cannot_be_exported_changes_nothing(
    cassettes: Cassettes, tmp_path: Path, output: str, told: str
) -> None:
    path = tmp_path / "x.yaml"
    write(path, CassetteFile(interactions=(call([user("One?")], b"\xff\x00"),)))
    there = tmp_path / "there.yaml"
    there.write_text("mine", "utf-8")

    ran = cassettes("export", path, "-o", tmp_path / output)

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there.yaml", "x.yaml"]
    assert there.read_text("utf-8") == "mine"


def test_force_replaces_a_file(cassettes: Cassettes, tmp_path: Path) -> None:
    path = cassette(tmp_path / "x.yaml", call([user("One?")], YES))

    ran = cassettes("export", path, "-o", path, "--force")

    assert ran.exit_code == 0
    assert load(path).container == "vcrpy"
