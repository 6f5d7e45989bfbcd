"""What the end of a run says about recordings that reached no cassette."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Cassette, KeptJournal

_MOST: Final = 5
"""How many are named; the command names all of them."""


def notes_on_journals(cassette_dir: Path, rootdir: Path) -> list[str]:
    """Lines about the journals that tests of this run, or of earlier ones, have left."""
    from pytest_mnemosyne.cassette import CassetteReadError, journals

    unreadable: list[CassetteReadError] = []
    found = journals(cassette_dir, on_unreadable=unreadable.append)
    left = [each for each in found if each.exchanges]
    problems = [str(error) for error in unreadable[:_MOST]]
    if not left:
        return problems
    notes = [_note(each, rootdir) for each in left[-_MOST:]]
    command = f"mnemosyne cassettes recover {shlex.quote(_shown(cassette_dir, rootdir))}"
    return [*problems, *notes, f"to make cassettes of them: {command}"]


def notes_on_loss(nodeid: str, cassette: Cassette) -> list[str]:
    """A line about what a test recorded that is neither in its cassette nor in a journal."""
    loss = cassette.loss
    return [] if loss is None else [f"what {nodeid} recorded could not be kept aside: {loss}"]


def _note(journal: KeptJournal, rootdir: Path) -> str:
    count = journal.exchanges
    noun = "answer" if count == 1 else "answers"
    return (
        f"{count} {noun} recorded by {journal.recorded.test} reached no cassette and "
        f"{'is' if count == 1 else 'are'} kept in {_shown(journal.path, rootdir)}"
    )


def _shown(path: Path, rootdir: Path) -> str:
    return os.path.relpath(path, rootdir) if path.is_relative_to(rootdir) else str(path)
