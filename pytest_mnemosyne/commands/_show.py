"""`mnemosyne cassettes show` and `textconv`: a cassette as the conversations in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.commands import _terminal

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import CassetteFile
    from pytest_mnemosyne.commands._conversation import Talk
    from pytest_mnemosyne.commands._printing import Style


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(show)
    app.command()(textconv)


def show(
    file: _terminal.File,
    lane: Annotated[
        str | None,
        typer.Option(help="Only this agent and those below it, such as executor.", metavar="AGENT"),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Long texts and the tools' schemas as a whole.")
    ] = False,
    as_json: _terminal.AsJson = False,
) -> None:
    """Show a cassette as a conversation.

    Per agent, what was said, each message once.
    """
    from pytest_mnemosyne.commands._conversation import talks
    from pytest_mnemosyne.commands._printing import Style

    contents = _terminal.load_file(file)
    chosen = _of_lane(talks(contents), lane)
    if as_json:
        typer.echo(json.dumps(_fields(file, contents, chosen), indent=2))
    else:
        style = Style(width=_terminal.width(), full=full)
        _terminal.say(_lines(str(file), contents, chosen, style))


def textconv(file: _terminal.File) -> None:
    """Print a cassette as text for `git diff`.

    What every recording changes is left out. A file that is no cassette, such as one in the
    middle of a merge, is printed as it is.
    """
    from pytest_mnemosyne.cassette import CassetteFileError
    from pytest_mnemosyne.commands._conversation import talks
    from pytest_mnemosyne.commands._printing import Style

    try:
        contents = _terminal.load_file(file)
    except CassetteFileError:
        typer.echo(_terminal.read_file(file), nl=False)
        return
    _terminal.say(_lines("", contents, talks(contents), Style(stable=True)))


def _of_lane(found: tuple[Talk, ...], lane: str | None) -> tuple[Talk, ...]:
    if lane is None:
        return found
    chosen = tuple(talk for talk in found if f"{talk.agent or ''}/".startswith(f"{lane}/"))
    if not chosen:
        agents = sorted({talk.agent for talk in found if talk.agent is not None})
        raise UsageError(
            f"no agent is called {lane!r} in this cassette; "
            + (f"there are {', '.join(agents)}" if agents else "its calls belong to no agent")
        )
    return chosen


def _lines(
    name: str, contents: CassetteFile, chosen: Sequence[Talk], style: Style
) -> Iterator[str]:
    from pytest_mnemosyne.commands._printing import header_lines, talk_lines, totals_line

    yield from header_lines(name, contents, style)
    if not style.stable:
        yield totals_line(chosen)
    for talk in chosen:
        yield from talk_lines(talk, style)


def _fields(path: Path, contents: CassetteFile, chosen: Sequence[Talk]) -> dict[str, object]:
    recorded = contents.recorded
    header = None
    if recorded is not None:
        at = None if recorded.at is None else recorded.at.isoformat()
        header = {
            "source": recorded.source,
            "at": at,
            "test": recorded.test,
            "with": dict(recorded.versions),
        }
    return {
        "file": str(path),
        "container": contents.container,
        "recorded": header,
        "loosened": list(contents.loosened),
        "volatile": asdict(contents.volatile),
        "talks": [asdict(talk) for talk in chosen],
    }
