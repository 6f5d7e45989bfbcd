"""What a run records anew, kept beside the files that it is for.

A test that records anew is not answered from what its cassette held before the run, but
from what other tests of the run have recorded anew since: one question is paid for once.
That lies in the run's folder, and each time that something is added to it the cassette is
made of it and of what it held before. A cassette that one test alone has is replaced as a
whole; in one that several share, what this run has not asked stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette import CassetteFile, CassetteFileError, Interaction

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Loosening
    from pytest_mnemosyne.plugin._run_folder import RunFolder

Read = Callable[[Path], CassetteFile]
Write = Callable[[Path, CassetteFile], bool]


class Anew:
    """What one run records anew, in all its processes."""

    def __init__(self, folder: RunFolder, *, role: str | None, read: Read) -> None:
        """Nothing is recorded yet by this process.

        Args:
            folder: What the processes of the run share.
            role: The only one that is recorded; `None` for every one.
            read: Reads a file.
        """
        self._folder = folder
        self._role = role
        self._read = read

    def load(self, path: Path, *, read: Read) -> CassetteFile:
        """What a test may be answered with.

        Args:
            path: Its cassette.
            read: Reads a file, as the test wants it.

        Raises:
            FileNotFoundError: There is nothing.
            CassetteFileError: It cannot be read.
        """
        anew = self._folder.anew(path)
        if self._role is None:
            return read(anew)
        # Other roles' as they are now: another run may be recording those anew.
        there = read(path)
        others = (each for each in there.interactions if not self._is_recorded(each))
        recorded = read(anew).interactions if anew.is_file() else ()
        ours = (each for each in recorded if self._is_recorded(each))
        return replace(there, interactions=(*others, *ours))

    def write(
        self,
        path: Path,
        file: CassetteFile,
        *,
        is_own: bool,
        loosening: Loosening,
        write: Write,
        keep: Write,
    ) -> bool:
        """Write what was recorded anew, while nobody else writes the cassette.

        Args:
            path: The cassette.
            file: Everything that the run has recorded anew for it.
            is_own: Whether it is the cassette of one test.
            loosening: What is not compared.
            write: Writes the cassette.
            keep: Writes a file that tells nobody of what it finds.

        Returns:
            Whether the content of the cassette has changed.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret.
        """
        before = self._folder.before(path)
        whole = file if is_own else self._renewed(path, file, before, loosening)
        changed = write(path, whole)
        # Afterwards: what a killed process has put into neither file is in its journal.
        keep(self._folder.anew(path), file)
        if changed and before is not None:
            self._leave_as_it_was(path, before)
        self._folder.note_written(path)
        return changed

    def _renewed(
        self, path: Path, file: CassetteFile, before: Path | None, loosening: Loosening
    ) -> CassetteFile:
        from pytest_mnemosyne.cassette import interaction_id, renewed

        there = self._whole(before)
        if there is None:
            return file
        found = renewed(there.interactions, file.interactions, loosening)
        self._folder.note_left(path, map(interaction_id, found.left))
        return replace(file, interactions=found.interactions)

    def _is_recorded(self, interaction: Interaction) -> bool:
        return interaction.lane is not None and interaction.lane.role == self._role

    def _whole(self, path: Path | None) -> CassetteFile | None:
        """What a file held; `None` where there was none, or a damaged one, which is repaired."""
        try:
            return None if path is None else self._read(path)
        except CassetteFileError:
            return None

    def _leave_as_it_was(self, path: Path, before: Path) -> None:
        """Put the file from before the run back, if all tests that share it came to the same."""
        from pytest_mnemosyne.cassette import are_same, put_in_place

        there = self._whole(before)
        if there is not None and are_same(self._read(path), there):
            put_in_place(path, before.read_bytes())
