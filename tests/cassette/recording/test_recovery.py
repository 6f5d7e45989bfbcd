"""Cassettes of journals: what was paid for is used again, and nothing is overwritten by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import (
    CassetteFile,
    Existing,
    Interaction,
    Journal,
    Recorded,
    Redactor,
    UnknownFormatError,
    journals,
    load,
    recover,
    write,
)
from tests.cassette.files._make import interaction

Left = Callable[..., None]


def asked(question: str, answer: str = "an answer") -> Interaction:
    return interaction(question={"model": "m", "messages": [question]}, answer=answer)


def questions(path: Path) -> list[str]:
    return [
        text
        for each in load(path).interactions
        for text in ("one", "two", "three")
        if text.encode() in each.request.body
    ]


@pytest.fixture
def left(tmp_path: Path) -> Left:
    """Leave a journal behind, of the given hour, for one cassette."""

    def leave(
        *interactions: Interaction,
        hour: int = 0,
        name: str = "test_x",
        loosened: tuple[str, ...] = (),
        is_anew: bool = False,
    ) -> None:
        journal = Journal(
            tmp_path,
            cassette=tmp_path / f"{name}.yaml",
            recorded=Recorded(source="api", at=datetime(2026, 1, 1, hour, tzinfo=UTC), test=name),
            redactor=Redactor,
            loosened=loosened,
            is_anew=is_anew,
        )
        for number, each in enumerate(interactions):
            journal.append(number, each)
        journal.close()

    return leave


def test_a_journal_becomes_the_cassette_that_it_was_for(left: Left, tmp_path: Path) -> None:
    left(asked("one"), asked("two"))

    (done,) = recover(journals(tmp_path))

    assert (done.cassette, done.added, done.is_left) == (tmp_path / "test_x.yaml", 2, False)
    assert questions(done.cassette) == ["one", "two"]
    recorded = load(done.cassette).recorded
    assert recorded is not None
    assert (recorded.source, recorded.test) == ("api", "test_x")
    assert journals(tmp_path) == ()


def test_each_cassette_gets_its_own(left: Left, tmp_path: Path) -> None:
    left(asked("one"), name="test_a")
    left(asked("two"), name="test_b")

    assert [done.cassette.name for done in recover(journals(tmp_path))] == [
        "test_a.yaml",
        "test_b.yaml",
    ]
    assert questions(tmp_path / "test_b.yaml") == ["two"]


def test_of_several_tries_the_latest_counts_and_an_older_one_adds_what_it_lacks(
    left: Left, tmp_path: Path
) -> None:
    left(asked("one", "old"), asked("three", "old"), hour=1)
    left(asked("one", "new"), asked("two", "new"), hour=2)

    recover(journals(tmp_path))

    path = tmp_path / "test_x.yaml"
    assert questions(path) == ["one", "two", "three"]
    answers = [each.response.body for each in load(path).interactions if each.response]
    assert answers == [b'"new"', b'"new"', b'"old"']


def test_the_cassette_says_what_the_test_of_its_latest_journal_does_not_compare(
    left: Left, tmp_path: Path
) -> None:
    path = tmp_path / "test_x.yaml"
    write(path, CassetteFile(interactions=(asked("one"),), loosened=("uuids",)))
    left(asked("two"), hour=1, loosened=("hashes",))
    left(asked("three"), hour=2, loosened=("dates", "$.metadata.user_id"))

    recover(journals(tmp_path), existing=Existing.MERGE)

    assert load(path).loosened == ("dates", "$.metadata.user_id")


def test_a_cassette_that_is_not_to_be_written_over_keeps_its_journal_and_no_others(
    left: Left, tmp_path: Path
) -> None:
    (tmp_path / "test_a.yaml").write_text("mnemosyne: 99\n", encoding="utf-8")
    left(asked("one"), name="test_a")
    left(asked("two"), name="test_b")

    newer, fine = recover(journals(tmp_path), existing=Existing.MERGE)

    assert isinstance(newer.problem, UnknownFormatError)
    assert (newer.added, fine.added, fine.problem) == (0, 1, None)
    assert [each.cassette for each in journals(tmp_path)] == [newer.cassette]


def test_a_journal_that_is_gone_meanwhile_was_recovered_by_somebody_else(
    left: Left, tmp_path: Path
) -> None:
    left(asked("one"), hour=1)
    left(asked("two"), hour=2)
    kept = journals(tmp_path)
    kept[0].path.unlink()

    (done,) = recover(kept)

    assert done.added == 1
    assert questions(done.cassette) == ["two"]


def test_a_question_that_was_asked_twice_keeps_both_answers(left: Left, tmp_path: Path) -> None:
    left(asked("one", "first"), asked("one", "second"))

    recover(journals(tmp_path))

    assert questions(tmp_path / "test_x.yaml") == ["one", "one"]


def test_a_cassette_that_exists_is_left_and_so_is_the_journal(left: Left, tmp_path: Path) -> None:
    path = tmp_path / "test_x.yaml"
    write(path, CassetteFile(interactions=(asked("one"),)))
    before = path.read_bytes()
    left(asked("two"))

    (done,) = recover(journals(tmp_path))

    assert done.is_left
    assert path.read_bytes() == before
    assert len(journals(tmp_path)) == 1


def test_merging_adds_what_the_cassette_has_no_answer_for(left: Left, tmp_path: Path) -> None:
    path = tmp_path / "test_x.yaml"
    write(path, CassetteFile(interactions=(asked("one", "old"),)))
    left(asked("one", "new"), asked("two", "new"))

    (done,) = recover(journals(tmp_path), existing=Existing.MERGE)

    assert done.added == 1
    assert questions(path) == ["one", "two"]
    assert journals(tmp_path) == ()


def test_merging_what_is_there_already_changes_nothing(left: Left, tmp_path: Path) -> None:
    # The process was killed between writing the cassette and removing its journal.
    path = tmp_path / "test_x.yaml"
    write(path, CassetteFile(interactions=(asked("one"),)))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    left(asked("one"))

    (done,) = recover(journals(tmp_path), existing=Existing.MERGE)

    assert done.added == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert journals(tmp_path) == ()


@pytest.mark.parametrize(
    ("hour", "answers"),
    [
        pytest.param(2, [b'"new"', b'"theirs"'], id="newer"),
        pytest.param(0, [b'"old"', b'"theirs"'], id="older"),
    ],
)
def test_merging_what_was_recorded_anew_renews_what_is_older_and_leaves_the_rest(
    left: Left, tmp_path: Path, hour: int, answers: list[bytes]
) -> None:
    path = tmp_path / "test_x.yaml"
    recorded = Recorded(source="api", at=datetime(2026, 1, 1, 1, tzinfo=UTC))
    there = (asked("one", "old"), asked("two", "theirs"))
    write(path, CassetteFile(interactions=there, recorded=recorded))
    left(asked("one", "new"), hour=hour, is_anew=True)

    (done,) = recover(journals(tmp_path), existing=Existing.MERGE)

    assert done.added == answers.count(b'"new"')
    assert [each.response.body for each in load(path).interactions if each.response] == answers
    assert journals(tmp_path) == ()


def test_replacing_puts_the_recovered_in_its_place(left: Left, tmp_path: Path) -> None:
    path = tmp_path / "test_x.yaml"
    path.write_text("mnemosyne: [damaged", encoding="utf-8")
    left(asked("two"))

    recover(journals(tmp_path), existing=Existing.REPLACE)

    assert questions(path) == ["two"]


def test_what_its_writer_did_not_know_to_be_secret_can_be_taken_out_now(
    left: Left, tmp_path: Path
) -> None:
    left(asked("one", "my-own-passphrase"))

    recover(journals(tmp_path), redactor=Redactor({"passphrase": "my-own-passphrase"}))

    assert b"my-own-passphrase" not in (tmp_path / "test_x.yaml").read_bytes()
