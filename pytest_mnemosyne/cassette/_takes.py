"""What a test records, on its way into the file of its cassette.

Each exchange goes to the journal when it ends and waits in memory until the test has
passed. Then it is put together with what the file holds by that time, while nobody else
writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteWriteError,
    UnknownFormatError,
)
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._merging import PartedTalks, in_file_order, merged
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._recorder import Recording

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded

Loader = Callable[[Path], "CassetteFile"]
"""Reads a cassette's file; raises `FileNotFoundError`, or a `CassetteFileError` that names it."""

Writer = Callable[[Path, "CassetteFile"], bool]
"""Writes a cassette's file; false where its content was the same already."""


class Keeps(Protocol):
    """What holds on to exchanges until they are in a cassette's file: a journal."""

    @property
    def problem(self) -> CassetteFileError | None:
        """Why it does not hold every exchange that it was given."""
        ...

    def append(self, number: int, interaction: Interaction) -> None:
        """Keep an exchange that has ended, the `number`-th that began."""
        ...

    def close(self) -> None:
        """No more is to come, and nothing of it is in a file."""
        ...

    def discard(self) -> None:
        """All of it is in a file."""
        ...


class Takes:
    """What one open cassette records. From any thread."""

    def __init__(
        self,
        path: Path | None,
        *,
        mode: RecordMode,
        role: str | None = None,
        journal: Keeps | None = None,
        loosening: Loosening = EXACTLY,
    ) -> None:
        """Nothing is recorded yet; for the arguments see `Cassette`."""
        self._path = path
        self._mode = mode
        self._role = role
        self._journal = journal
        self._loosening = loosening
        self._before: CassetteFile | None = None
        self._recordings: list[Recording] = []
        self._adding = partial(merged, loosening=loosening)
        self._lock = Lock()

    def may_record(self, lane: Lane | None) -> bool:
        """Whether the requests of this lane may be forwarded, as far as the role goes."""
        return self._role is None or (lane is not None and lane.role == self._role)

    def replaces(self, interaction: Interaction) -> bool:
        """Whether what is recorded stands for this interaction of the file."""
        return self._mode is RecordMode.RERECORD and self.may_record(interaction.lane)

    def begin(self, recording: Recording, before: Callable[[], CassetteFile | None]) -> None:
        """An exchange has begun; `before` reads what the file held until then."""
        with self._lock:
            if not self._recordings and self._path is not None and self._mode.writes:
                self._before = self._read(before)
            self._recordings.append(recording)

    def keep(self, number: int, interaction: Interaction | None) -> None:
        """An exchange has ended, the `number`-th that began; `None`: in nothing."""
        if interaction is not None and self._journal is not None and self._mode.writes:
            self._journal.append(number, interaction)

    def interactions(self) -> list[Interaction]:
        """What was recorded, in the order in which it began.

        An answer that is still open ends here, as one whose client stopped reading.
        """
        with self._lock:
            recordings = tuple(self._recordings)
        for recording in recordings:
            recording.settle()
        return [each.stored for each in recordings if each.stored is not None]

    def beside(self, kept: Iterable[Interaction]) -> tuple[Interaction, ...]:
        """What was recorded and, of what the file held, that which it does not stand for."""
        left = [each for each in kept if not self.replaces(each)]
        return in_file_order((*left, *self.interactions()))

    def save(
        self,
        asked: Callable[[], Iterable[Interaction]],
        recorded: Recorded | None,
        *,
        loader: Loader,
        writer: Writer,
    ) -> bool:
        """Add what was recorded to the file; true where its content has changed.

        Args:
            asked: Everything that the test has got, in the order in which it asked.
            recorded: The header.
            loader: Reads the file.
            writer: Writes it.

        Raises:
            CassetteFileError: The file cannot be read, written or locked, or would hold a
                secret. It is as it was, and the journal is there.
        """
        if self._path is None or not self._mode.writes:
            return False
        found = self.interactions()
        if not found:
            return False
        from pytest_mnemosyne.cassette._contents import CassetteFile
        from pytest_mnemosyne.cassette._locks import locked

        with locked(self._path):
            there = self._read(partial(loader, self._path)) or CassetteFile()
            interactions = self._merged(there.interactions, tuple(asked()), found)
            changed = writer(
                self._path,
                replace(
                    there,
                    interactions=interactions,
                    recorded=recorded,
                    loosened=self._loosening.names,
                    container="mnemosyne",
                ),
            )
        if self._journal is not None:
            self._journal.discard()
        return changed

    @property
    def loss(self) -> CassetteFileError | None:
        """Why the journal lacks something that was recorded; `None` where it has all."""
        return None if self._journal is None else self._journal.problem

    def close(self) -> None:
        """End what is still open, and leave the journal to whoever wants it."""
        self.interactions()
        if self._journal is not None:
            self._journal.close()

    def _merged(
        self, there: Sequence[Interaction], asked: Sequence[Interaction], found: list[Interaction]
    ) -> tuple[Interaction, ...]:
        before = self._before.interactions if self._before is not None else ()
        replaced = [each for each in before if self.replaces(each)]
        try:
            return self._adding(
                there, before=before, replaced=replaced, asked=asked, recorded=found
            )
        except PartedTalks as parted:
            assert self._path is not None
            raise CassetteWriteError(
                path=self._path,
                reason="another test has recorded another answer to a question that both ask, and "
                "each goes on from its own",
                remedy="record this test again, and it goes on from the answer that is there",
            ) from parted

    def _read(self, read: Callable[[], CassetteFile | None]) -> CassetteFile | None:
        """What the file holds; `None` where there is none, or a damaged one that is replaced."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except UnknownFormatError:
            raise  # a newer release's, and whole
        except CassetteFileError:
            if self._mode is RecordMode.RERECORD and self._role is None:
                return None
            raise
