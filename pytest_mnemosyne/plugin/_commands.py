"""The command lines that a failure tells its reader to run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.plugin._markers import uses_any
from pytest_mnemosyne.plugin._modes import OPTION, SCRIPTED

if TYPE_CHECKING:
    import pytest

    from pytest_mnemosyne.plugin._options import Settings

_SCRIPT: Final = frozenset({"scripted_claude"})


def command_for(item: pytest.Item, *options: str) -> str:
    """Run one test, from where pytest was started, as a shell understands it."""
    path, *names = item.nodeid.split("::")
    here = item.config.invocation_params.dir
    if here != item.config.rootpath:
        path = Path(os.path.relpath(item.config.rootpath / path, here)).as_posix()
    return " ".join(("pytest", shlex.quote("::".join((path, *names))), *options))


def recording_command(item: pytest.Item, settings: Settings, mode: str) -> str:
    """Run one test in a mode that records: from its script, where it has one."""
    options = [f"{OPTION}={mode}"]
    if settings.upstream == SCRIPTED or uses_any(item, _SCRIPT):
        options.append(f"--mnemosyne-upstream={SCRIPTED}")
    return command_for(item, *options)


def command_after_miss(
    item: pytest.Item, settings: Settings, cassette: Path, is_foreign: bool
) -> str:
    """Record what a test has missed; first, where another recorder wrote its file, take that over.

    Nothing is added to the file of another recorder, whose tools may still want to read it.
    """
    record = recording_command(item, settings, "record")
    if not is_foreign:
        return record
    ours = cassette.with_name(f"{cassette.stem}-mnemosyne.yaml")
    paths = (
        shlex.quote(os.path.relpath(each, item.config.invocation_params.dir))
        for each in (cassette, ours)
    )
    return (
        f"mnemosyne cassettes import {' -o '.join(paths)}, name that file in the marker, and "
        f"then {record} (nothing is added to what another recorder wrote)"
    )
