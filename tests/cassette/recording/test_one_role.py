"""Recording one role: what it asks is forwarded, all others are played and stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteMissError,
    Interaction,
    RecordMode,
    Request,
    load,
    write,
)
from tests.cassette.files._make import interaction

REVIEWER = Lane("reviewer")
EXECUTOR = Lane("executor")
SUB = Lane("executor/sub-1", 2)


def asked(question: str, lane: Lane | None, answer: str = "old") -> Interaction:
    return interaction(
        question={"model": "m", "messages": [question]}, answer=answer, lane=lane, took_s=1.5
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "test_x.yaml"
    there = (
        asked("who is there", None),
        asked("do it", EXECUTOR),
        asked("do a part", SUB),
        asked("review it", REVIEWER),
    )
    write(path, CassetteFile(interactions=there))
    return path


def ask(cassette: Cassette, question: str, lane: Lane | None) -> str:
    """The played answer, or `new` for one that was forwarded."""
    body = json.dumps({"model": "m", "messages": [question]}).encode()
    request = Request(method="POST", url="/v1/messages", body=body)
    played = cassette.answer(request, lane)
    if played is not None:
        assert played.response is not None
        return str(json.loads(played.response.body))
    recording = cassette.recording(request, lane)
    recording.answer(200, (("content-type", "application/json"),))
    recording.chunk(b'"new"')
    recording.read_whole()
    return "new"


def test_a_role_is_recorded_anew_and_the_others_are_played(path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.RERECORD, role="executor")

    heard = [
        ask(cassette, "do it", EXECUTOR),
        ask(cassette, "do a part", SUB),
        ask(cassette, "review it", REVIEWER),
        ask(cassette, "who is there", None),
    ]

    assert heard == ["new", "new", "old", "old"]


def test_what_the_others_had_is_in_the_file_as_it_was(path: Path) -> None:
    others = [each for each in load(path).interactions if each.lane not in (EXECUTOR, SUB)]
    cassette = Cassette(path, mode=RecordMode.RERECORD, role="executor")
    ask(cassette, "do it otherwise", EXECUTOR)
    ask(cassette, "review it", REVIEWER)
    cassette.save()

    there = load(path).interactions
    assert [each for each in there if each.lane not in (EXECUTOR, SUB)] == others
    assert [each.request.body for each in there if each.lane == EXECUTOR] == [
        b'{"model": "m", "messages": ["do it otherwise"]}'
    ]
    assert not any(each.lane == SUB for each in there)


def test_what_is_replaced_does_not_count_as_left_unplayed(path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.RERECORD, role="executor")
    ask(cassette, "do it", EXECUTOR)

    assert [each.lane for each in cassette.unplayed()] == [None, REVIEWER]


def test_another_role_that_asks_something_new_is_refused(path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.RERECORD, role="executor")

    with pytest.raises(CassetteMissError):
        ask(cassette, "review it again", REVIEWER)


def test_in_record_mode_the_role_is_forwarded_only_where_it_asks_something_new(path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.RECORD, role="executor")

    assert ask(cassette, "do it", EXECUTOR) == "old"
    assert ask(cassette, "do more", EXECUTOR) == "new"
    cassette.save()
    assert len(load(path).interactions) == 5


def test_a_damaged_file_is_not_replaced_by_one_role(path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.RERECORD, role="executor")
    ask(cassette, "do it", EXECUTOR)
    path.write_text("mnemosyne: [", encoding="utf-8")

    with pytest.raises(Exception, match="restore the cassette"):
        cassette.save()
    assert path.read_text(encoding="utf-8") == "mnemosyne: ["
