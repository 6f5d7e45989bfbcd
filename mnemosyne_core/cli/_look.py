"""`mnemosyne work` and `mnemosyne events`: what a database holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.cli import _places
from mnemosyne_core.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mnemosyne_core.events import Event
    from mnemosyne_core.storage import Journal, StoredItem
    from mnemosyne_core.work import WorkState

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

_WIDEST = 72


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    work = typer.Typer(
        help="Look at work items.",
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
    )
    work.command("list")(list_items)
    work.command("show")(show_item)
    app.add_typer(work, name="work")
    app.command()(events)


def list_items(
    database: _places.Database,
    state: Annotated[
        str | None, typer.Option(help="Only items in this state, such as waiting or failed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List work items in order of submission."""
    wanted = None if state is None else _state(state)
    with _opened(database) as journal:
        items = journal.items(state=wanted)
    if as_json:
        typer.echo(json.dumps([_item_fields(item) for item in items], indent=2))
        return
    for item in items:
        described = _brief(item.item.description)
        typer.echo(f"{item.item.id}  {item.state}  {item.item.role}  {described}")
    typer.echo(f"{len(items)} work items")


def show_item(
    item_id: Annotated[str, typer.Argument(help="The item's id.")],
    database: _places.Database,
    as_json: AsJson = False,
) -> None:
    """Show one work item, its attempts and what came of them."""
    with _opened(database) as journal:
        item = journal.item(item_id)
        results = journal.results(item_id)
    if as_json:
        shown = _item_fields(item) | {"results": _dumped(results)}
        typer.echo(json.dumps(shown, indent=2))
        return
    typer.echo(f"{item.item.id}: {item.item.description}")
    typer.echo(f"{item.state}, attempt {item.attempt} of {item.item.max_attempts}")
    if item.blocked:
        typer.echo(f"cannot start: {item.blocked}")
    if item.not_before:
        typer.echo(f"not before {item.not_before.isoformat(timespec='seconds')}")
    for result in results:
        came_to = "success" if result.error is None else f"{result.error.code}"
        typer.echo(f"attempt {result.attempt}: {came_to} after {result.duration_s:.1f} s")
        said = json.dumps(result.data) if result.error is None else result.error.message
        typer.echo(f"  {said}")
    for guidance in item.guidance:
        typer.echo(f"guidance: {guidance}")


def events(
    database: _places.Database,
    after: Annotated[int, typer.Option(help="Only events after this number.", min=0)] = 0,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind, such as work_completed.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of the agent at this path.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many.", min=1)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """List what happened, in order."""
    with _opened(database) as journal:
        found = journal.events(after=after, kind=kind, agent=agent, limit=limit)
    for event in found:
        typer.echo(event.model_dump_json() if as_json else _event_line(event))


def _opened(database: Path) -> Journal:
    """The journal in a database that must exist; a context manager."""
    from mnemosyne_core.storage import Journal

    return Journal.open(_places.existing(database), create=False)


def _state(given: str) -> WorkState:
    from mnemosyne_core.work import WorkState

    try:
        return WorkState(given.lower())
    except ValueError:
        raise UsageError(
            f"no state is called {given!r}; the states are {', '.join(WorkState)}"
        ) from None


def _item_fields(item: StoredItem) -> dict[str, object]:
    return {
        "item": item.item.model_dump(mode="json"),
        "state": item.state.value,
        "attempt": item.attempt,
        "guidance": list(item.guidance),
        "reviews": item.reviews,
        "blocked": item.blocked,
        "not_before": None if item.not_before is None else item.not_before.isoformat(),
        "result": None if item.result is None else item.result.model_dump(mode="json"),
    }


def _dumped(values: Iterable[BaseModel]) -> list[dict[str, object]]:
    return [value.model_dump(mode="json") for value in values]


def _event_line(event: Event) -> str:
    cause = "" if event.by is None else f"  by {event.by}"
    about = _brief(event.fact.model_dump_json(exclude={"kind"}))
    when = event.at.isoformat(timespec="milliseconds")
    return f"{event.seq:>6}  {when}  {event.agent}#{event.attempt}  {event.kind}{cause}  {about}"


def _brief(text: str) -> str:
    """The first line of `text`, cut where it is long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
