"""Where the command line keeps things when it is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from mnemosyne_core.errors import StorageError, UsageError

DATABASE_VARIABLE = "MNEMOSYNE_DATABASE"


def data_folder() -> Path:
    """The user's own folder for this project's data; it may not exist yet."""
    return platformdirs.user_data_path("mnemosyne", appauthor=False)


def default_database() -> Path:
    """The database that commands use unless one is named."""
    return data_folder() / "mnemosyne.db"


Database = Annotated[
    Path,
    typer.Option(
        "--database",
        envvar=DATABASE_VARIABLE,
        default_factory=default_database,
        show_default="mnemosyne.db in your data folder",
        dir_okay=False,
        help="The SQLite file that holds the work.",
    ),
]


def existing(database: Path) -> Path:
    """`database`, if there is such a file.

    Raises:
        UsageError: There is none, so there is nothing to look at.
    """
    if not database.is_file():
        raise UsageError(
            f"there is no database {database}; run some work first (mnemosyne run), "
            f"or name another file with --database or {DATABASE_VARIABLE}"
        )
    return database


def with_folder(database: Path) -> Path:
    """`database`, whose folder exists from now on.

    Raises:
        StorageError: The folder cannot be made.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            path=str(database),
            reason=f"its folder cannot be made ({error.strerror}); name another file with "
            f"--database or {DATABASE_VARIABLE}",
        ) from error
    return database
