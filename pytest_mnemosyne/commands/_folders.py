"""The files of a folder that may be cassettes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mnemosyne_core.errors import UsageError

OnTrouble = Callable[[UsageError], None]
"""Hears of a folder that cannot be read; what is in it is left out."""


def files_below(folder: Path, *, on_trouble: OnTrouble) -> Iterator[Path]:
    """Every file of a folder and the folders in it, in order; hidden ones are left out."""

    def refuse(error: OSError) -> None:
        on_trouble(UsageError(f"cannot read the folder {error.filename}: {error.strerror}"))

    for here, folders, files in os.walk(folder, onerror=refuse):
        # In place, so that the walk goes on in this order and leaves out these.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def cassette_files(folder: Path, *, on_trouble: OnTrouble) -> Iterator[Path]:
    """Those of them whose names say that they may be cassettes."""
    from pytest_mnemosyne.cassette import SUFFIXES

    found = files_below(folder, on_trouble=on_trouble)
    return (path for path in found if path.suffix in SUFFIXES)
