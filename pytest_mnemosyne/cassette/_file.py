"""A cassette on the disk: read whatever recorded it, write format 1 so that nothing is lost.

A run that plays unchanged cassettes needs neither YAML nor the readers of other
recorders' files, so these are imported where they are first used.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import replace
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette import _parsed_cache as parsed_cache
from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded, stored_form
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteReadError,
    CassetteWriteError,
    SecretLeakError,
)
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._key import request_key
from pytest_mnemosyne.cassette._turn import tokens_of

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._redaction import Redactor


def load(path: Path, *, cache_dir: Path | None = None) -> CassetteFile:
    """Read a cassette of this project or of another recorder.

    Args:
        path: The file.
        cache_dir: A folder of this project's own, where the parsed contents are kept for
            the next time, by the hash of the file's bytes. It may be shared, deleted, or
            not writable.

    Raises:
        FileNotFoundError: There is no such file.
        CassetteReadError: The operating system does not hand it out.
        CorruptCassetteError: It is damaged.
        UnknownFormatError: A newer release wrote it.
        UnreadableCassetteError: It is of a kind that is not read.
    """
    data = _read(path)
    entry = None if cache_dir is None else parsed_cache.entry(cache_dir, data)
    cached = None if entry is None else parsed_cache.load(entry)
    if cached is not None:
        return cached
    from pytest_mnemosyne.cassette._reading import parse

    file = parse(data, path)
    if entry is None:
        return file
    file = replace(
        file,
        keys=tuple(request_key(each.request) for each in file.interactions),
        tokens=tuple(tokens_of(each) for each in file.interactions),
    )
    parsed_cache.store(entry, file)
    return file


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        # A file stands where its folder would be, so it is not there either.
        raise FileNotFoundError(ENOENT, "no such file", str(path)) from error
    except OSError as error:
        raise CassetteReadError(path=path, reason=error.strerror or str(error)) from error


def write(path: Path, file: CassetteFile, *, redactor: Redactor | None = None) -> bool:
    """Write a cassette, unless one of equal content is there already.

    Content is everything but dates, durations, and how the network cut a body into
    chunks. The file appears whole or not at all, also beside other processes that
    write it. What is written is `stored_form` of each interaction, without secrets.

    Args:
        path: The file; its folder is made at need.
        file: What to write.
        redactor: Knows the run's secrets; without one only known shapes of keys are found.

    Returns:
        Whether the file was written; False leaves it untouched, its dates included.

    Raises:
        SecretLeakError: A secret cannot be taken out. Nothing was written.
        CassetteWriteError: The folder or the file cannot be written.
    """
    from pytest_mnemosyne.cassette._redaction import Redactor

    redactor = redactor or Redactor()
    stored = replace(
        file,
        container="mnemosyne",
        interactions=_redacted(path, file.interactions, redactor),
        keys=(),
        tokens=(),
    )
    data = render(stored)
    leak = redactor.find(data)
    if leak is not None:
        raise SecretLeakError(path=path, secret=leak, where="the header, a lane or a test's name")
    if _holds(path, stored):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise CassetteWriteError(path=path, reason=error.strerror or str(error)) from error
    return True


def check_writable(path: Path) -> None:
    """Say beforehand that a cassette could not be written, as far as that can be known.

    Raises:
        CassetteWriteError: Its folder cannot be made or written to.
    """
    folder = next(each for each in path.parents if os.path.lexists(each))
    if not folder.is_dir():
        raise CassetteWriteError(path=path, reason=f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CassetteWriteError(path=path, reason=f"no permission to write in {folder}")
    if path.is_dir():
        raise CassetteWriteError(path=path, reason="a folder has its name")


def _redacted(
    path: Path, interactions: tuple[Interaction, ...], redactor: Redactor
) -> tuple[Interaction, ...]:
    from pytest_mnemosyne.cassette._redaction import SecretFoundError

    redacted = []
    for at, interaction in enumerate(interactions, start=1):
        try:
            redacted.append(redactor.interaction(stored_form(interaction)))
        except SecretFoundError as found:
            raise SecretLeakError(
                path=path, secret=found.secret, where=f"interaction {at}: {found.where}"
            ) from found
    return tuple(redacted)


def render(file: CassetteFile) -> bytes:
    """The document of a file whose interactions are in their stored form."""
    from pytest_mnemosyne.cassette._format1 import to_document
    from pytest_mnemosyne.cassette._yaml import render_yaml

    return render_yaml(to_document(file))


def _holds(path: Path, file: CassetteFile) -> bool:
    try:
        there = load(path)
    except (FileNotFoundError, CassetteFileError):
        return False
    return there.container == file.container and _content(there) == _content(file)


def _content(file: CassetteFile) -> CassetteFile:
    """The file without what differs from one recording of the same to the next."""
    recorded: Recorded | None = None
    if file.recorded is not None:
        recorded = replace(file.recorded, at=None, versions=dict(file.recorded.versions))
    return replace(
        file,
        recorded=recorded,
        interactions=tuple(
            replace(
                one,
                took_s=0.0,
                response=None if one.response is None else replace(one.response, chunks=()),
            )
            for one in file.interactions
        ),
    )


def _replace(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at once, and on the disk before that."""
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
