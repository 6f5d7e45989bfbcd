"""What comes of `--mnemosyne-lane`, which names the one role that is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Cassette


def roles_in(cassette: Cassette) -> list[str]:
    """The roles whose calls a cassette holds, or has just recorded."""
    lanes = (each.lane for each in cassette.interactions_to_write())
    return sorted({lane.role for lane in lanes if lane is not None})


def is_held(lane: str, roles: Iterable[str]) -> bool:
    """Whether the role that `lane` belongs to is among these."""
    return _role(lane) in roles


def note_on_nobody(lane: str, roles: Iterable[str]) -> str:
    """What is said where no cassette of a run holds the role: it is hardly what was wanted."""
    from pytest_mnemosyne.cassette import meant

    known = sorted(set(roles))
    there = f"they hold {', '.join(known)}" if known else "they hold no agent's calls"
    return (
        f"--mnemosyne-lane={lane}{meant(_role(lane), known)}: nothing was recorded for this role "
        f"and no cassette of this run holds it, so the run has failed; {there}"
    )


def note_on_nothing(lane: str) -> str:
    """What is said where cassettes hold the role, and it has asked for nothing new."""
    return f"--mnemosyne-lane={lane}: no agent of this role was recorded"


def _role(lane: str) -> str:
    from mnemosyne_core.lane import Lane

    return Lane(lane).role
