"""What the commands have in common: files in, lines out."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mnemosyne_core.errors import MnemosyneError, UsageError

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import CassetteFile, Redactor

_KEY_VARIABLES: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

_SHORTEST_KEY: Final = 16
"""In characters. A shorter value stands where a key has to be and is none."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="A cassette, whoever recorded it.")]

Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]

Secrets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="An environment variable whose value is a secret, beside ANTHROPIC_API_KEY and "
        "ANTHROPIC_AUTH_TOKEN; repeatable.",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def load_file(path: Path) -> CassetteFile:
    """The contents of a cassette that somebody named.

    Raises:
        UsageError: There is none, or it is a folder.
        CassetteFileError: It cannot be read.
    """
    from pytest_mnemosyne.cassette import load

    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a cassette in it")
    try:
        return load(path)
    except FileNotFoundError:
        raise no_such(path) from None


def no_such(path: Path) -> UsageError:
    """The error that there is no `path`."""
    return UsageError(f"there is no {path}; name a file that exists")


def trouble(error: MnemosyneError) -> typer.Exit:
    """The end of a command whose 1 is an answer, so that what went wrong is 2."""
    typer.echo(f"mnemosyne: {error}", err=True)
    return typer.Exit(2)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Refuse to write over a file, unless that was asked for.

    Raises:
        UsageError: There is one.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists; name another file, or replace it with --force")


def redactor(names: Iterable[str] | None) -> Redactor:
    """A redactor that knows the values of environment variables.

    Args:
        names: The variables beside those that hold the key of Claude.

    Raises:
        UsageError: One of them is not set, so that nothing would be looked for.
    """
    from pytest_mnemosyne.cassette import Redactor

    missing = [name for name in names or () if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"the variable {missing[0]} is empty or not set, so its value cannot be looked for; "
            "set it, or leave out --secret"
        )
    keys = {name: os.environ.get(name, "") for name in _KEY_VARIABLES}
    known = {name: key for name, key in keys.items() if len(key) >= _SHORTEST_KEY}
    return Redactor(known | {name: os.environ[name] for name in names or ()})


def width() -> int | None:
    """How wide the lines may be: as the terminal, or as they are where nobody sees them."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def say(lines: Iterable[str]) -> None:
    """Print lines at once; a terminal that lacks a character gets its escape."""
    text = "\n".join(lines)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo(text.encode(encoding, "backslashreplace").decode(encoding))
