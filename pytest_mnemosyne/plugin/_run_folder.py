"""A folder for what the processes of one run have to know of each other.

The controller of an xdist run makes it and tells its workers where it is; a run without
workers has one too, so that there is one way to ask. It is gone when the run is over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest

_TOLD: Final = "mnemosyne_run_folder"
"""Where a worker's input holds the folder's path."""


class RunFolder:
    """The folder of one run, and which cassettes the run has recorded anew."""

    def __init__(self, config: pytest.Config) -> None:
        """Make the folder, or take that of the controller."""
        told: str | None = getattr(config, "workerinput", {}).get(_TOLD)
        self._is_ours = told is None
        self.path = Path(told or tempfile.mkdtemp(prefix="mnemosyne-run-"))

    def tell(self, worker_input: dict[str, object]) -> None:
        """Tell a worker where it is."""
        worker_input[_TOLD] = str(self.path)

    def has_anew(self, cassette: Path) -> bool:
        """Whether a test of this run, in whatever process, has recorded the file anew."""
        return self._mark(cassette).exists()

    def note_anew(self, cassette: Path) -> None:
        """A test is about to record the file anew; keeps what it holds, from the first time on."""
        mark = self._mark(cassette)
        if mark.exists():
            return
        # Also on a worker's machine that is not the controller's.
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_bytes(cassette.read_bytes() if cassette.is_file() else b"")

    def before(self, cassette: Path) -> Path | None:
        """A copy of the file as it was before the run; `None` where the run has not touched it."""
        mark = self._mark(cassette)
        return mark if mark.exists() and mark.stat().st_size else None

    def remove(self) -> None:
        """The run is over; safe to call twice."""
        if self._is_ours:
            shutil.rmtree(self.path, ignore_errors=True)

    def _mark(self, cassette: Path) -> Path:
        name = hashlib.blake2b(os.fsencode(cassette.resolve()), digest_size=16).hexdigest()
        return self.path / "anew" / name
