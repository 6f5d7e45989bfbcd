"""Whether a child that ended comes back, and whether its end ends its supervisor."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from mnemosyne_core.supervision._exit import Exit


class Restart(StrEnum):
    """When a child is restarted."""

    PERMANENT = auto()
    """Always."""

    TRANSIENT = auto()
    """After an abnormal end only."""

    TEMPORARY = auto()
    """Never, also not together with its siblings; its spec goes with it."""


class AutoShutdown(StrEnum):
    """Whether the end of significant children shuts their supervisor down."""

    NEVER = auto()
    ANY_SIGNIFICANT = auto()
    """The first of them to end by itself takes the supervisor with it."""

    ALL_SIGNIFICANT = auto()
    """The last of them does."""


def should_restart(restart: Restart, end: Exit) -> bool:
    """Whether a child that ended by itself is restarted."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return end.abnormal
        case Restart.TEMPORARY:
            return False
        case _:
            assert_never(restart)


def should_shut_down(auto_shutdown: AutoShutdown, *, significant: bool, others_active: int) -> bool:
    """Whether a supervisor ends after a child that is not restarted.

    Args:
        auto_shutdown: The supervisor's choice.
        significant: Whether the child that ended is significant.
        others_active: How many other significant children run or are being restarted.
    """
    match auto_shutdown:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return significant
        case AutoShutdown.ALL_SIGNIFICANT:
            return significant and others_active == 0
        case _:
            assert_never(auto_shutdown)
