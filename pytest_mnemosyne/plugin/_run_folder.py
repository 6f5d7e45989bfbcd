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
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mnemosyne.cassette import InteractionId

_TOLD: Final = "mnemosyne_run_folder"
"""Where a worker's input holds the folder's path."""


class RunFolder:
    """The folder of one run, and what it holds of cassettes that the run records anew."""

    def __init__(self, config: pytest.Config) -> None:
        """Make the folder, or take that of the controller."""
        told: str | None = getattr(config, "workerinput", {}).get(_TOLD)
        self._is_ours = told is None
        self.path = Path(told or tempfile.mkdtemp(prefix="mnemosyne-run-"))

    def tell(self, worker_input: dict[str, object]) -> None:
        """Tell a worker where it is."""
        worker_input[_TOLD] = str(self.path)

    def anew(self, cassette: Path) -> Path:
        """The file for what tests of this run, in whatever process, have recorded anew."""
        return self._place(cassette, "anew")

    def before(self, cassette: Path) -> Path | None:
        """A copy of the file as it was before this run wrote it; `None` if there was none.

        Where another run has written it since, as that has left it.
        """
        copy, written = self._place(cassette, "before"), self._place(cassette, "written")
        held = _held(cassette)
        if not copy.exists() or not written.exists() or written.read_bytes() != _digest(held):
            # Also on a worker's machine that is not the controller's.
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(held)
        return copy if copy.stat().st_size else None

    def note_written(self, cassette: Path) -> None:
        """As the file is now, this run has left it."""
        written = self._place(cassette, "written")
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(_digest(_held(cassette)))

    def note_left(self, cassette: Path, names: Iterable[InteractionId]) -> None:
        """Nothing that was recorded anew so far stands for these interactions of the file."""
        place = self._place(cassette, "left")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(names), encoding="ascii")

    def left(self, cassette: Path) -> list[InteractionId]:
        """What was noted last; nothing where the file was replaced as a whole, or not at all."""
        from pytest_mnemosyne.cassette import InteractionId

        try:
            names = self._place(cassette, "left").read_text(encoding="ascii").split()
        except FileNotFoundError:
            return []
        return [InteractionId(name) for name in names]

    def remove(self) -> None:
        """The run is over; safe to call twice."""
        if self._is_ours:
            shutil.rmtree(self.path, ignore_errors=True)

    def _place(self, cassette: Path, what: str) -> Path:
        name = hashlib.blake2b(os.fsencode(cassette.resolve()), digest_size=16).hexdigest()
        return self.path / what / name


def _held(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data).digest()
