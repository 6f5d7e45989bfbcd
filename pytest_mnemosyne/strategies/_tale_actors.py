"""The part of a history that is about actors: how their supervisor starts and ends them.

The real `RestartWindow` and `Backoff` say when a restart is one too many, and when it is due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from enum import Enum, auto
from random import Random

from mnemosyne_core.errors import RestartIntensityError
from mnemosyne_core.events import (
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    LeakEnded,
    MessageDropped,
    Occasion,
    RestartDelayed,
    RestartIntensityReached,
)
from mnemosyne_core.supervision import Backoff, RestartIntensity, RestartWindow
from mnemosyne_core.work import AgentRole
from pytest_mnemosyne.strategies._tale_agents import Agents
from pytest_mnemosyne.strategies._telling import Telling

ROOT = "tree"
_START_ORDER = tuple(
    role.value
    for role in (
        *(AgentRole.REVIEWER, AgentRole.OPTIMIZER),
        *(AgentRole.EXECUTOR, AgentRole.ORCHESTRATOR),
    )
)
_INTENSITY = RestartIntensity()
TOLERATED = _INTENSITY.max_restarts
"""How many restarts are tolerated within a period."""

_BACKOFFS = {AgentRole.OPTIMIZER.value: Backoff(min_s=1.0, max_s=60.0, jitter=0.0)}
"""Who is left alone for a while before a restart."""

_NO_CHANCE = Random(0)  # noqa: S311 - without jitter nothing is drawn of it that matters

_SHUTDOWN_S = 5.0
_CRASH = "ValueError: it broke"
_TOO_EARLY = "OSError: not yet"


class Mishap(Enum):
    """What may go wrong besides while an actor crashes and comes back."""

    MESSAGE_DROPPED = auto()
    """A message waited for it."""

    START_FAILED = auto()
    """The first try to start it again fails."""

    LEAKED = auto()
    """A task of it goes on."""

    NOTHING_TO_RUN = auto()
    """It says so when it is started again; somebody starts it by hand later."""


class Parting(Enum):
    """How an actor ends that is asked to."""

    IN_ORDER = auto()
    CRASHED = auto()
    LEAKED = auto()
    """It goes on, whatever it is told."""


class Actors:
    """The children of the root, from their first start to their end."""

    def __init__(self, telling: Telling, agents: Agents) -> None:
        self._telling = telling
        self._agents = agents
        self._window = RestartWindow(_INTENSITY)
        self._tries: Counter[str] = Counter()
        """How many starts of each there were; the number of the incarnation that lives."""
        self._alive: dict[str, float] = {}
        """Who lives, and since when."""
        self._delays: Counter[str] = Counter()
        """How many delayed restarts of each there were without a stable period in between."""
        self._leaks: list[tuple[str, int, int]] = []
        """Path and incarnation of those left behind, and the event that says so."""
        self.end: str | None = None
        """Why it has given up, once it has."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them, in the order of their first start."""
        return _START_ORDER

    @property
    def leaks(self) -> range:
        """The places of those who were left behind and still run."""
        return range(len(self._leaks))

    def start_all(self, *, by: int) -> None:
        """The tree starts them, one after the other."""
        for path in self.paths:
            self._start(path, by=by, occasion=Occasion.START)

    def stop_all(self, *, by: int | None = None) -> None:
        """Their supervisor ends all that live, in reverse order."""
        for path in reversed(self.paths):
            if path in self._alive:
                self._stop(path, Parting.IN_ORDER, by=by)

    def crash(self, path: str, mishaps: Collection[Mishap]) -> None:
        """One of them ends by itself and comes back; or that was one too many."""
        self._agents.stop(path)
        ended = self._end(path, _CRASH, abnormal=True, occasion=Occasion.RUNNING, by=None)
        if Mishap.MESSAGE_DROPPED in mishaps:
            dropped = MessageDropped(message="Delegate", reason=_CRASH)
            self._telling.tell(dropped, agent=path, by=ended)
        if Mishap.LEAKED in mishaps:
            self._leak(path, by=ended)
        cause = self._allow_restart(path, _CRASH, by=ended)
        if cause is not None and Mishap.START_FAILED in mishaps:
            failed = self._fail_to_start(path, by=cause)
            cause = self._allow_restart(path, _TOO_EARLY, by=failed)
        if cause is None:
            return
        if Mishap.NOTHING_TO_RUN in mishaps:
            self._ignore(path, by=cause)
            self._telling.let_pass(1.0)
            self._start(path, by=None, occasion=Occasion.START)
            return
        self._start(path, by=cause, occasion=Occasion.RESTART)

    def replace(self, path: str, parting: Parting) -> None:
        """Somebody ends one of them by hand and starts it again, which is no restart."""
        self._stop(path, parting, by=None)
        self._start(path, by=None, occasion=Occasion.START)

    def end_leak(self, place: int) -> None:
        """One of those who were left behind has ended at last."""
        path, incarnation, by = self._leaks.pop(place)
        ended = LeakEnded(child=path, incarnation=incarnation, leaked=self._leaked(path))
        self._telling.tell(ended, agent=path, by=by)

    # --- start ---

    def _start(self, path: str, *, by: int | None, occasion: Occasion) -> None:
        self._tries[path] += 1
        self._alive[path] = self._telling.now_s
        # The agent is up before its actor says that it has started.
        self._agents.bring_up(path, by=by)
        started = ChildStarted(
            child=path,
            incarnation=self._tries[path],
            leaked=self._leaked(path),
            supervisor=ROOT,
            occasion=occasion,
        )
        self._telling.tell(started, agent=path, by=by)

    def _fail_to_start(self, path: str, *, by: int) -> int:
        self._tries[path] += 1
        failed = ChildStartFailed(
            child=path,
            reason=_TOO_EARLY,
            incarnation=self._tries[path],
            supervisor=ROOT,
            occasion=Occasion.RESTART,
        )
        return self._telling.tell(failed, agent=path, by=by)

    def _ignore(self, path: str, *, by: int) -> None:
        self._tries[path] += 1
        ignored = ChildIgnored(
            child=path,
            incarnation=self._tries[path],
            reason="nothing to run yet",
            supervisor=ROOT,
            occasion=Occasion.RESTART,
        )
        self._telling.tell(ignored, agent=path, by=by)

    # --- end ---

    def _stop(self, path: str, parting: Parting, *, by: int | None) -> None:
        if parting is Parting.LEAKED:
            self._telling.let_pass(_SHUTDOWN_S)
        else:
            self._agents.stop(path)
        reason = {Parting.IN_ORDER: "shutdown", Parting.CRASHED: _CRASH, Parting.LEAKED: "killed"}[
            parting
        ]
        is_abnormal = parting is not Parting.IN_ORDER
        ended = self._end(path, reason, abnormal=is_abnormal, occasion=Occasion.SHUTDOWN, by=by)
        if parting is Parting.LEAKED:
            self._leak(path, by=ended)
        elif is_abnormal:
            failed = ChildShutdownFailed(
                child=path,
                incarnation=self._tries[path],
                reason=reason,
                supervisor=ROOT,
                occasion=Occasion.SHUTDOWN,
            )
            self._telling.tell(failed, agent=path, by=ended)

    def _end(
        self, path: str, reason: str, *, abnormal: bool, occasion: Occasion, by: int | None
    ) -> int:
        since_s = self._alive.pop(path)
        backoff = _BACKOFFS.get(path)
        if backoff is not None and self._telling.now_s - since_s >= backoff.stable_s:
            del self._delays[path]
        ended = ChildTerminated(
            child=path,
            incarnation=self._tries[path],
            reason=reason,
            abnormal=abnormal,
            supervisor=ROOT,
            occasion=occasion,
        )
        return self._telling.tell(ended, agent=path, by=by)

    def _leak(self, path: str, *, by: int) -> None:
        incarnation = self._tries[path]
        leaked = ChildLeaked(
            child=path, shutdown_s=_SHUTDOWN_S, incarnation=incarnation, supervisor=ROOT
        )
        self._leaks.append((path, incarnation, self._telling.tell(leaked, agent=path, by=by)))

    def _leaked(self, path: str) -> int:
        return sum(1 for leaked, _, _ in self._leaks if leaked == path)

    # --- restart ---

    def _allow_restart(self, path: str, reason: str, *, by: int) -> int | None:
        """What leads to a restart that is due now; `None`: it was one too many."""
        if not self._window.record(self._telling.now_s):
            self._give_up(path, reason, by=by)
            return None
        backoff = _BACKOFFS.get(path)
        if backoff is None:
            return by
        self._delays[path] += 1
        delayed = RestartDelayed(
            child=path,
            incarnation=self._tries[path],
            delay_s=backoff.delay_s(self._delays[path], _NO_CHANCE),
            in_a_row=self._delays[path],
            supervisor=ROOT,
        )
        cause = self._telling.tell(delayed, agent=path, by=by)
        self._telling.let_pass(delayed.delay_s)
        return cause

    def _give_up(self, path: str, reason: str, *, by: int) -> None:
        reached = RestartIntensityReached(
            supervisor=ROOT,
            max_restarts=_INTENSITY.max_restarts,
            period_s=_INTENSITY.period_s,
            child=path,
            incarnation=self._tries[path],
            reason=reason,
        )
        self.stop_all(by=self._telling.tell(reached, agent=ROOT, by=by))
        self.end = str(
            RestartIntensityError(
                path=ROOT,
                max_restarts=_INTENSITY.max_restarts,
                period_s=_INTENSITY.period_s,
                reason=f"{path}: {reason}",
            )
        )
