"""`mnemosyne run`: one work item through a tree of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemosyne_core.cli import _places

if TYPE_CHECKING:
    from mnemosyne_core.tree import SupervisionConfig
    from mnemosyne_core.work import WorkResult


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(run)


def run(
    description: Annotated[str, typer.Argument(help="What is to be done, in words.")],
    database: _places.Database,
    role: Annotated[
        str, typer.Option(help="Whose work it is: executor, reviewer, optimizer, orchestrator.")
    ] = "executor",
    workspace: Annotated[
        Path, typer.Option(help="The folder that the agents work in.", exists=True, file_okay=False)
    ] = Path(),
    timeout: Annotated[
        float | None, typer.Option(help="Bound on one attempt, in seconds.", min=0.001)
    ] = None,
    review: Annotated[bool, typer.Option(help="Have a reviewer judge the result.")] = True,
    allow: Annotated[
        list[str] | None, typer.Option(help="A program that the agent may run; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Have agents do a piece of work, and print what came of it; 1 if it failed.

    On Ctrl-C or SIGTERM the work is taken back and the agents end in order; a second time
    they end at once.
    """
    from mnemosyne_core.agents import AgentSettings
    from mnemosyne_core.tree import SupervisionConfig
    from mnemosyne_core.work import AgentRole

    fields: dict[str, object] = {
        "description": description,
        "role": AgentRole.parse(role),
        "timeout_s": timeout,
        "review": review,
    }
    config = SupervisionConfig(
        database=_places.with_folder(database),
        workspace=workspace.resolve(),
        agent=AgentSettings(allowed_commands=tuple(allow or ())),
    )
    try:
        result = asyncio.run(_submitted(config, fields))
    except SystemExit as end:
        typer.echo("mnemosyne: terminated; what was stored so far is kept", err=True)
        # Typer gives the code to the process as it is; only a signal ends the run this way.
        raise typer.Exit(int(end.code or 0)) from None
    typer.echo(result.model_dump_json(indent=2) if as_json else _words(result))
    if not result.success:
        raise typer.Exit(1)


async def _submitted(config: SupervisionConfig, fields: dict[str, object]) -> WorkResult:
    from mnemosyne_core.tree import SupervisionTree, ends_on_signals

    async with ends_on_signals(), SupervisionTree(config) as tree:
        handle = await tree.submit(fields)
        try:
            return await handle.result()
        except asyncio.CancelledError:
            # A signal takes the item back; otherwise the next run would go on with it.
            await handle.cancel("interrupted")
            raise


def _words(result: WorkResult) -> str:
    counted = (
        f"attempt {result.attempt}, {result.duration_s:.1f} s, "
        f"{result.usage.total_input_tokens} tokens in, {result.usage.output_tokens} out"
    )
    if result.error is not None:
        error = result.error
        # Many messages end with it; those that leave it out stand beside it elsewhere.
        hint = f"\n-> {error.hint}" if error.hint and error.hint not in error.message else ""
        return f"{result.item_id} failed ({counted})\n{error.code}: {error.message}{hint}"
    summary = result.data.get("summary") if isinstance(result.data, dict) else None
    made = summary if isinstance(summary, str) else result.model_dump_json(include={"data"})
    return f"{result.item_id} done ({counted})\n{made}"
