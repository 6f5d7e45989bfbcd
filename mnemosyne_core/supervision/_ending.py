"""How a supervisor comes to its end."""

from __future__ import annotations

from dataclasses import dataclass

from mnemosyne_core.errors import RestartIntensityError
from mnemosyne_core.supervision._exit import Exit, ExitKind


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a supervisor's loop is over."""

    failure: BaseException | None = None
    """What was not asked for; `None` for a stop."""

    by: int | None = None
    """Sequence number of the event that led to it."""

    def exit(self, children_failure: BaseException | None) -> Exit:
        """The supervisor's exit.

        Args:
            children_failure: What made going on impossible, also while everybody stopped.
        """
        failure = children_failure or self.failure
        if failure is None or isinstance(failure, RestartIntensityError):
            return Exit(ExitKind.SHUTDOWN, failure)
        return Exit.of(failure)
