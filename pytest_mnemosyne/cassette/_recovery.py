"""Journals that were left over, and the cassettes that can be made of them.

A test that failed, or whose process was killed, has recorded answers that were paid for.
Nothing uses them by itself: half a recording must not make the corrected test fail. Who
wants them says so, and gets cassettes from which the next recording goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._errors import CassetteFileError, CassetteReadError
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._journal import FOLDER, SUFFIX, read_frames
from pytest_mnemosyne.cassette._locks import locked, try_lock
from pytest_mnemosyne.cassette._merging import in_file_order, unanswered
from pytest_mnemosyne.cassette._renewal import renewed

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

    loosened: tuple[str, ...]
    """What the test that recorded them does not compare."""

    is_anew: bool
    """Whether they were to stand in the place of what the cassette had."""

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
    """Add what it has no answer for, and renew what was recorded anew since."""

    REPLACE = auto()
    """Put what was recovered in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came of the journals for one cassette."""

    cassette: Path
    journals: tuple[KeptJournal, ...]
    added: int
    """How many exchanges the cassette has got."""

    is_left: bool = False
    """Whether nothing was done because the cassette exists."""

    problem: CassetteFileError | None = None
    """Why nothing could be done: cassette and journals are as they were."""


def journals(
    cassette_dir: Path, *, on_unreadable: Callable[[CassetteReadError], None] | None = None
) -> tuple[KeptJournal, ...]:
    """The journals below `cassette_dir` that no process is writing, the oldest first.

    Args:
        cassette_dir: The folder of the cassettes.
        on_unreadable: Hears of each journal that the operating system does not hand out;
            the others are found all the same.

    Raises:
        CassetteReadError: There is such a one, and nobody wants to hear of it.
    """
    found = []
    for path in sorted((cassette_dir / FOLDER).glob(f"*{SUFFIX}")):
        try:
            journal = None if _is_in_use(path) else _kept(path)
        except FileNotFoundError:
            continue  # its exchanges are in their cassette by now
        except OSError as error:
            unreadable = CassetteReadError(path=path, reason=error.strerror or str(error))
            if on_unreadable is None:
                raise unreadable from error
            on_unreadable(unreadable)
            continue
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
    answer for. Where one cassette cannot be made, the others are.

    Args:
        kept: What `journals` has found, or some of it.
        existing: What to do where there is a cassette already.
        redactor: Knows secrets that the journals' writers did not know.
    """
    by_cassette: dict[Path, list[KeptJournal]] = {}
    for each in kept:
        by_cassette.setdefault(each.cassette, []).append(each)
    done = []
    for cassette, group in sorted(by_cassette.items()):
        newest_first = tuple(sorted(group, key=_age, reverse=True))
        try:
            done.append(_recovered(cassette, newest_first, existing, redactor))
        except CassetteFileError as error:
            failed = Recovered(cassette=cassette, journals=newest_first, added=0, problem=error)
            done.append(failed)
    return tuple(done)


def _recovered(
    cassette: Path,
    newest_first: tuple[KeptJournal, ...],
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
            there = _with(file, newest_first)
            before = set(map(id, file.interactions))
            added = sum(id(each) not in before for each in there)
            if added:
                file = replace(
                    file,
                    interactions=there,
                    recorded=newest_first[0].recorded,
                    loosened=newest_first[0].loosened,
                    container="mnemosyne",
                )
                write(cassette, file, redactor=redactor)
            for journal in newest_first:
                journal.path.unlink(missing_ok=True)
    return Recovered(cassette=cassette, journals=newest_first, added=added, is_left=is_left)


def _with(file: CassetteFile, newest_first: Iterable[KeptJournal]) -> tuple[Interaction, ...]:
    """What a file holds, and what was recorded for it."""
    renewing: list[tuple[Interaction, ...]] = []
    lacking: list[tuple[Interaction, ...]] = []
    for journal in newest_first:
        with suppress(FileNotFoundError):  # somebody else was quicker
            is_newer = journal.is_anew and _is_newer(journal.recorded, file.recorded)
            (renewing if is_newer else lacking).append(journal.interactions())
    there = file.interactions
    for recorded in reversed(renewing):
        there = renewed(there, recorded).interactions
    for recorded in lacking:
        there = (*there, *unanswered(there, recorded))
    return in_file_order(there)


def _is_newer(journal: Recorded, file: Recorded | None) -> bool:
    then = None if file is None else file.at
    return then is None or (journal.at is not None and journal.at >= then)


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
    frames = read_frames(read_bytes(path))
    if frames is None:
        return None
    return KeptJournal(
        path=path,
        cassette=Path(os.path.normpath(path.parent / frames.cassette)),
        recorded=frames.recorded,
        loosened=frames.loosened,
        is_anew=frames.is_anew,
        exchanges=len(frames.documents),
        is_torn=frames.is_torn,
    )
