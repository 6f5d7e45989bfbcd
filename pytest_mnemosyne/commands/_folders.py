"""The files of a folder that may be cassettes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mnemosyne_core.errors import UsageError


def files_below(folder: Path) -> Iterator[Path]:
    """Every file of a folder and the folders in it, in order; hidden ones are left out.

    Raises:
        UsageError: One of the folders cannot be read.
    """
    for here, folders, files in os.walk(folder, onerror=_refuse):
        # In place, so that the walk goes on in this order and leaves out these.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def cassette_files(folder: Path) -> Iterator[Path]:
    """Those of them whose names say that they may be cassettes."""
    from pytest_mnemosyne.cassette import SUFFIXES

    return (path for path in files_below(folder) if path.suffix in SUFFIXES)


def _refuse(error: OSError) -> None:
    raise UsageError(f"cannot read the folder {error.filename}: {error.strerror}")
