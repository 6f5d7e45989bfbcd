"""`mnemosyne doctor` and `mnemosyne version`: is everything here that is needed?"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum, auto
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement

from mnemosyne_core.cli import _places
from mnemosyne_core.errors import MissingKeyError, MissingSdkError, MnemosyneError

DISTRIBUTION = "pytest-mnemosyne"
OLDEST_PYTHON = (3, 11)
KEY_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


class Status(StrEnum):
    """What a check found."""

    OK = auto()

    ABSENT = auto()
    """Not there, and only needed for some things."""

    MISSING = auto()
    """Not there, or not usable, and nothing works without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    found: str
    advice: str = ""
    """What to do about it; empty when all is well."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(doctor)
    app.command()(version)


def version() -> None:
    """Print the version of this project."""
    typer.echo(_installed_version(DISTRIBUTION) or "not installed as a distribution")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check this Python, the packages, the key and the data folder; 1 if something is missing."""
    checks = list(_checks())
    healthy = all(check.status is not Status.MISSING for check in checks)
    if as_json:
        report = {"ok": healthy, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(report, indent=2))
    else:
        for line in _lines(checks):
            typer.echo(line)
        typer.echo("all that is needed is here" if healthy else "something needed is missing")
    if not healthy:
        raise typer.Exit(1)


def _lines(checks: list[Check]) -> Iterator[str]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"{check.status:8}{check.name:{width}}  {check.found}"
        if check.advice:
            yield f"{'':8}{'':{width}}  -> {check.advice}"


def _checks() -> Iterator[Check]:
    yield _python()
    yield from _packages()
    yield _sdk_and_key()
    yield _data_folder()


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    if sys.version_info >= OLDEST_PYTHON:
        return Check(name="python", status=Status.OK, found=found)
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        name="python", status=Status.MISSING, found=found, advice=f"use Python {wanted} or newer"
    )


def _packages() -> Iterator[Check]:
    """This distribution, and what its own metadata says it needs."""
    own = _installed_version(DISTRIBUTION)
    if own is None:
        yield Check(
            name=DISTRIBUTION,
            status=Status.MISSING,
            found="imported, but not installed as a distribution",
            advice=f"pip install {DISTRIBUTION}",
        )
        return
    yield Check(name=DISTRIBUTION, status=Status.OK, found=own)
    needed = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    always = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    for requirement in sorted(always, key=lambda each: each.name.lower()):
        yield _package(requirement, extra=None)
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    wanted_by = {
        extra: [
            requirement
            for requirement in needed
            if requirement not in always
            and requirement.name != DISTRIBUTION
            and requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
        ]
        for extra in sorted(extras)
    }
    told: set[str] = set()
    # The smallest first: an extra that takes others along would only repeat them.
    for extra in sorted(wanted_by, key=lambda each: len(wanted_by[each])):
        for requirement in wanted_by[extra]:
            if requirement.name not in told:
                told.add(requirement.name)
                yield _package(requirement, extra=extra)


def _package(requirement: Requirement, *, extra: str | None) -> Check:
    found = _installed_version(requirement.name)
    name = requirement.name if extra is None else f"{requirement.name} [{extra}]"
    if found is not None and requirement.specifier.contains(found, prereleases=True):
        return Check(name=name, status=Status.OK, found=found)
    wanted = f"{requirement.name}{requirement.specifier}"
    return Check(
        name=name,
        status=Status.MISSING if extra is None else Status.ABSENT,
        found="not installed" if found is None else f"{found}, but {wanted} is needed",
        advice=f"pip install '{wanted}'"
        if extra is None
        else f"pip install '{DISTRIBUTION}[{extra}]' to use it",
    )


def _sdk_and_key() -> Check:
    """Whether a client for Claude can be made; says where a key was found, never the key."""
    from mnemosyne_core.claude import AnthropicClient

    async def look() -> None:
        client = AnthropicClient()
        await client.open()
        await client.aclose()

    try:
        asyncio.run(look())
    except MissingKeyError as error:
        return Check(
            name="key",
            status=Status.ABSENT,
            found=f"none; looked in {', '.join(error.looked_in)}",
            advice="set ANTHROPIC_API_KEY to record or to run live; replay needs none",
        )
    except MissingSdkError as error:
        return Check(name="key", status=Status.MISSING, found="not looked for", advice=str(error))
    except MnemosyneError as error:
        return Check(
            name="key", status=Status.ABSENT, found=str(error), advice="repair the credentials"
        )
    places = [name for name in KEY_VARIABLES if os.environ.get(name)]
    where = places[0] if places else "the SDK's credential profiles"
    return Check(name="key", status=Status.OK, found=f"found in {where}")


def _data_folder() -> Check:
    folder = _places.data_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    found = f"{folder}{'' if folder.exists() else ' (made when needed)'}"
    if _is_writable_folder(nearest):
        return Check(name="data folder", status=Status.OK, found=found)
    return Check(
        name="data folder",
        status=Status.ABSENT,
        found=f"{folder}, but {nearest} is no folder that you can write to",
        advice="name a database of your own with --database",
    )


def _is_writable_folder(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
