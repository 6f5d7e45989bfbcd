"""The group `cassettes`: its commands put together."""

from __future__ import annotations

import typer

from pytest_mnemosyne.commands import (
    _check,
    _diff,
    _export,
    _import,
    _recover,
    _show,
    _trim,
)


def add_to(app: typer.Typer) -> None:
    """Add the group to `app`."""
    cassettes = typer.Typer(
        help="Look at cassettes, compare, check and convert them.",
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
    )
    for module in (_show, _diff, _check, _trim, _export, _import, _recover):
        module.add_to(cassettes)
    app.add_typer(cassettes, name="cassettes")
