"""`mnemosyne cassettes diff`: what changed between two recordings, by meaning."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import MnemosyneError
from pytest_mnemosyne.commands import _terminal
from pytest_mnemosyne.commands._words import plain

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import CassetteFile, FileDifference


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(diff)


def diff(
    old: Annotated[
        Path,
        typer.Argument(metavar="OLD", help="A cassette, whoever recorded it.", readable=False),
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.", readable=False)],
    ignore_words: Annotated[
        bool,
        typer.Option(
            "--ignore-words",
            help="Let the words of answers differ, which never are the same twice.",
        ),
    ] = False,
    as_json: _terminal.AsJson = False,
) -> None:
    """Compare two cassettes, agent by agent.

    It tells which calls came, went or changed, and which answers. Dates, times, ids and
    headers do not count. 0 where they are the same, 1 where they
    differ, 2 where one cannot be read.
    """
    from pytest_mnemosyne.cassette import compare_files

    read: list[CassetteFile] = []
    unreadable: list[MnemosyneError] = []
    for path in (old, new):
        try:
            read.append(_terminal.load_file(path))
        except MnemosyneError as error:
            unreadable.append(error)
    if unreadable:
        raise _terminal.trouble(*unreadable)
    found = compare_files(*read)
    if ignore_words:
        found = _without_words(found)
    if as_json:
        typer.echo(json.dumps({"old": str(old), "new": str(new), **asdict(found)}, indent=2))
    elif found:
        _terminal.say(map(plain, found.lines()))
    if found:
        raise typer.Exit(1)


def _without_words(found: FileDifference) -> FileDifference:
    from pytest_mnemosyne.cassette import DriftKind

    calls = (
        replace(call, answer=tuple(one for one in call.answer if one.kind is not DriftKind.WORDS))
        for call in found.calls
        if call.has_drifted
    )
    return replace(found, calls=tuple(calls))
