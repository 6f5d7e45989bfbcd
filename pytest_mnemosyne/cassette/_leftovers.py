"""What a full run has left over: interactions that nobody asked for, cassettes of no test.

The run keeps it beside pytest's cache, so that what it found can be removed later
without running everything again. An interaction is named by what it holds and not by
its place, because files are rewritten; of equal ones it is the last that are left over,
since they are played in their order.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Final, NewType

from pytest_mnemosyne.cassette._file import load, write
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._locks import locked

InteractionId = NewType("InteractionId", str)

LEFTOVERS_FILE: Final = "leftovers.json"
"""Where a full run keeps them, in the folder `mnemosyne` of pytest's cache."""

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What is to be removed."""

    unplayed: Mapping[Path, tuple[InteractionId, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """The interactions that nobody asked for, by cassette; of two equal ones both are named."""

    orphans: tuple[Path, ...] = ()
    """The cassettes that no test has opened."""

    def __bool__(self) -> bool:
        return bool(self.unplayed or self.orphans)


def interaction_id(interaction: Interaction) -> InteractionId:
    """The name of an interaction: equal for two that ask and answer the same for the same lane."""
    request, response, lane = interaction.request, interaction.response, interaction.lane
    parts = (
        request.method,
        request.url,
        request.body,
        None if response is None else (response.status, response.body),
        interaction.outcome.value,
        None if lane is None else (lane.agent, lane.attempt),
    )
    return InteractionId(blake2b(repr(parts).encode(), digest_size=12).hexdigest())


def trim(path: Path, unplayed: Iterable[InteractionId]) -> int:
    """Remove interactions from a cassette of this project's own; the file, if none is left.

    Args:
        path: The cassette.
        unplayed: What to remove; names that are not in it (any more) are passed over.

    Returns:
        How many were removed.

    Raises:
        FileNotFoundError: There is no such file.
        CassetteFileError: It cannot be read or written.
    """
    if load(path).container != "mnemosyne":
        return 0
    doomed = Counter(unplayed)
    # A run of its own may be adding to it.
    with locked(path):
        file = load(path)
        kept: list[Interaction] = []
        for interaction in reversed(file.interactions):
            name = interaction_id(interaction)
            if doomed[name]:
                doomed[name] -= 1
            else:
                kept.append(interaction)
        removed = len(file.interactions) - len(kept)
        if not kept:
            path.unlink()
        elif removed:
            write(path, replace(file, interactions=tuple(reversed(kept))))
    if not kept:
        # Not before: the lock is in there, too.
        _remove_if_empty(path.parent)
    return removed


def remove(path: Path) -> None:
    """Remove a cassette, and its folder where that is empty now."""
    path.unlink()
    _remove_if_empty(path.parent)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Other cassettes are there.
        return


# --- kept between runs -----------------------------------------------------------------


def write_leftovers(path: Path, leftovers: Leftovers, *, root: Path) -> None:
    """Keep what a run has found, in place of what an earlier one did.

    Args:
        path: The file to keep it in.
        leftovers: What was found.
        root: The folder that paths are written relative to, where they are below it.

    Raises:
        OSError: The file cannot be written.
    """
    kept = {
        "version": _VERSION,
        "unplayed": {
            _relative(cassette, root): list(names) for cassette, names in leftovers.unplayed.items()
        },
        "orphans": [_relative(cassette, root) for cassette in leftovers.orphans],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def read_leftovers(path: Path, *, root: Path) -> Leftovers | None:
    """What the last full run has found; `None` where nothing (that can be read) was kept."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["version"] != _VERSION:
            return None
        return Leftovers(
            unplayed={
                root / cassette: tuple(InteractionId(str(name)) for name in names)
                for cassette, names in kept["unplayed"].items()
            },
            orphans=tuple(root / str(cassette) for cassette in kept["orphans"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else os.fspath(path)
