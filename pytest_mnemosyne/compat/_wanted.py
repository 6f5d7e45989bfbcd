"""What a test that is marked `vcr` asks for, before vcrpy has any part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest


def settings_of(config: Mapping[str, Any], marks: Sequence[pytest.Mark]) -> dict[str, Any]:
    """What `VCR.use_cassette` is told: each setting from the place that is closest to the test.

    Args:
        config: What the fixture `vcr_config` says, which is the farthest.
        marks: The closest first.
    """
    settings = deepcopy(dict(config))
    for mark in reversed(marks):
        settings.update(mark.kwargs)
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The cassette of a test."""

    name: str
    folder: str
    record_mode: str
    """The run's; one among the settings wins over it."""

    settings: dict[str, Any]
    extras: Sequence[str] = ()
    """The files that are played besides; relative ones lie in the folder."""
