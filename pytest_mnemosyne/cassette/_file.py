"""A cassette on the disk: read whatever recorded it, write format 1 so that nothing is lost.

A run that plays unchanged cassettes needs neither YAML nor the readers of other
recorders' files, so these are imported where they are first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette import _parsed_cache as parsed_cache
from pytest_mnemosyne.cassette._contents import CassetteFile, stored_form
from pytest_mnemosyne.cassette._disk import read_bytes, replace_bytes
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteReadError,
    CassetteWriteError,
    CorruptCassetteError,
    SecretLeakError,
)
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._indistinct import Indistinct
    from pytest_mnemosyne.cassette._redaction import Redactor


def load(
    path: Path, *, cache_dir: Path | None = None, loosening: Loosening = EXACTLY
) -> CassetteFile:
    """Read a cassette of this project or of another recorder.

    Args:
        path: The file.
        cache_dir: A folder of this project's own, where the parsed contents are kept for
            the next time, by the hash of the file's bytes. It may be shared, deleted, or
            not writable.
        loosening: What will not be compared when it is played: keys are kept for it.

    Raises:
        FileNotFoundError: There is no such file.
        CassetteReadError: The operating system does not hand it out.
        CorruptCassetteError: It is damaged.
        UnknownFormatError: A newer release wrote it.
        UnreadableCassetteError: It is of a kind that is not read.
    """
    try:
        return _load(path, cache_dir, loosening)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        # A file stands where its folder would be, so it is not there either.
        raise FileNotFoundError(ENOENT, "no such file", str(path)) from error
    except OSError as error:
        raise CassetteReadError(path=path, reason=error.strerror or str(error)) from error


def _load(path: Path, cache_dir: Path | None, loosening: Loosening) -> CassetteFile:
    data = read_bytes(path)
    if cache_dir is None:
        return _parsed(path, data)
    anew = partial(load, path, cache_dir=cache_dir, loosening=loosening)
    entry = parsed_cache.entry_of((data,), cache_dir, loosening)
    kept = parsed_cache.load(entry, anew)
    if kept is not None:
        return kept
    return parsed_cache.store(entry, _parsed(path, data), loosening, anew)


def _parsed(path: Path, data: bytes) -> CassetteFile:
    from pytest_mnemosyne.cassette._reading import parse

    return parse(data, path)


def write(
    path: Path,
    file: CassetteFile,
    *,
    redactor: Redactor | None = None,
    on_indistinct: Callable[[Indistinct], None] | None = None,
) -> bool:
    """Write a cassette, unless one of equal content is there already.

    Content is everything but what each recording has anew: dates, durations, rate limits,
    ids that Claude minted, and how the network cut a body into chunks. The file appears
    whole or not at all, also beside other processes that write it. What is written is
    `stored_form` of each interaction, without secrets.

    Args:
        path: The file; its folder is made at need.
        file: What to write.
        redactor: Knows the run's secrets; without one only known shapes of keys are found.
        on_indistinct: Hears of requests that are one without their secrets.

    Returns:
        Whether the file was written; False leaves it untouched, its dates included.

    Raises:
        SecretLeakError: A secret cannot be taken out. Nothing was written.
        CassetteWriteError: The folder or the file cannot be written, or nobody could read it
            again. Nothing was written.
    """
    from pytest_mnemosyne.cassette._redaction import Redactor
    from pytest_mnemosyne.cassette._stand_ins import stand_ins_of

    redactor = redactor or Redactor()
    before = tuple(stored_form(each) for each in file.interactions)
    interactions = _redacted(path, before, redactor)
    stored = replace(
        file,
        container="mnemosyne",
        interactions=interactions,
        volatile=stand_ins_of(interactions),
    )
    data = render(stored)
    for where, text in (*_labels(path, stored), ("the file as a whole", data)):
        leak = redactor.find(text)
        if leak is not None:
            raise _leak(path, leak, where, redactor)
    _check_readable(path, stored, data)
    if on_indistinct is not None:
        from pytest_mnemosyne.cassette._indistinct import indistinct

        for each in indistinct(before, interactions):
            on_indistinct(each)
    if _holds(path, stored):
        return False
    put_in_place(path, data)
    return True


def _labels(path: Path, file: CassetteFile) -> Iterator[tuple[str, bytes]]:
    """The texts of a cassette that belong to no exchange, each with its place.

    YAML spells them in ways of its own, so that they are looked through before it does.
    """
    yield "its name", os.fsencode(path.name)
    header = file.recorded
    if header is not None:
        yield "the name of its test", (header.test or "").encode("utf-8", "surrogatepass")
        told = (header.source, *header.versions, *header.versions.values())
        yield "its header", " | ".join(told).encode("utf-8", "surrogatepass")
    yield "its header", " | ".join(file.loosened).encode("utf-8", "surrogatepass")
    for agent in {one.lane.agent for one in file.interactions if one.lane is not None}:
        yield "the name of an agent", agent.encode("utf-8", "surrogatepass")


def _check_readable(path: Path, file: CassetteFile, data: bytes) -> None:
    """Refuse what nobody could read again: while it is not written, its journal has it."""
    from pytest_mnemosyne.cassette._parts import may_unfold_too_far

    if not may_unfold_too_far(sum(map(_size, file.interactions))):
        return
    try:
        _parsed(path, data)
    except CorruptCassetteError as error:
        raise CassetteWriteError(
            path=path,
            reason=error.problem,
            remedy="give tests that share it cassettes of their own, or let its test ask less",
        ) from error


def _size(interaction: Interaction) -> int:
    response = interaction.response
    return len(interaction.request.body) + (0 if response is None else len(response.body))


def _leak(path: Path, secret: str, where: str, redactor: Redactor) -> SecretLeakError:
    return SecretLeakError(path=Path(redactor.shown_text(str(path))), secret=secret, where=where)


def put_in_place(path: Path, data: bytes) -> None:
    """Have `path` hold `data`: at once, as a whole, its folder made at need.

    Raises:
        CassetteWriteError: The folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, data)
    except OSError as error:
        raise CassetteWriteError(path=path, reason=error.strerror or str(error)) from error


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


def without_secrets(
    path: Path, interactions: Iterable[Interaction], redactor: Redactor
) -> tuple[Interaction, ...]:
    """The stored form of interactions, with every secret replaced that `redactor` finds.

    Raises:
        SecretLeakError: One cannot be replaced; it names `path` and the interaction.
    """
    return _redacted(path, map(stored_form, interactions), redactor)


def _redacted(
    path: Path, stored: Iterable[Interaction], redactor: Redactor
) -> tuple[Interaction, ...]:
    from pytest_mnemosyne.cassette._redaction import SecretFoundError

    redacted = []
    for at, interaction in enumerate(stored, start=1):
        try:
            redacted.append(redactor.interaction(interaction))
        except SecretFoundError as found:
            where = f"interaction {at}: {found.where}"
            raise _leak(path, found.secret, where, redactor) from found
    return tuple(redacted)


def render(file: CassetteFile) -> bytes:
    """The document of a file whose interactions are in their stored form."""
    from pytest_mnemosyne.cassette._format1 import END_LINE, to_document
    from pytest_mnemosyne.cassette._yaml import render_yaml

    return render_yaml(to_document(file)) + END_LINE


def _holds(path: Path, file: CassetteFile) -> bool:
    from pytest_mnemosyne.cassette._sameness import are_same

    try:
        there = load(path)
    except (FileNotFoundError, CassetteFileError):
        return False
    return there.container == file.container and are_same(there, file)
