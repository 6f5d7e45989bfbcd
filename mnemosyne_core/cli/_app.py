"""The application: its commands put together, and what every command's end has in common.

A command that fails raises; here its error becomes one line on standard error and an
exit code: 0 done, 1 failed, 2 wrong usage, 3 the tree gave up, 130 interrupted, 143
terminated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperGroup

from mnemosyne_core.cli import _doctor, _look, _run
from mnemosyne_core.errors import MnemosyneError, RestartIntensityError
from mnemosyne_core.hooks import plugin_manager

GAVE_UP = 3
INTERRUPTED = 130


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        # The context's class is click's or, in newer releases of Typer, Typer's own.
        try:
            return super().invoke(ctx)
        except MnemosyneError as error:
            typer.echo(f"mnemosyne: {error}", err=True)
            code = GAVE_UP if isinstance(error, RestartIntensityError) else 1
            raise typer.Exit(code) from error
        except KeyboardInterrupt:
            typer.echo("mnemosyne: interrupted; what was stored so far is kept", err=True)
            raise typer.Exit(INTERRUPTED) from None


def make_app(plugins: Iterable[object] = (), *, load_entry_points: bool = True) -> typer.Typer:
    """The application with the commands of this project and of its plug-ins.

    Args:
        plugins: Plug-ins beyond those that are installed, with hooks of
            `mnemosyne_core.hooks.Specs`.
        load_entry_points: Whether installed packages may add commands.

    Raises:
        PluginError: A plug-in cannot be used.
    """
    app = typer.Typer(
        name="mnemosyne",
        cls=_Commands,
        help="Supervised agents on Claude: check the set-up, run work, look at what happened.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    _doctor.add_to(app)
    _run.add_to(app)
    _look.add_to(app)
    manager = plugin_manager(plugins, load_entry_points=load_entry_points)
    manager.hook.mnemosyne_commands(app=app)
    return app


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        app = make_app()
        app()
    except MnemosyneError as error:
        typer.echo(f"mnemosyne: {error}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        # Before a command has begun, or when it is over.
        typer.echo("mnemosyne: interrupted", err=True)
        raise SystemExit(INTERRUPTED) from None
