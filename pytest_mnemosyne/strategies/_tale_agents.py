"""The part of a history that is about agents: their bridges say how they do."""

from __future__ import annotations

from collections import Counter

from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.events import (
    AgentDegraded,
    AgentDied,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStale,
    AgentStopped,
)
from mnemosyne_core.work import AgentRole, Failure
from pytest_mnemosyne.strategies._telling import Telling

_SETTINGS = BridgeSettings()
REPLACED_AT = _SETTINGS.restart_after
"""How many errors have an agent replaced."""

_STALE_S = _SETTINGS.stale_after_beats * _SETTINGS.heartbeat_s
_DEAD_S = _SETTINGS.dead_after_beats * _SETTINGS.heartbeat_s
_TRIED_AGAIN_S = 5.0


class Agents:
    """The agents behind the actors of a tree; each is known by its actor's path."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._incarnations: Counter[str] = Counter()
        """How many agents each bridge has had."""
        self._registered: dict[str, int] = {}
        """The number of the event in which each agent was registered."""
        self._errors: Counter[str] = Counter()

    @property
    def with_errors(self) -> list[str]:
        """Those of whom an error is remembered."""
        return list(+self._errors)

    def bring_up(self, path: str, *, by: int | None) -> None:
        """A new actor has a new bridge, whose first agent comes up."""
        del self._incarnations[path]
        self._register(path, by=by)

    def stop(self, path: str) -> None:
        """An agent ends because its actor does."""
        self._telling.tell(AgentStopped(), agent=path)

    def beat(self, path: str) -> int:
        """An agent gives a sign of life."""
        return self._telling.tell(AgentHeartbeat(), agent=path, by=self._registered[path])

    def err(self, path: str, error: Failure, times: int) -> None:
        """An agent errs so many times in a row; in the end its bridge replaces it."""
        for _ in range(times):
            self._errors[path] += 1
            count = self._errors[path]
            erred = self._telling.tell(AgentErred(error=error, errors=count), agent=path)
            if count == REPLACED_AT:
                self._replace(path, "it fails too often", by=erred)
                return
            if count == _SETTINGS.degraded_after:
                self._degrade(path, by=erred)

    def recover(self, path: str) -> None:
        """The errors of an agent have passed out of the window."""
        if self._errors.pop(path, 0) >= _SETTINGS.degraded_after:
            self._telling.tell(AgentRecovered(), agent=path)

    def fall_silent(self, path: str, *, dies: bool) -> None:
        """An agent is not heard of for a while, or never again and is replaced."""
        last_sign = self.beat(path)
        self._telling.let_pass(_STALE_S)
        stale = self._telling.tell(AgentStale(silent_s=_STALE_S), agent=path, by=last_sign)
        if dies:
            self._telling.let_pass(_DEAD_S - _STALE_S)
            died = self._telling.tell(AgentDied(silent_s=_DEAD_S), agent=path, by=stale)
            self._replace(path, "no sign of life", by=died)
            return
        errors = self._errors[path]
        recovered = self._telling.tell(
            AgentRecovered(errors=errors), agent=path, by=self.beat(path)
        )
        if errors >= _SETTINGS.degraded_after:
            self._degrade(path, by=recovered)

    def lose(self, path: str, error: Failure) -> None:
        """An agent is not there for a while; its actor lives on, and its bridge tries again."""
        failed = AgentFailed(role=AgentRole(path), error=error, tries_again=True)
        lost = self._telling.tell(failed, agent=path)
        self._telling.let_pass(_TRIED_AGAIN_S)
        self._register(path, by=lost)

    # --- within ---

    def _register(self, path: str, *, by: int | None) -> None:
        self._incarnations[path] += 1
        del self._errors[path]
        fact = AgentRegistered(role=AgentRole(path), incarnation=self._incarnations[path])
        self._registered[path] = self._telling.tell(fact, agent=path, by=by)

    def _replace(self, path: str, reason: str, *, by: int) -> None:
        restarted = AgentRestarted(errors=self._errors[path], reason=reason)
        self._register(path, by=self._telling.tell(restarted, agent=path, by=by))

    def _degrade(self, path: str, *, by: int) -> None:
        degraded = AgentDegraded(errors=self._errors[path], reason="it fails often")
        self._telling.tell(degraded, agent=path, by=by)
