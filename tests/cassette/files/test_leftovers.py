"""What is left over is remembered, and taken out of files that may have changed since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    CassetteWriteError,
    CorruptCassetteError,
    Interaction,
    Leftovers,
    Recorded,
    Request,
    Response,
    _leftovers,
    interaction_id,
    load,
    read_leftovers,
    trim,
    write,
    write_leftovers,
)
from pytest_mnemosyne.cassette._locks import locked

URL = "https://api.anthropic.com/v1/messages"


def call(text: str, answer: str = "Fine.", lane: Lane | None = None) -> Interaction:
    return Interaction(
        request=Request(method="POST", url=URL, body=text.encode()),
        response=Response(status=200, body=answer.encode()),
        lane=lane,
    )


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "calls.yaml"
    file = CassetteFile(
        interactions=(call("one"), call("two"), call("two"), call("three")),
        recorded=Recorded(source="api", test="test_x.py::test_y"),
    )
    assert write(path, file)
    return path


def texts(path: Path) -> list[str]:
    return [each.request.body.decode() for each in load(path).interactions]


def test_nobody_else_writes_a_file_while_it_is_trimmed(
    cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[str] = []

    def write_beside_another(path: Path, file: CassetteFile) -> bool:
        with pytest.raises(CassetteWriteError) as refused, locked(path, patience_s=0):
            others.append("another one has written")
        others.append(refused.value.reason)
        return write(path, file)

    monkeypatch.setattr(_leftovers, "write", write_beside_another)

    assert trim(cassette, [interaction_id(call("three"))]) == 1

    assert others == ["another process has been writing it for 0 seconds"]
    assert texts(cassette) == ["one", "two", "two"]


def test_what_is_named_is_taken_out_and_the_rest_stays_as_it_was(cassette: Path) -> None:
    recorded = load(cassette).recorded

    assert trim(cassette, [interaction_id(call("three"))]) == 1

    assert texts(cassette) == ["one", "two", "two"]
    assert load(cassette).recorded == recorded


def test_of_equal_interactions_as_many_go_as_are_named(cassette: Path) -> None:
    assert trim(cassette, [interaction_id(call("two"))]) == 1

    assert texts(cassette) == ["one", "two", "three"]


def test_what_is_not_there_any_more_is_passed_over(cassette: Path) -> None:
    before = cassette.read_bytes()

    assert trim(cassette, [interaction_id(call("four"))]) == 0

    assert cassette.read_bytes() == before


def test_a_cassette_that_is_left_with_nothing_goes_with_its_folder(cassette: Path) -> None:
    everything = [interaction_id(each) for each in load(cassette).interactions]

    assert trim(cassette, everything) == 4

    assert not cassette.parent.exists()


def test_a_folder_with_other_files_stays(cassette: Path) -> None:
    cassette.with_name("other.yaml").touch()

    trim(cassette, [interaction_id(each) for each in load(cassette).interactions])

    assert cassette.parent.exists()


def test_the_file_of_another_recorder_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "foreign.yaml"
    text = """
        version: 1
        interactions:
        - request: {method: POST, uri: https://api.anthropic.com/v1/messages, body: one}
          response: {status: {code: 200, message: OK}, headers: {}, body: {string: Fine.}}
    """
    path.write_text(text, encoding="utf-8")

    assert trim(path, [interaction_id(each) for each in load(path).interactions]) == 0

    assert path.read_text(encoding="utf-8") == text


def test_a_damaged_file_is_named(cassette: Path) -> None:
    cassette.write_text("mnemosyne: 1\ninteractions: [", encoding="utf-8")

    with pytest.raises(CorruptCassetteError, match=r"calls\.yaml"):
        trim(cassette, [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"lane": Lane("executor")}, id="lane"),
        pytest.param({"response": Response(status=200, body=b"Well.")}, id="answer"),
        pytest.param({"response": None}, id="no-answer"),
        pytest.param({"request": Request(method="POST", url=URL, body=b"two")}, id="request"),
    ],
)
def test_interactions_that_differ_have_different_names(change: dict[str, object]) -> None:
    one = call("one")

    assert interaction_id(replace(one, **change)) != interaction_id(one)  # type: ignore[arg-type]
    assert interaction_id(replace(one, took_s=9.0)) == interaction_id(one)


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    names = (interaction_id(call("one")), interaction_id(call("one")))
    leftovers = Leftovers(
        unplayed={tmp_path / "cassettes" / "a.yaml": names}, orphans=(Path("/elsewhere/b.yaml"),)
    )
    kept = tmp_path / "cache" / "leftovers.json"

    write_leftovers(kept, leftovers, root=tmp_path)

    assert read_leftovers(kept, root=tmp_path) == leftovers
    assert str(tmp_path) not in kept.read_text(encoding="utf-8"), "a project may move"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "unplayed": [], "orphans": []}']
)
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "leftovers.json"
    kept.write_text(text, encoding="utf-8")

    assert read_leftovers(kept, root=tmp_path) is None
    assert read_leftovers(tmp_path / "absent.json", root=tmp_path) is None
