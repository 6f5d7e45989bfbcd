"""Errors of the database."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


class StorageError(MnemosyneError):
    """The database cannot be read or written.

    Attributes:
        path: The database's file, or `:memory:`.
        reason: What went wrong.
    """

    code = "storage"
    recovery = Recovery.CONFIGURATION

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"database {path}: {reason}")


class StorageVersionError(StorageError):
    """A newer version of this project wrote the database.

    Attributes:
        found: The schema version of the file.
        known: The newest version this release reads.
    """

    code = "storage_version"

    def __init__(self, *, path: str, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            path=path,
            reason=f"its schema is version {found}, this release reads up to {known}; "
            "upgrade pytest-mnemosyne or use another file",
        )
