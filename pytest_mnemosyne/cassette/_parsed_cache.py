"""Parsed cassettes, kept by the hash of the file they were parsed from.

YAML costs a hundred times what the contents themselves cost to load, and nearly
every run reads files that did not change. An entry is named after the file's
bytes and whatever its own layout depends on, and holds checksums, so that it is
either right or not used; there is nothing to invalidate.

Of a large entry only the head is read at once, and of what lies behind it no more than
what somebody looks at.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import secrets
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.cassette import _key
from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._disk import pieces_of
from pytest_mnemosyne.cassette._loosening import Loosening
from pytest_mnemosyne.cassette._packing import LAYOUT, pack, unpack

if TYPE_CHECKING:
    import mmap

    from pytest_mnemosyne.cassette._interaction import Interaction

_FORMAT: Final = 8
"""Raised with every change to a reader of files, or to how an entry is put together."""

_SALT: Final = "-".join(
    map(
        str,
        (
            _FORMAT,
            LAYOUT,
            _key.VERSION,
            sys.implementation.cache_tag,
            sys.byteorder,
            marshal.version,
        ),
    )
).encode()

_NUMBERS: Final = struct.Struct(">3Q")
"""What an entry begins with: the checksum and the length of the head, the whole length."""


def entry_of(pieces: Iterable[bytes], cache_dir: Path, loosening: Loosening) -> str:
    """The path of the entry for a file with these bytes, with the keys of a loosening."""
    # What has no fingerprint shares an entry, whose keys nobody uses then.
    named = b"%b %a" % (_SALT, loosening.fingerprint)
    # Most processors have this one built in.
    digest = hashlib.sha256(named, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return f"{cache_dir}{os.sep}{digest.hexdigest()}"


def load(entry: str, anew: Callable[[], CassetteFile]) -> CassetteFile | None:
    """The contents kept there; `None` where none can be trusted.

    Args:
        entry: Its path.
        anew: Parses the file and stores it again, should the entry prove to be damaged later.
    """
    begin = _NUMBERS.size
    try:
        with closing(pieces_of(entry)) as pieces:
            kept = next(pieces, b"")
            checksum, length, whole = _NUMBERS.unpack_from(kept)
            while len(kept) < begin + length and (piece := next(pieces, b"")):
                kept += piece
        head = kept[begin : begin + length]
        if not head or zlib.crc32(head) != checksum:
            return None
        entire = memoryview(kept if len(kept) == whole else _mapped(entry))
    except (OSError, ValueError, struct.error):
        return None
    if len(entire) != whole:
        return None
    return unpack(head, entire[begin + length :], partial(_instead_of, entry, anew))


def store(
    entry: str, file: CassetteFile, loosening: Loosening, anew: Callable[[], CassetteFile]
) -> CassetteFile:
    """Keep `file` for the next time, if the folder allows it; what `load` will give then."""
    head, behind = pack(file, loosening)
    whole = _NUMBERS.size + len(head) + len(behind)
    temporary = f"{entry}.{secrets.token_hex(4)}"
    # A cache that cannot be written costs time and nothing else.
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(entry), exist_ok=True)  # noqa: PTH103, PTH120
        with open(temporary, "xb") as out:  # noqa: PTH123
            out.write(_NUMBERS.pack(zlib.crc32(head), len(head), whole))
            out.write(head)
            out.write(behind)
        os.replace(temporary, entry)  # noqa: PTH105
    return unpack(head, memoryview(behind), partial(_instead_of, entry, anew))


def _mapped(entry: str) -> mmap.mmap:
    """The bytes of a large entry, of which few are looked at."""
    import mmap

    with open(entry, "rb") as file:  # noqa: PTH123
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _instead_of(entry: str, anew: Callable[[], CassetteFile]) -> Sequence[Interaction]:
    """The interactions that a damaged entry should have had; the entry goes."""
    with contextlib.suppress(OSError):
        os.unlink(entry)  # noqa: PTH108
    return anew().interactions
