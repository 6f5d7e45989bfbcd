"""The money of a budget, in a file that several processes share."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mnemosyne.cassette._locks import try_lock

_PAUSE_S: Final = 0.001
_BYTES: Final = 100
"""What is written is of one length, so that there is nothing to cut off."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What has become of a budget."""

    spent: float = 0.0
    held: float = 0.0
    """What is set aside for requests under way."""


class Purse:
    """A budget's contents in a file, for all who share it."""

    def __init__(self, path: Path) -> None:
        """Keep it at `path`, in a folder that is there; the file is made at need."""
        self._path = path

    @property
    def contents(self) -> Contents:
        """What is spent and set aside right now."""
        with self._opened() as handle:
            return self._read(handle)

    def hold(self, amount: float, *, limit: float) -> Contents | None:
        """Set `amount` aside; what there is where it does not fit under `limit`."""
        with self._opened() as handle:
            there = self._read(handle)
            if there.spent + there.held + amount > limit:
                return there
            self._write(handle, Contents(there.spent, there.held + amount))
        return None

    def settle(self, held: float, used: float) -> None:
        """Take what was used of what was set aside."""
        with self._opened() as handle:
            there = self._read(handle)
            self._write(handle, Contents(there.spent + used, max(0.0, there.held - held)))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not try_lock(handle):
                time.sleep(_PAUSE_S)
            yield handle
        finally:
            os.close(handle)

    def _read(self, handle: int) -> Contents:
        data = os.read(handle, _BYTES)
        return Contents(*json.loads(data)) if data else Contents()

    def _write(self, handle: int, contents: Contents) -> None:
        data = json.dumps([contents.spent, contents.held]).ljust(_BYTES).encode()
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, data)
