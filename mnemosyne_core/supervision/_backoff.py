"""Back-off: how long a child that keeps failing is left alone before it is started again.

Off unless a spec asks for it, as in OTP, where a child comes back at once. A
successful start proves nothing about a child that crashes a second later, so only
a stable period ends a row of restarts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from mnemosyne_core.errors import ChildSpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays before the restarts of one child: longer from each to the next, up to a bound."""

    min_s: float
    """Delay before the first restart in a row, in seconds."""

    max_s: float
    """No delay is longer, in seconds."""

    factor: float = 2.0
    """By how much each delay is longer than the one before it."""

    jitter: float = 0.2
    """Up to which part a delay is shortened by chance, so that children that failed
    together do not come back together; 0 for none, 1 for anything down to no delay."""

    reset_after_s: float | None = None
    """How long the child must have run for its next restart to be the first in a row
    again, in seconds. `None` stands for `max_s`."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_s) and 0 < self.min_s <= self.max_s):
            raise ChildSpecError(
                "a back-off goes from min_s, which is more than 0 s, up to max_s, "
                f"got min_s={self.min_s!r} and max_s={self.max_s!r}"
            )
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ChildSpecError(f"factor of a back-off must be 1 or more, got {self.factor!r}")
        if not 0 <= self.jitter <= 1:
            raise ChildSpecError(f"jitter of a back-off must be from 0 to 1, got {self.jitter!r}")
        if self.reset_after_s is not None and not (
            math.isfinite(self.reset_after_s) and self.reset_after_s > 0
        ):
            raise ChildSpecError(
                f"reset_after_s of a back-off must be more than 0 s, got {self.reset_after_s!r}; "
                "a child would never be left alone longer than the first time"
            )

    @property
    def stable_s(self) -> float:
        """How long the child must have run to count as stable, in seconds."""
        return self.max_s if self.reset_after_s is None else self.reset_after_s

    def delay_s(self, in_a_row: int, random: Random) -> float:
        """The delay before a restart, in seconds.

        Args:
            in_a_row: Which restart in a row it is, from 1.
            random: Where chance comes from.
        """
        try:
            full_s = min(self.max_s, self.min_s * self.factor ** (in_a_row - 1))
        except OverflowError:
            full_s = self.max_s
        return full_s * (1 - self.jitter * random.random())
