"""Locks between processes that end with their holder.

The operating system keeps them on an open file, so a process that is killed leaves none
behind. The choice not taken, a file whose existence is the lock, has to guess whether its
maker still lives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_mnemosyne.cassette._errors import CassetteWriteError

PATIENCE_S: Final = 30.0
"""A writer holds the lock while it reads one file and writes one, so this is a hang."""

_PAUSE_S: Final = 0.005
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})


@contextlib.contextmanager
def locked(path: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Be the only one who replaces the file at `path`, which need not exist, for a block.

    The lock is a file beside it, because the file itself is replaced; it is there while
    somebody writes, and no longer.

    Raises:
        CassetteWriteError: There can be no lock, or its holder does not come to an end.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _taken(lock, time.monotonic() + patience_s)
    except OSError as error:
        raise CassetteWriteError(path=path, reason=error.strerror or str(error)) from error
    if handle is None:
        raise CassetteWriteError(
            path=path, reason=f"another process has been writing it for {patience_s:g} seconds"
        )
    try:
        yield
    finally:
        # Gone before it is free, so that whoever waits for it notices that it is.
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; false where another process, or handle, has it.

    True also where the file system knows no locks: then nobody can be kept out.
    """
    try:
        _lock(handle)
    except OSError as error:
        return error.errno not in _BUSY
    return True


def _taken(lock: Path, until_s: float) -> int | None:
    """A handle that holds the lock; `None` if it was not free in time."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        # The last holder may have removed what was opened here.
        if try_lock(handle) and _is_at(handle, lock):
            return handle
        os.close(handle)
        if time.monotonic() > until_s:
            return None
        time.sleep(_PAUSE_S)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))  # noqa: PTH116 - fits samestat
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
