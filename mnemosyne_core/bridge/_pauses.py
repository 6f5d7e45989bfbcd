"""How long a bridge waits before it brings up the next agent.

Without chance: one bridge crowds nobody, and a run can be repeated.
"""

from __future__ import annotations

from random import Random

from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.supervision import Backoff

_LONGEST = 16
"""How many times the first pause between two replacements the longest one is."""

_NO_CHANCE = Random(0)  # noqa: S311 - never asked: there is no jitter


class Pauses:
    """The pauses of one bridge: between agents that live, and between tries to start one."""

    def __init__(self, settings: BridgeSettings) -> None:
        """The pauses that `settings` ask for."""
        first_s, try_s = settings.restart_pause_s, settings.respawn_after_s
        self._stable_s = settings.window_s
        self._between_agents = Backoff(min_s=first_s, max_s=_LONGEST * first_s, jitter=0)
        self._between_tries = (
            Backoff(min_s=try_s, max_s=settings.respawn_max_s, jitter=0) if try_s else None
        )
        self._in_a_row = 0

    @property
    def tries_again(self) -> bool:
        """Whether a start that failed is tried again at all."""
        return self._between_tries is not None

    def note_end(self, lived_s: float) -> None:
        """An agent that lived for so long is about to be replaced."""
        self._in_a_row = 1 if lived_s >= self._stable_s else self._in_a_row + 1

    @property
    def replaced_in_a_row(self) -> int:
        """How many agents were replaced before they had lived for a window."""
        return self._in_a_row

    def before_replacement_s(self) -> float:
        """None before the first replacement in a row, then longer from each to the next."""
        if self._in_a_row <= 1:
            return 0.0
        return self._between_agents.delay_s(self._in_a_row - 1, _NO_CHANCE)

    def before_try_s(self, number: int) -> float:
        """The pause before a try, which is the `number`-th after the start that failed."""
        assert self._between_tries is not None, "the settings say that nothing is tried again"
        return self._between_tries.delay_s(number, _NO_CHANCE)
