"""`mnemosyne cassettes trim`: remove what the last full run had no use for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.commands import _terminal
from pytest_mnemosyne.commands._words import counted

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import InteractionId, Leftovers


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(trim)


def trim(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="ROOTDIR",
            help="The project, where pytest runs.",
            exists=True,
            file_okay=False,
            show_default="this folder",
        ),
    ] = Path(),
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="pytest's cache.", show_default="ROOTDIR/.pytest_cache"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and leave it.")
    ] = False,
) -> None:
    """Remove what the last full run left over.

    That is interactions that nobody asked for and cassettes without a test; the run has
    noted them in pytest's cache. Nothing is removed where one of the cassettes has changed
    since then. 1 if one of them could not be trimmed; the others are. `pytest
    --mnemosyne-trim` does the same at once.
    """
    from pytest_mnemosyne.cassette import LEFTOVERS_FILE, read_leftovers, write_leftovers

    # pytest keeps the folders of plug-ins below `d`.
    kept = (cache_dir or root / ".pytest_cache").joinpath("d", "mnemosyne", LEFTOVERS_FILE)
    leftovers = read_leftovers(kept, root=root)
    if leftovers is None:
        raise UsageError(
            f"nothing says what is left over: {kept} is not there; if the last full run has been "
            "trimmed, that is all, otherwise run the whole suite once, and name pytest's cache "
            "with --cache-dir if it is elsewhere"
        )
    _check_unchanged(leftovers, kept)
    if not leftovers:
        typer.echo("the last full run has left nothing over")
    elif dry_run:
        _terminal.say(_planned(leftovers))
    else:
        failed = _trim(leftovers)
        if failed:
            # For another try; what has been removed is not named any more.
            write_leftovers(kept, failed, root=root)
            raise typer.Exit(1)
        # What it names is gone; a second time there is nothing to do.
        kept.unlink()


def _check_unchanged(leftovers: Leftovers, kept: Path) -> None:
    """Refuse to remove what may be in use by now.

    Raises:
        UsageError: A cassette is younger than what was kept.
    """
    found_at = kept.stat().st_mtime_ns
    for path in (*leftovers.unplayed, *leftovers.orphans):
        if path.exists() and path.stat().st_mtime_ns > found_at:
            raise UsageError(
                f"{path} has changed since the last full run, so what that left over may be in use "
                "now; nothing was removed, run the whole suite again"
            )


def _planned(leftovers: Leftovers) -> Iterator[str]:
    for path, names in leftovers.unplayed.items():
        yield f"{path}: {counted(len(names), 'interaction')} that nobody asked for would go"
    for path in leftovers.orphans:
        yield f"{path}: would go, no test has it"


def _trim(leftovers: Leftovers) -> Leftovers:
    """Remove them, file by file, and say so; what could not be removed comes back."""
    from pytest_mnemosyne.cassette import Leftovers

    unplayed = {
        path: names
        for path, names in leftovers.unplayed.items()
        if not _is_done(path, partial(_without, path, names))
    }
    orphans = [path for path in leftovers.orphans if not _is_done(path, partial(_removed, path))]
    return Leftovers(unplayed=unplayed, orphans=tuple(orphans))


def _is_done(path: Path, change: Callable[[], str]) -> bool:
    """Change a file and say what was done; false, with the reason said, where it went wrong."""
    try:
        typer.echo(f"{path}: {change()}")
    except FileNotFoundError:
        typer.echo(f"{path}: is not there any more")
    except MnemosyneError as error:
        _terminal.complain(error)
        return False
    except OSError as error:
        _terminal.complain(UsageError(f"{path} cannot be removed: {error.strerror}"))
        return False
    return True


def _without(path: Path, names: Iterable[InteractionId]) -> str:
    from pytest_mnemosyne.cassette import trim as trim_file

    count = trim_file(path, names)
    rest = "" if path.exists() else ", which were all"
    return f"removed {counted(count, 'interaction')} that nobody asked for{rest}"


def _removed(path: Path) -> str:
    from pytest_mnemosyne.cassette import remove

    remove(path)
    return "removed, no test has it"
