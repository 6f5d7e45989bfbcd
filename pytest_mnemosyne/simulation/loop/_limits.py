"""How far a virtual loop goes before it says that something is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnemosyne_core.errors import UsageError

WEEK_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on a run that would otherwise go on without end."""

    hold_s: float = 10.0
    """How long, in real seconds, the loop waits for what holds the time when nothing happens."""

    until_s: float = WEEK_S
    """How far the time may move by itself, in virtual seconds."""

    steps: int = 1_000_000
    """How many callbacks may run in a row without the time moving or anything coming in."""

    def __post_init__(self) -> None:
        for name in ("hold_s", "until_s", "steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"the limit {name} of virtual time is positive, got {value!r}")
        if not math.isfinite(self.hold_s):
            raise UsageError("the limit hold_s of virtual time is a finite number of real seconds")
