"""Journals that were left over, and the cassettes that can be made of them.

A test that failed, or whose process was killed, has recorded answers that were paid for.
Nothing uses them by itself: half a recording must not make the corrected test fail. Who
wants them says so, and gets cassettes from which the next recording goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._errors import CassetteReadError
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._journal import FOLDER, SUFFIX, read_frames
from pytest_mnemosyne.cassette._locks import locked, try_lock
from pytest_mnemosyne.cassette._merging import in_file_order, unanswered

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJournal:
    """A journal that nobody writes any more."""

    path: Path
    cassette: Path
    """The file that its exchanges were for."""

    recorded: Recorded
    """Where they come from; `at` is when the recording began."""

    exchanges: int
    """How many are whole."""

    is_torn: bool
    """Whether its writer was stopped in the middle of one more."""

    def interactions(self) -> tuple[Interaction, ...]:
        """Its exchanges, in the order in which they began.

        Raises:
            FileNotFoundError: Somebody else has made a cassette of it.
            CassetteFileError: It cannot be read.
        """
        from pytest_mnemosyne.cassette._reading import parse

        frames = read_frames(read_bytes(self.path))
        documents = sorted(frames.documents) if frames is not None else ()
        return tuple(one for _, each in documents for one in parse(each, self.path).interactions)


class Existing(StrEnum):
    """What `recover` does where there is a cassette already."""

    LEAVE = auto()
    """Nothing: neither the cassette nor the journals change."""

    MERGE = auto()
    """Add what it has no answer for."""

    REPLACE = auto()
    """Put what was recovered in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came of the journals for one cassette."""

    cassette: Path
    journals: tuple[KeptJournal, ...]
    added: int
    """How many exchanges the cassette has got."""

    is_left: bool
    """Whether nothing was done because the cassette exists."""


def journals(cassette_dir: Path) -> tuple[KeptJournal, ...]:
    """The journals below `cassette_dir` that no process is writing, the oldest first.

    Raises:
        CassetteReadError: The operating system does not hand one out.
    """
    found = []
    for path in (cassette_dir / FOLDER).glob(f"*{SUFFIX}"):
        try:
            journal = None if _is_in_use(path) else _kept(path)
        except FileNotFoundError:
            continue  # its exchanges are in their cassette by now
        if journal is not None:
            found.append(journal)
    return tuple(sorted(found, key=_age))


def recover(
    kept: Iterable[KeptJournal],
    *,
    existing: Existing = Existing.LEAVE,
    redactor: Redactor | None = None,
) -> tuple[Recovered, ...]:
    """Make cassettes of journals, and remove the journals that are in one.

    Of several for one cassette the latest counts; an older one adds what that has no
    answer for.

    Args:
        kept: What `journals` has found, or some of it.
        existing: What to do where there is a cassette already.
        redactor: Knows secrets that the journals' writers did not know.

    Raises:
        CassetteFileError: A file cannot be read or written. The cassettes before it are
            complete, and the journals of all others are there.
    """
    by_cassette: dict[Path, list[KeptJournal]] = {}
    for each in kept:
        by_cassette.setdefault(each.cassette, []).append(each)
    return tuple(
        _recovered(cassette, sorted(group, key=_age, reverse=True), existing, redactor)
        for cassette, group in sorted(by_cassette.items())
    )


def _recovered(
    cassette: Path,
    newest_first: Sequence[KeptJournal],
    existing: Existing,
    redactor: Redactor | None,
) -> Recovered:
    from pytest_mnemosyne.cassette._file import load, write

    with locked(cassette):
        is_left = cassette.exists() and existing is Existing.LEAVE
        added = 0
        if not is_left:
            has_file = cassette.exists() and existing is Existing.MERGE
            file = load(cassette) if has_file else CassetteFile()
            there = list(file.interactions)
            for journal in newest_first:
                new = unanswered(there, journal.interactions())
                there += new
                added += len(new)
            if added:
                file = replace(
                    file,
                    interactions=in_file_order(there),
                    recorded=newest_first[0].recorded,
                    container="mnemosyne",
                )
                write(cassette, file, redactor=redactor)
            for journal in newest_first:
                journal.path.unlink(missing_ok=True)
    return Recovered(cassette=cassette, journals=tuple(newest_first), added=added, is_left=is_left)


def _age(journal: KeptJournal) -> tuple[float, str]:
    at = journal.recorded.at
    return (at.timestamp() if at is not None else 0.0, journal.path.name)


def _is_in_use(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR)
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)


def _kept(path: Path) -> KeptJournal | None:
    """A journal; `None` where its writer was stopped before there was anything in it."""
    try:
        frames = read_frames(read_bytes(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CassetteReadError(path=path, reason=error.strerror or str(error)) from error
    if frames is None:
        return None
    return KeptJournal(
        path=path,
        cassette=Path(os.path.normpath(path.parent / frames.cassette)),
        recorded=frames.recorded,
        exchanges=len(frames.documents),
        is_torn=frames.is_torn,
    )
