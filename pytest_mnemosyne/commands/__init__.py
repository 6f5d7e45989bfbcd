"""The commands `mnemosyne cassettes ...`: look at cassettes, compare, check and convert them.

This module is the plug-in that the entry point names. Every run of the command line and
every start of a tree imports it, so it brings nothing along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core.hooks import hookimpl

if TYPE_CHECKING:
    import typer

__all__ = ["mnemosyne_commands"]


@hookimpl
def mnemosyne_commands(app: typer.Typer) -> None:
    """Add the group `cassettes` to the command line."""
    from pytest_mnemosyne.commands import _app

    _app.add_to(app)
