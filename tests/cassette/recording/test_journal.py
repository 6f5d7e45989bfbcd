"""A journal: every exchange that has ended is on the disk, whole and without secrets."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteWriteError,
    Chunk,
    Interaction,
    Journal,
    Outcome,
    Recorded,
    Redactor,
    SecretLeakError,
    journals,
    stored_form,
)
from tests.cassette.files._make import STREAM, interaction

RECORDED = Recorded(
    source="api", at=datetime(2026, 1, 2, tzinfo=UTC), test="t.py::test_x", versions={"a": "1"}
)
ONE = interaction(answer=STREAM, chunks=(Chunk(data=STREAM, at_s=0.25),), took_s=0.5)
TWO = interaction(answer=b"\x00\xff", lane=Lane("executor", 2), outcome=Outcome.DROPPED)
SECRET = "correct-horse-battery"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(
        tmp_path,
        cassette=tmp_path / "test_t" / "test_x.yaml",
        recorded=RECORDED,
        redactor=lambda: Redactor({"the password": SECRET}),
    )


def kept(folder: Path) -> tuple[Interaction, ...]:
    (journal,) = journals(folder)
    return journal.interactions()


def test_what_was_kept_comes_back_as_a_cassette_would_give_it_back(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(1, ONE)
    journal.append(2, TWO)
    journal.close()

    (found,) = journals(tmp_path)
    assert found.interactions() == (stored_form(ONE), stored_form(TWO))
    assert (found.cassette, found.recorded) == (tmp_path / "test_t" / "test_x.yaml", RECORDED)
    assert (found.exchanges, found.is_torn) == (2, False)


def test_exchanges_come_back_in_the_order_in_which_they_began(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(2, TWO)
    journal.append(1, ONE)
    journal.close()

    assert kept(tmp_path) == (stored_form(ONE), stored_form(TWO))


def test_a_journal_that_is_being_written_is_nobody_else_s(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, ONE)

    assert journals(tmp_path) == ()
    journal.close()
    assert len(journals(tmp_path)) == 1


def test_what_ends_after_the_journal_was_closed_is_kept_too(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(1, ONE)
    journal.close()
    journal.append(2, TWO)
    journal.close()

    assert len(kept(tmp_path)) == 2


def test_a_journal_without_an_exchange_has_no_file(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    journal.discard()

    assert list(tmp_path.iterdir()) == []


def test_a_discarded_journal_is_gone(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, ONE)
    journal.discard()

    assert journals(tmp_path) == ()
    assert [path.name for path in (tmp_path / ".mnemosyne").iterdir()] == [".gitignore"]


def test_git_ignores_journals(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, ONE)
    journal.close()

    assert (tmp_path / ".mnemosyne" / ".gitignore").read_text().splitlines()[-1] == "*"


@pytest.mark.parametrize("lost", [1, 20, 150])
def test_a_torn_last_exchange_is_left_out_and_said(
    journal: Journal, tmp_path: Path, lost: int
) -> None:
    journal.append(1, ONE)
    journal.append(2, TWO)
    journal.close()
    assert journal.path is not None
    os.truncate(journal.path, journal.path.stat().st_size - lost)

    (found,) = journals(tmp_path)
    assert (found.exchanges, found.is_torn) == (1, True)
    assert found.interactions() == (stored_form(ONE),)


@pytest.mark.parametrize("size", [0, 1, 30])
def test_a_writer_killed_at_its_first_bytes_leaves_nothing_to_recover(
    journal: Journal, tmp_path: Path, size: int
) -> None:
    journal.append(1, ONE)
    journal.close()
    assert journal.path is not None
    os.truncate(journal.path, size)

    assert journals(tmp_path) == ()


def test_bytes_that_changed_on_the_disk_are_no_exchange(journal: Journal, tmp_path: Path) -> None:
    journal.append(1, ONE)
    journal.close()
    assert journal.path is not None
    journal.path.write_bytes(journal.path.read_bytes().replace(b"message_start", b"message_stare"))

    (found,) = journals(tmp_path)
    assert (found.exchanges, found.is_torn, found.interactions()) == (0, True, ())


def test_no_secret_reaches_it(journal: Journal) -> None:
    journal.append(1, interaction(question={"model": "m", "messages": [SECRET]}))
    journal.close()

    assert journal.path is not None
    data = journal.path.read_bytes()
    assert SECRET.encode() not in data
    assert b"<redacted:" in data


def test_an_exchange_whose_secret_cannot_be_taken_out_is_not_kept(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(1, interaction(lane=Lane(SECRET)))
    journal.append(2, ONE)
    journal.close()

    assert isinstance(journal.problem, SecretLeakError)
    assert kept(tmp_path) == (stored_form(ONE),)


def test_a_secret_in_the_test_s_name_keeps_everything_out(tmp_path: Path) -> None:
    journal = Journal(
        tmp_path,
        cassette=tmp_path / "x.yaml",
        recorded=Recorded(source="api", test=f"test_x[{SECRET}]"),
        redactor=lambda: Redactor({"the password": SECRET}),
    )
    journal.append(1, ONE)

    assert isinstance(journal.problem, SecretLeakError)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_problem_of_the_journal_and_not_of_the_call(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(1, ONE)
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) > 10:
            return write(handle, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        journal.append(2, TWO)
    journal.append(3, TWO)
    journal.close()

    assert isinstance(journal.problem, CassetteWriteError)
    assert journal.problem.reason == "No space left on device"
    assert kept(tmp_path) == (stored_form(ONE), stored_form(TWO))


def test_a_project_s_folder_may_be_moved_with_its_journals(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(1, ONE)
    journal.close()
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / ".mnemosyne").rename(moved / ".mnemosyne")

    (found,) = journals(moved)
    assert found.cassette == moved / "test_t" / "test_x.yaml"
