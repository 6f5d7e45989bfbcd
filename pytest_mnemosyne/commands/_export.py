"""`mnemosyne cassettes export`: a cassette for plain vcrpy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.commands import _terminal


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(export)


def export(
    file: _terminal.File,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The file to write; vcrpy's JSON where it ends in .json."
        ),
    ],
    force: _terminal.Force = False,
    secret: _terminal.Secrets = None,
) -> None:
    """Write a cassette for plain vcrpy, and say what is lost.

    vcrpy compares method and URL alone unless it is told to: play the file with
    match_on=["method", "uri", "body"].
    """
    from pytest_mnemosyne.cassette import export_vcrpy

    contents = _terminal.load_file(file)
    if output.suffix not in (".json", ".yaml", ".yml"):
        raise UsageError(f"{output} ends in none of .yaml, .yml and .json; name one that does")
    _terminal.check_replaceable(output, force=force)
    lost = export_vcrpy(output, contents, redactor=_terminal.redactor(secret))
    typer.echo(f"{output}: written for vcrpy")
    for each in lost:
        typer.echo(f"  {each}")
