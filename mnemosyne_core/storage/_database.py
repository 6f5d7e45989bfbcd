"""One SQLite file, opened with care: write-ahead log, patience, transactions, clear errors.

Every call runs where it is made, on the event loop's thread, and blocks it for as
long as SQLite takes (tens of microseconds; more if another process holds the write
lock). The choice not taken is a worker thread. With one, a fact would be stored at
one moment and published at another, and other tasks would run in between and see
the one without the other; and the moment at which a thread answers is decided by
the operating system, so no seed could repeat a run.

A commit survives the death of the process at any point. `synchronous=NORMAL`: a
loss of power may take the last moments with it, but never damages the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mnemosyne_core.errors import StorageError
from mnemosyne_core.storage._migrations import migrate, steps_missing

MEMORY = ":memory:"

_REASONS = {
    sqlite3.SQLITE_BUSY: "another process is writing to it; stop that one or try again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_READONLY: "it may not be written to; check the permissions of file and folder",
    sqlite3.SQLITE_FULL: "there is no room left for it; free some disk space",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a copy, or move it away to begin a new one",
    sqlite3.SQLITE_PERM: "access to it is denied; check the permissions of file and folder",
}


class Database:
    """A connection whose schema is up to date."""

    def __init__(
        self, path: Path | str = MEMORY, *, create: bool = True, busy_timeout_s: float = 5.0
    ) -> None:
        """Open the file at `path`.

        Args:
            path: The file; `:memory:` for one that lives as long as this object.
            create: Whether to make the file if there is none.
            busy_timeout_s: How long to wait for another process's lock, in seconds.

        Raises:
            StorageVersionError: A newer release wrote the file.
            StorageError: It cannot be opened, or is no database of ours.
        """
        self._path = str(path)
        self._connection: sqlite3.Connection | None = None
        if not create and self._path != MEMORY and not Path(path).is_file():
            raise StorageError(path=self._path, reason="there is no such file")
        with self._named_errors():
            self._connection = sqlite3.connect(
                self._path, timeout=busy_timeout_s, isolation_level=None
            )
        try:
            self._prepare(self._connection)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """The file, or `:memory:`."""
        return self._path

    @property
    def is_private(self) -> bool:
        """Whether nobody else can open it."""
        return self._path == ":memory:"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do everything in the block, or nothing of it.

        Raises:
            StorageError: It could not be done; then nothing was.
        """
        connection = self._opened()
        with self._named_errors():
            try:
                # The write lock at once: a lock that is asked for later may be refused.
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows that a `SELECT` finds.

        Raises:
            StorageError: It could not be read.
        """
        with self._named_errors():
            return self._opened().execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Give the file back; may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        with self._named_errors():
            # Looked at before anything is changed: the file may be another program's.
            is_current = not steps_missing(connection, path=self._path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
        if not is_current:
            with self.transaction() as locked:
                migrate(locked, path=self._path)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError(path=self._path, reason="it is closed; open it again")
        return self._connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, with the file's name and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            # The low byte is the class of the error, the rest says more than is needed.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            reason = f"{_REASONS[code]} ({error})" if code in _REASONS else str(error)
            raise StorageError(path=self._path, reason=reason) from error
