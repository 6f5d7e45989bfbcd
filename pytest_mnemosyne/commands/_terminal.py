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

File = Annotated[
    Path,
    # Not `readable`: Typer would say in five lines what reading it says in one.
    typer.Argument(metavar="FILE", help="A cassette, whoever recorded it.", readable=False),
]

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

    # Not `Path.is_dir`, which raises for what is in a folder that may not be entered.
    if os.path.isdir(path):  # noqa: PTH112
        raise UsageError(f"{path} is a folder; name a cassette in it")
    try:
        return load(path)
    except FileNotFoundError:
        raise no_such(path) from None


def read_file(path: Path) -> bytes:
    """The bytes of a file that need be no cassette.

    Raises:
        UsageError: It is not there, is a pipe or a device, or not for us to read.
    """
    from pytest_mnemosyne.cassette import read_bytes

    try:
        return read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise no_such(path) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def no_such(path: Path) -> UsageError:
    """The error that there is no `path`."""
    return UsageError(f"there is no {path}; name a file that exists")


def complain(error: MnemosyneError) -> None:
    """Say what went wrong; the command goes on."""
    typer.echo(f"mnemosyne: {error}", err=True)


def trouble(*errors: MnemosyneError) -> typer.Exit:
    """The end of a command with 2: wrong usage, or, where 1 is an answer, what went wrong."""
    for error in errors:
        complain(error)
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
    if not text:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo(text.encode(encoding, "backslashreplace").decode(encoding))
