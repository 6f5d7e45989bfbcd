"""`mnemosyne cassettes import`: the recordings of other tools as cassettes of format 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.commands import _terminal
from pytest_mnemosyne.commands._folders import OnTrouble, cassette_files
from pytest_mnemosyne.commands._words import counted

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import CassetteFile, Redactor


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    # The function cannot have the name: it is a word of the language.
    app.command("import")(import_recordings)


def import_recordings(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A recording of vcrpy, Ruby VCR, go-vcr, a HAR or one JSON exchange; or a "
            "folder of them.",
            readable=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write; for a folder the folder, where each file keeps its path.",
        ),
    ],
    force: _terminal.Force = False,
    keep_other_hosts: Annotated[
        bool,
        typer.Option(
            "--keep-other-hosts",
            help="Keep the exchanges with hosts that are not Claude's, which never play.",
        ),
    ] = False,
    secret: _terminal.Secrets = None,
) -> None:
    """Make cassettes of the recordings of other tools.

    Headers are kept by allow-list and keys that are found are replaced, as in recording.
    1 if one of them could not be made.
    """
    redactor = _terminal.redactor(secret)
    failed = 0

    def fail(error: MnemosyneError) -> None:
        nonlocal failed
        failed += 1
        _terminal.complain(error)

    for path, target in _pairs(source, output, fail):
        try:
            found = _read(path, keep_other_hosts=keep_other_hosts)
            if not found.lacking:
                _write(target, found, redactor, force=force)
                typer.echo(f"{target}: {found}")
            elif source.is_dir():
                typer.echo(f"{path}: left out, {found.lacking}")
            else:
                raise UsageError(f"{path} is not imported: {found.lacking}")
        except MnemosyneError as error:
            fail(error)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a file holds for a cassette."""

    contents: CassetteFile
    dropped: int = 0
    """How many exchanges with other hosts are not among them."""

    lacking: str = ""
    """Why there is nothing to import, which in a folder is nobody's mistake; else empty."""

    def __str__(self) -> str:
        words = counted(len(self.contents.interactions), "interaction")
        return f"{words} ({self.dropped} with other hosts dropped)" if self.dropped else words


def _pairs(source: Path, output: Path, on_trouble: OnTrouble) -> list[tuple[Path, Path]]:
    """Each recording, and the file to make of it.

    Raises:
        UsageError: A folder has none.
    """
    if source.is_dir():
        found = list(_targets(source, output, on_trouble))
        if not found:
            raise UsageError(
                f"there is nothing to import in {source}; name a folder that has recordings in it"
            )
        return found
    return [(source, output / f"{source.stem}.yaml" if output.is_dir() else output)]


def _targets(source: Path, output: Path, on_trouble: OnTrouble) -> Iterator[tuple[Path, Path]]:
    """Each recording below a folder, and the file to make of it; no two get the same."""
    wanted = {
        path: output / path.relative_to(source).with_suffix(".yaml")
        for path in cassette_files(source, on_trouble=on_trouble)
    }
    times = Counter(wanted.values())
    for path, target in wanted.items():
        # x.json beside x.yaml becomes x.json.yaml.
        is_alone = times[target] == 1 or path.name == target.name
        yield path, target if is_alone else target.with_name(f"{path.name}.yaml")


def _read(path: Path, *, keep_other_hosts: bool) -> _Found:
    from pytest_mnemosyne.cassette import (
        NO_RECORDING,
        CassetteFile,
        Recorded,
        UnreadableCassetteError,
        asks_claude,
    )

    try:
        there = _terminal.load_file(path)
    except UnreadableCassetteError as error:
        if error.container != NO_RECORDING:
            raise
        return _Found(contents=CassetteFile(), lacking=NO_RECORDING)
    if there.container == "mnemosyne":
        return _Found(contents=there, lacking="it has this project's format already")
    kept = tuple(one for one in there.interactions if keep_other_hosts or asks_claude(one.request))
    recorded = Recorded(source=f"import of {path.name} ({there.container})")
    return _Found(
        contents=CassetteFile(interactions=kept, recorded=recorded),
        dropped=len(there.interactions) - len(kept),
        lacking="" if kept else "nothing in it is a call to Claude",
    )


def _write(target: Path, found: _Found, redactor: Redactor, *, force: bool) -> None:
    from pytest_mnemosyne.cassette import write

    _terminal.check_replaceable(target, force=force)
    write(target, found.contents, redactor=redactor)
