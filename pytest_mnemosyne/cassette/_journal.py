"""The journal of a recording: each exchange on the disk as soon as it has ended.

What a test records reaches its cassette when the test has passed. Until then, and for
good if it fails or its process is killed, it lies here. A journal is a file of its own
for every test of every process, so writers never meet; its lock is held by its writer
and ends with it, which tells a journal that is left over from one that grows.

    # mnemosyne journal 1 {"cassette": "../test_x/test_y.yaml", "source": "api", ...}
    --- # 1 1234 89abcdef
    mnemosyne: 1
    ...

Each exchange is a whole cassette of one, in its stored form and without secrets, behind a
line with its number (the order in which the exchanges began), its length and its checksum.
A writer that dies in the middle of one leaves the others whole.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteWriteError,
    SecretLeakError,
)
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._locks import try_lock

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._redaction import Redactor

FOLDER: Final = ".mnemosyne"
"""Where journals lie, below the folder of the cassettes."""

SUFFIX: Final = ".journal"
_HEAD: Final = b"# mnemosyne journal 1 "
_FRAME = re.compile(rb"--- # (\d+) (\d+) ([0-9a-f]{8})\n")
_LONGEST_NAME: Final = 60

_IGNORE: Final = (
    "# What failed and interrupted recordings left behind; not for version control.\n*\n"
)


class Journal:
    """The journal of one test's recording. From any thread; nothing is made before it is needed.

    It never raises: an exchange that cannot be kept must not break the test that made it.
    What went wrong is its `problem`.
    """

    def __init__(
        self,
        cassette_dir: Path,
        *,
        cassette: Path,
        recorded: Recorded,
        redactor: Callable[[], Redactor],
        loosened: Sequence[str] = (),
        is_anew: bool = False,
    ) -> None:
        """A journal that has no file yet.

        Args:
            cassette_dir: The folder of the cassettes; journals lie below it.
            cassette: The file that the exchanges are for.
            recorded: Where they come from.
            redactor: Gives what takes the run's secrets out, those that came late too; asked
                for each exchange.
            loosened: What the test does not compare, as the cassette's header is to say.
            is_anew: Whether what the cassette answers already was asked anew.
        """
        self.path: Path | None = None
        """Its file; `None` while there is nothing in it."""

        self.exchanges = 0
        """How many exchanges are in the file."""

        self.problem: CassetteFileError | None = None
        """Why an exchange is not there; the first reason of all."""

        self._folder = cassette_dir / FOLDER
        self._cassette = cassette
        self._recorded = recorded
        self._loosened = list(loosened)
        self._is_anew = is_anew
        self._redactor = redactor
        self._handle: int | None = None
        self._lock = Lock()

    def append(self, number: int, interaction: Interaction) -> None:
        """Keep an exchange that has ended.

        Args:
            number: Counts the exchanges of the test in the order in which they began.
            interaction: The exchange.
        """
        with self._lock:
            try:
                data = self._frame(number, interaction)
                self._write(data)
                self.exchanges += 1
            except CassetteFileError as error:
                self.problem = self.problem or error
            except OSError as error:
                self.problem = self.problem or CassetteWriteError(
                    path=self.path or self._folder, reason=error.strerror or str(error)
                )

    def close(self) -> None:
        """Leave the file behind, for `recover`; safe to call twice."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is not None:
                os.close(handle)

    def discard(self) -> None:
        """Remove the file: its exchanges are in the cassette."""
        with self._lock:
            path, self.path = self.path, None
            if path is not None:
                path.unlink(missing_ok=True)
        self.close()

    def _frame(self, number: int, interaction: Interaction) -> bytes:
        from pytest_mnemosyne.cassette._file import render, without_secrets

        clean = without_secrets(self._cassette, (interaction,), self._redactor())
        document = render(CassetteFile(interactions=clean))
        self._check(document, "a lane")
        return b"--- # %d %d %08x\n%b" % (number, len(document), zlib.crc32(document), document)

    def _write(self, data: bytes) -> None:
        if not self.exchanges:
            # At once with the first exchange, so that no file has one without the other.
            data = self._head() + data
        if self._handle is None:
            self._handle = self._opened()
        before = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, data)
            while written < len(data):
                written += os.write(self._handle, data[written:])
        except OSError:
            # A full disk: what follows must not stand behind half an exchange.
            os.ftruncate(self._handle, before)
            raise

    def _opened(self) -> int:
        """A handle of the file, which is made at the first call."""
        if self.path is not None:
            return os.open(self.path, os.O_RDWR | os.O_APPEND)
        _make_folder(self._folder)
        stem = self._cassette.stem.encode()[:_LONGEST_NAME].decode(errors="ignore")
        path = self._folder / f"{stem}-{secrets.token_hex(6)}{SUFFIX}"
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        while not try_lock(handle):
            time.sleep(0.001)  # somebody looks whether it is in use, which takes no longer
        self.path = path
        return handle

    def _head(self) -> bytes:
        recorded = self._recorded
        about = {
            "cassette": _relative(self._cassette, self._folder),
            "source": recorded.source,
            "at": None if recorded.at is None else recorded.at.isoformat(),
            "test": recorded.test,
            "with": dict(recorded.versions),
            "loosened": self._loosened,
            "anew": self._is_anew,
        }
        head = _HEAD + json.dumps(about).encode() + b"\n"
        self._check(head, "the test's name, or what it does not compare,")
        return head

    def _check(self, data: bytes, where: str) -> None:
        leak = self._redactor().find(data)
        if leak is not None:
            raise SecretLeakError(path=self._cassette, secret=leak, where=where)


@dataclass(frozen=True, slots=True)
class Frames:
    """What is in a journal's file."""

    cassette: str
    """The file that the exchanges are for, from the journal's folder."""

    recorded: Recorded
    loosened: tuple[str, ...]
    """What the test that wrote it does not compare."""

    is_anew: bool
    """Whether what the cassette had answers for already was asked anew."""

    documents: tuple[tuple[int, bytes], ...]
    """The whole exchanges as they were written, each with its number."""

    is_torn: bool
    """Whether something else stands behind them."""


def read_frames(data: bytes) -> Frames | None:
    """Take a journal's file apart; `None` where its first line is not whole."""
    first, newline, _ = data.partition(b"\n")
    head = _read_head(first) if newline else None
    if head is None:
        return None
    documents: list[tuple[int, bytes]] = []
    at = len(first) + 1
    while frame := _FRAME.match(data, at):
        document = data[frame.end() : frame.end() + int(frame[2])]
        if len(document) < int(frame[2]) or zlib.crc32(document) != int(frame[3], 16):
            break
        documents.append((int(frame[1]), document))
        at = frame.end() + len(document)
    return Frames(*head, tuple(documents), is_torn=at < len(data))


def _read_head(line: bytes) -> tuple[str, Recorded, tuple[str, ...], bool] | None:
    try:
        match json.loads(line.removeprefix(_HEAD)):
            case {
                "cassette": str(cassette),
                "source": str(source),
                "at": str() | None as at,
                "test": str() | None as test,
                "with": dict(versions),
                "loosened": list(loosened),
                "anew": bool(is_anew),
            }:
                recorded = Recorded(
                    source=source,
                    at=None if at is None else datetime.fromisoformat(at),
                    test=test,
                    versions=MappingProxyType(versions),
                )
                return cassette, recorded, tuple(map(str, loosened)), is_anew
    except ValueError:
        pass
    return None


def _relative(path: Path, folder: Path) -> str:
    """`path` from `folder`, so that a project's folder may be moved or mounted elsewhere."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return str(path)  # on another drive


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORE, encoding="utf-8")
