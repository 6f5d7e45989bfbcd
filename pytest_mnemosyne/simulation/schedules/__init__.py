"""Schedules: the orders in which a program could run, searched for one that fails."""

from __future__ import annotations

from pytest_mnemosyne.simulation.schedules._escapes import noting_escapes
from pytest_mnemosyne.simulation.schedules._policies import Pct, Random, Replay
from pytest_mnemosyne.simulation.schedules._properties import Properties, PropertyError
from pytest_mnemosyne.simulation.schedules._randomness import seeded_random
from pytest_mnemosyne.simulation.schedules._schedule import Choice, Policy, Schedule
from pytest_mnemosyne.simulation.schedules._search import (
    Found,
    Plan,
    PolicyName,
    Ran,
    Report,
    Runner,
    search,
)
from pytest_mnemosyne.simulation.schedules._tape import Tape, TapeError

__all__ = [
    "Choice",
    "Found",
    "Pct",
    "Plan",
    "Policy",
    "PolicyName",
    "Properties",
    "PropertyError",
    "Ran",
    "Random",
    "Replay",
    "Report",
    "Runner",
    "Schedule",
    "Tape",
    "TapeError",
    "noting_escapes",
    "search",
    "seeded_random",
]
