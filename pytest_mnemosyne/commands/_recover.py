"""`mnemosyne cassettes recover`: cassettes of what failed and killed recordings left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.commands import _terminal
from pytest_mnemosyne.commands._words import counted

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import KeptJournal, Recovered


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(recover)


def recover(
    cassette_dir: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="The folder of the cassettes, as in mnemosyne_cassette_dir.",
            exists=True,
            file_okay=False,
        ),
    ] = Path("cassettes"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what there is.")] = False,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Add to a cassette that exists what it lacks, and renew what was recorded anew.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Put it in the place of a cassette that exists.")
    ] = False,
    secret: _terminal.Secrets = None,
) -> None:
    """Make cassettes of what failed recordings have left.

    What a test has recorded that failed or was killed is paid for. The next recording of it
    goes on from there and asks only for what is missing. A cassette that exists is left as
    it is, unless told otherwise; 1 if one was, or could not be made.
    """
    from pytest_mnemosyne.cassette import Existing, journals
    from pytest_mnemosyne.cassette import recover as recover_journals

    if merge and force:
        both = UsageError("--merge and --force exclude each other; give one of them")
        raise _terminal.trouble(both)
    failed: list[MnemosyneError] = []
    kept = journals(cassette_dir, on_unreadable=failed.append)
    done: tuple[Recovered, ...] = ()
    if not kept and not failed:
        typer.echo(f"nothing was left behind in {cassette_dir}")
    elif dry_run:
        _terminal.say(_listed(kept))
    else:
        existing = Existing.MERGE if merge else Existing.REPLACE if force else Existing.LEAVE
        done = recover_journals(kept, existing=existing, redactor=_terminal.redactor(secret))
        _terminal.say(_told(done))
    failed += [each.problem for each in done if each.problem is not None]
    for error in failed:
        _terminal.complain(error)
    if failed or any(each.is_left for each in done):
        raise typer.Exit(1)


def _listed(kept: Iterable[KeptJournal]) -> Iterator[str]:
    for each in kept:
        recorded = each.recorded
        at = "" if recorded.at is None else f" of {recorded.at:%Y-%m-%d %H:%M:%S}"
        by = "" if recorded.test is None else f" by {recorded.test}"
        torn = ", and half of one more" if each.is_torn else ""
        what = f"{counted(each.exchanges, 'exchange')}{at} from {recorded.source}{by}{torn}"
        yield f"{each.cassette}: {what}"


def _told(done: Iterable[Recovered]) -> Iterator[str]:
    for each in done:
        if each.problem is not None:
            continue  # its error says it
        if each.is_left:
            yield f"{each.cassette}: exists and was left; --merge adds to it, --force replaces it"
        elif not each.added:
            yield f"{each.cassette}: has it all already, nothing was added"
        else:
            yield f"{each.cassette}: {counted(each.added, 'exchange')} recovered"
