"""Small files: read quickly, since a run reads two for each test, and replaced at once."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Generator
from errno import EINVAL
from pathlib import Path

# A pipe without a writer would be waited for, and is to be refused.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_PIECE_BYTES = 1 << 17


def read_bytes(path: Path | str) -> bytes:
    """The whole file, at a third of the price of `Path.read_bytes`.

    Raises:
        OSError: It is not there, no file, or not for us to read.
    """
    handle = os.open(path, _FLAGS)
    try:
        size = _size_of(handle, path)
        # One more than there is, so that no more is asked for where this is all.
        pieces = [os.read(handle, size + 1)]
        if len(pieces[0]) != size:
            while piece := os.read(handle, _PIECE_BYTES):
                pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)


def pieces_of(path: Path | str) -> Generator[bytes, None, None]:
    """The file piece by piece; a small one is one piece.

    Raises:
        OSError: It is not there, no file, or not for us to read.
    """
    handle = os.open(path, _FLAGS)
    try:
        # One more than there is, so that a file that has grown is read on.
        size = min(_size_of(handle, path) + 1, _PIECE_BYTES)
        while piece := os.read(handle, size):
            yield piece
    finally:
        os.close(handle)


def _size_of(handle: int, path: Path | str) -> int:
    """How much there is to read; nothing that would never end."""
    found = os.fstat(handle)
    # A folder is refused by the system itself.
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(EINVAL, "it is a pipe or a device and no file", str(path))
    return found.st_size


def replace_bytes(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at once, and on the disk before that.

    Raises:
        OSError: It cannot be written; what was there before is untouched.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Windows has no handle on a folder, and some file systems no sync of one: the file
    # itself is complete either way, only its name may be lost with the power.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
