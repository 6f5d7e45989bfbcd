"""`mnemosyne cassettes check`: may these files be committed?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import UsageError
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
        typer.Argument(metavar="PATH", help="Files, and folders to look through.", readable=False),
    ],
    secret: _terminal.Secrets = None,
    as_json: _terminal.AsJson = False,
) -> None:
    """Look for secrets and damage in any files.

    One line each; 1 if there are any, 2 if a path could not be looked at. All others are
    looked at even so.

    Every file is searched for keys and other secrets in all forms that a reader could
    decode. Files that are called .yaml, .yml, .json or .har must also be readable as
    cassettes, if they are any. Fit for pre-commit.
    """
    try:
        redactor = _terminal.redactor(secret)
    except UsageError as error:
        raise _terminal.trouble(error) from error
    unreadable: list[UsageError] = []
    found: list[Finding] = []
    looked_at = 0
    for path in dict.fromkeys(_files(paths, unreadable.append)):
        try:
            data = _terminal.read_file(path)
        except UsageError as error:
            unreadable.append(error)
            continue
        looked_at += 1
        found += _found(data, path, redactor)
    if as_json:
        typer.echo(json.dumps(_report(looked_at, found, unreadable), indent=2))
    else:
        if found:
            _terminal.say(plain(str(each)) for each in found)
        number = counted(len(found), "finding") if found else "no findings"
        typer.echo(f"{number} in {counted(looked_at, 'file')}")
    if unreadable:
        raise _terminal.trouble(*unreadable)
    if found:
        raise typer.Exit(1)


def _files(paths: Iterable[Path], on_trouble: Callable[[UsageError], None]) -> Iterator[Path]:
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - raises nothing, unlike `Path.is_dir`
            yield from files_below(path, on_trouble=on_trouble)
        else:
            yield path


def _found(data: bytes, path: Path, redactor: Redactor) -> Iterator[Finding]:
    from pytest_mnemosyne.cassette import Finding, find_leaks, findings

    for leak in find_leaks(data, path, redactor=redactor):
        yield Finding(path=path, line=leak.line, what=f"{leak.what} in {leak.where}")
    yield from findings(data, path, now=datetime.now(UTC))


def _report(
    looked_at: int, found: Iterable[Finding], unreadable: Iterable[UsageError]
) -> dict[str, object]:
    return {
        "files": looked_at,
        "findings": [
            {"path": str(each.path), "line": each.line, "what": each.what} for each in found
        ],
        "unreadable": [str(each) for each in unreadable],
    }
