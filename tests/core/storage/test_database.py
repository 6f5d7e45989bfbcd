from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mnemosyne_core.errors import StorageError, StorageVersionError
from mnemosyne_core.storage import MEMORY, Database


def change(path: Path, *statements: str) -> None:
    """Do something to the file with plain SQLite."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def seqs(database: Database) -> list[int]:
    return [seq for (seq,) in database.query("SELECT seq FROM events ORDER BY seq")]


def insert(connection: sqlite3.Connection, seq: int) -> None:
    connection.execute(
        "INSERT INTO events (seq, at, agent, attempt, kind, fact) VALUES (?, '', '', 1, '', '')",
        (seq,),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


def test_what_was_committed_is_there_when_the_file_is_opened_again(file: Path) -> None:
    with Database(file) as database, database.transaction() as connection:
        insert(connection, 1)

    with Database(file) as database:
        assert seqs(database) == [1]


def test_a_transaction_that_fails_leaves_nothing() -> None:
    def fail_half_way(database: Database) -> None:
        with database.transaction() as connection:
            insert(connection, 1)
            raise ZeroDivisionError

    with Database() as database:
        with pytest.raises(ZeroDivisionError):
            fail_half_way(database)
        with database.transaction() as connection:
            insert(connection, 2)

        assert seqs(database) == [2]


def test_the_log_is_written_ahead_and_references_are_checked(file: Path) -> None:
    with Database(file) as database:
        assert database.query("PRAGMA journal_mode") == [("wal",)]
        with pytest.raises(StorageError, match="FOREIGN KEY"), database.transaction() as connection:
            connection.execute("INSERT INTO results VALUES ('nobody', 1, 1, 1, '{}')")


def test_closing_leaves_one_file_and_may_be_repeated(file: Path) -> None:
    database = Database(file)
    database.close()
    database.close()

    assert [each.name for each in file.parent.iterdir()] == ["tree.db"]
    with pytest.raises(StorageError, match="closed"):
        database.query("SELECT 1")
    with pytest.raises(StorageError, match="closed"), database.transaction():
        pass


def test_a_database_in_memory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Database() as one, Database(MEMORY) as other:
        with one.transaction() as connection:
            insert(connection, 1)

        assert seqs(other) == []
    assert list(tmp_path.iterdir()) == []


# --- files that cannot be used ---


def test_a_file_of_a_newer_release_is_refused(file: Path) -> None:
    Database(file).close()
    change(file, "PRAGMA user_version = 99")

    with pytest.raises(StorageVersionError) as caught:
        Database(file)

    assert (caught.value.found, caught.value.known, caught.value.path) == (99, 2, str(file))
    assert "upgrade" in str(caught.value)


@pytest.mark.parametrize("version", [0, 1, 7])
def test_another_programs_database_is_left_alone(file: Path, version: int) -> None:
    change(file, "CREATE TABLE bookmarks (url TEXT)", f"PRAGMA user_version = {version}")
    before = file.read_bytes()

    with pytest.raises(StorageError, match="another program"):
        Database(file)

    assert file.read_bytes() == before


def test_an_empty_database_with_another_programs_version_is_left_alone(file: Path) -> None:
    change(file, "PRAGMA user_version = 1")

    with pytest.raises(StorageError, match="another program"):
        Database(file)


def test_a_file_that_is_no_database_is_named(file: Path) -> None:
    file.write_text("dear diary, " * 1000)

    with pytest.raises(StorageError, match="no SQLite database") as caught:
        Database(file)

    assert caught.value.path == str(file)
    assert file.read_text().startswith("dear diary")


def test_a_damaged_file_is_named(file: Path) -> None:
    with Database(file) as database:
        for seq in range(1, 400):
            with database.transaction() as connection:
                insert(connection, seq)
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)

    with (
        pytest.raises(StorageError, match="damaged") as caught,
        Database(file) as database,
    ):
        seqs(database)

    assert caught.value.path == str(file)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("missing/tree.db", id="no-such-folder"),
        pytest.param("folder", id="a-folder"),
        pytest.param("file/tree.db", id="below-a-file"),
    ],
)
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="check that its folder exists") as caught:
        Database(tmp_path / place)

    assert caught.value.path == str(tmp_path / place)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_an_unwritable_folder_is_named(file: Path) -> None:
    file.parent.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="writable"):
            Database(file)
    finally:
        file.parent.chmod(0o700)


def test_a_file_that_may_not_be_written_to_is_named(file: Path) -> None:
    with Database(file) as database:
        # What SQLite says then is the same as for a read-only file.
        database.query("PRAGMA query_only = 1")
        with (
            pytest.raises(StorageError, match="check the permissions"),
            database.transaction() as connection,
        ):
            insert(connection, 1)


def test_a_missing_file_is_made_only_if_wanted(file: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        Database(file, create=False)

    assert not file.exists()
    Database(file).close()
    Database(file, create=False).close()


def test_a_locked_file_is_reported_and_usable_afterwards(file: Path) -> None:
    with Database(file, busy_timeout_s=0.0) as database:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with (
                pytest.raises(StorageError, match="another process is writing"),
                database.transaction(),
            ):
                pytest.fail("the lock was given twice")
            assert seqs(database) == []
        with database.transaction() as connection:
            insert(connection, 1)

        assert seqs(database) == [1]


def test_two_can_open_a_new_file_one_after_the_other(file: Path) -> None:
    with Database(file) as one, Database(file) as other:
        with one.transaction() as connection:
            insert(connection, 1)

        assert seqs(other) == [1]
