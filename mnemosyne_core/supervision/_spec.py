"""Child specs: what a supervisor knows about a child before there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING

from mnemosyne_core.errors import ChildSpecError
from mnemosyne_core.supervision._backoff import Backoff
from mnemosyne_core.supervision._restart import AutoShutdown, Restart

if TYPE_CHECKING:
    from mnemosyne_core.supervision._actor import Actor
    from mnemosyne_core.supervision._lifetime import Lifetime

    Start = Callable[[], Actor | Lifetime | Coroutine[object, object, object]]

WORKER_SHUTDOWN_S = 5.0
"""How long a worker has to end when its spec does not say, in seconds."""


class ChildKind(StrEnum):
    """What a child is."""

    WORKER = auto()
    SUPERVISOR = auto()


class Shutdown(StrEnum):
    """Ways to stop a child other than a number of seconds."""

    BRUTAL_KILL = auto()
    """Cancelled without being asked."""

    INFINITY = auto()
    """Asked, and waited for as long as it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to start, restart and stop one child."""

    id: str
    """Unique among its siblings; the last part of the child's path, so without `/`."""

    start: Start
    """Makes a new actor, a new supervisor, or a coroutine (so an `async def` without
    arguments will do). Called for every start; what it returns must be new each time.
    It may raise `Ignore`."""

    start_timeout_s: float | None = None
    """Seconds until a start that is not done is interrupted and has failed; `None` for any
    time it takes. The siblings after it wait for it."""

    restart: Restart = Restart.PERMANENT

    backoff: Backoff | None = None
    """Delays before its restarts; `None` for none. Every one counts as a restart all the same."""

    shutdown: float | Shutdown | None = None
    """Seconds between asking and cancelling. `None` stands for 5 s, and for
    `Shutdown.INFINITY` when the child is a supervisor, which bounds its own children."""

    kind: ChildKind = ChildKind.WORKER

    significant: bool = False
    """Whether its end counts for the supervisor's `auto_shutdown`."""

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id:
            raise ChildSpecError(
                f"a child's id is a word without '/', got {self.id!r}; paths are made from ids"
            )
        if not callable(self.start):
            raise ChildSpecError(
                f"start of child {self.id!r} must be callable and make the child, "
                f"got {self.start!r}"
            )
        check_member(f"child {self.id!r}", "restart", self.restart, Restart)
        check_member(f"child {self.id!r}", "kind", self.kind, ChildKind)
        if isinstance(self.shutdown, str):
            check_member(f"child {self.id!r}", "shutdown", self.shutdown, Shutdown)
        if self.start_timeout_s is not None and not (
            math.isfinite(self.start_timeout_s) and self.start_timeout_s > 0
        ):
            raise ChildSpecError(
                f"start_timeout_s of child {self.id!r} must be more than 0 s, "
                f"got {self.start_timeout_s!r}; None is for any time it takes"
            )
        if self.backoff is not None and self.restart is Restart.TEMPORARY:
            raise ChildSpecError(
                f"child {self.id!r} is temporary and has a back-off, but it is never restarted; "
                "make it permanent or transient, or leave backoff out"
            )
        if isinstance(self.shutdown, (int, float)) and not (
            math.isfinite(self.shutdown) and self.shutdown >= 0
        ):
            raise ChildSpecError(
                f"shutdown of child {self.id!r} must be 0 s or more, got {self.shutdown!r}; "
                "Shutdown.INFINITY waits without end"
            )
        if self.significant and self.restart is Restart.PERMANENT:
            raise ChildSpecError(
                f"child {self.id!r} is significant and permanent, but a permanent child never "
                "ends for good; make it transient or temporary"
            )

    @property
    def shutdown_s(self) -> float:
        """Seconds between asking and cancelling; `math.inf` for waiting without end."""
        match self.shutdown:
            case None:
                return math.inf if self.kind is ChildKind.SUPERVISOR else WORKER_SHUTDOWN_S
            case Shutdown.BRUTAL_KILL:
                return 0.0
            case Shutdown.INFINITY:
                return math.inf
            case _:
                return self.shutdown


def check_member(owner: str, field: str, given: object, kind: type[StrEnum]) -> None:
    """Make sure that a setting of `owner` is a member of its enum.

    Raises:
        ChildSpecError: It is something else, perhaps a text that only looks like one.
    """
    # A bare string equals a member and is none: half of the decisions would take it for one.
    if not isinstance(given, kind):
        members = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise ChildSpecError(f"{field} of {owner} must be one of {members}, got {given!r}")


def check_child_specs(
    specs: Iterable[ChildSpec], *, auto_shutdown: AutoShutdown = AutoShutdown.NEVER
) -> tuple[ChildSpec, ...]:
    """The specs, in order, once it is sure that one supervisor can have them all.

    Raises:
        ChildSpecError: Two of them share an id, or one is significant although the
            supervisor's `auto_shutdown` is `never`.
    """
    checked: dict[str, ChildSpec] = {}
    for spec in specs:
        if spec.id in checked:
            raise ChildSpecError(f"two children are called {spec.id!r}; ids are unique")
        if spec.significant and auto_shutdown is AutoShutdown.NEVER:
            raise ChildSpecError(
                f"child {spec.id!r} is significant, but its supervisor's auto_shutdown is never; "
                "say any_significant or all_significant there, or leave significant out"
            )
        checked[spec.id] = spec
    return tuple(checked.values())
