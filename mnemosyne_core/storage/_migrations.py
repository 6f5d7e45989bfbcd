"""The schema, as the steps that lead to it.

`PRAGMA user_version` says how many steps a file has taken. A step that has been
released is never edited; a change is a new step at the end.
"""

from __future__ import annotations

import sqlite3

from mnemosyne_core.errors import StorageError, StorageVersionError

APPLICATION_ID = 0x4D4E454D
"""`MNEM`: marks a file as ours, so that no other program's database is altered."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE events (
            seq     INTEGER PRIMARY KEY,
            at      TEXT    NOT NULL,
            agent   TEXT    NOT NULL,
            attempt INTEGER NOT NULL,
            by_seq  INTEGER REFERENCES events (seq),
            kind    TEXT    NOT NULL,
            fact    TEXT    NOT NULL
        )
        """,
        "CREATE INDEX events_by_kind ON events (kind, seq)",
        "CREATE INDEX events_by_agent ON events (agent, seq)",
        """
        CREATE TABLE work_items (
            id            TEXT    PRIMARY KEY,
            submitted_seq INTEGER NOT NULL UNIQUE REFERENCES events (seq),
            item          TEXT    NOT NULL,
            state         TEXT    NOT NULL,
            attempt       INTEGER NOT NULL,
            guidance      TEXT    NOT NULL,
            worker        TEXT,
            blocked       TEXT,
            reviews       INTEGER NOT NULL
        )
        """,
        "CREATE INDEX work_items_by_state ON work_items (state, submitted_seq)",
        """
        CREATE TABLE results (
            item_id TEXT    NOT NULL REFERENCES work_items (id),
            attempt INTEGER NOT NULL,
            seq     INTEGER NOT NULL REFERENCES events (seq),
            success INTEGER NOT NULL,
            result  TEXT    NOT NULL,
            PRIMARY KEY (item_id, attempt)
        )
        """,
    ),
    ("ALTER TABLE work_items ADD COLUMN not_before TEXT",),
)


def steps_missing(connection: sqlite3.Connection, *, path: str) -> tuple[tuple[str, ...], ...]:
    """The steps that a file has yet to take.

    Raises:
        StorageVersionError: A newer release wrote the file.
        StorageError: The file is another program's.
    """
    found = _pragma(connection, "user_version")
    is_ours = _pragma(connection, "application_id") == APPLICATION_ID
    is_empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    if not is_ours and not (is_empty and found == 0):
        raise StorageError(
            path=path,
            reason="it belongs to another program; name another file, this one was left alone",
        )
    if found > len(MIGRATIONS):
        raise StorageVersionError(path=path, found=found, known=len(MIGRATIONS))
    return MIGRATIONS[found:]


def migrate(connection: sqlite3.Connection, *, path: str) -> None:
    """Bring the schema up to date; the caller has begun a transaction.

    Raises:
        StorageError: As for `steps_missing`.
    """
    for step in steps_missing(connection, path=path):
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
