"""`mnemosyne cassettes check`: may these files be committed?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.commands import _terminal
from pytest_mnemosyne.commands._folders import files_below
from pytest_mnemosyne.commands._words import counted, plain

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Finding, Redactor


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(check)


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files, and folders to look through."),
    ],
    secret: _terminal.Secrets = None,
    as_json: _terminal.AsJson = False,
) -> None:
    """Look for secrets and damage in any files.

    One line each; 1 if there are any, 2 if a path cannot be looked at.

    Every file is searched for keys and other secrets in all forms that a reader could
    decode. Files that are called .yaml, .yml, .json or .har must also be readable as
    cassettes, if they are any. Fit for pre-commit.
    """
    try:
        redactor = _terminal.redactor(secret)
        files = list(dict.fromkeys(_files(paths)))
        found = [each for path in files for each in _found(path, redactor)]
    except MnemosyneError as error:
        raise _terminal.trouble(error) from error
    if as_json:
        typer.echo(json.dumps({"files": len(files), "findings": _fields(found)}, indent=2))
    else:
        if found:
            _terminal.say(plain(str(each)) for each in found)
        number = counted(len(found), "finding") if found else "no findings"
        typer.echo(f"{number} in {counted(len(files), 'file')}")
    if found:
        raise typer.Exit(1)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from files_below(path)
        elif path.exists():
            yield path
        else:
            raise _terminal.no_such(path)


def _found(path: Path, redactor: Redactor) -> Iterator[Finding]:
    from pytest_mnemosyne.cassette import Finding, find_leaks, findings

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    for leak in find_leaks(data, path, redactor=redactor):
        yield Finding(path=path, line=leak.line, what=f"{leak.what} in {leak.where}")
    yield from findings(data, path, now=datetime.now(UTC))


def _fields(found: Iterable[Finding]) -> list[dict[str, object]]:
    return [{"path": str(each.path), "line": each.line, "what": each.what} for each in found]
