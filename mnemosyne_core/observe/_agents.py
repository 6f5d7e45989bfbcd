"""How an agent is doing, as a fold over the facts about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, auto
from typing import assert_never

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentDied,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStale,
    AgentStopped,
    Event,
)
from mnemosyne_core.observe._groups import AgentFact
from mnemosyne_core.work import AgentRole, Failure


class AgentStatus(StrEnum):
    """What can be said of an agent in one word."""

    REGISTERED = auto()
    """It gave a sign of life and has done nothing yet."""

    IDLE = auto()
    ACTIVE = auto()
    DEGRADED = auto()
    """It fails often or lacks something, working or not; until it recovers or ends."""

    STALE = auto()
    """It has given no sign of life for a while; it may come back, or is replaced."""

    FAILED = auto()
    """It is not there: it could not start, or it died."""

    STOPPED = auto()
    """It is not there, because it was asked to end."""

    @property
    def is_there(self) -> bool:
        """Whether work can be given to the agent."""
        return self not in (AgentStatus.FAILED, AgentStatus.STOPPED)

    @property
    def is_well(self) -> bool:
        """Whether the agent is there, heard of, and not distrusted."""
        return self in (AgentStatus.REGISTERED, AgentStatus.IDLE, AgentStatus.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """One agent, whichever incarnation of it is alive."""

    path: str
    role: AgentRole | None = None
    """Absent for an agent that was never registered, only heard of."""

    status: AgentStatus = AgentStatus.REGISTERED
    items: tuple[str, ...] = ()
    """Ids of what it is working on, oldest first."""

    last_heartbeat: datetime | None = None
    incarnation: int = 1
    restarts: int = 0
    """How often the bridge replaced it."""

    errors: int = 0
    """Errors in the current window."""

    last_error: Failure | None = None
    trouble: str | None = None
    """Why it is not well, in words; absent while it is."""

    tries_again: bool = False
    """Whether its bridge goes on trying to start it."""


def agent_after(before: AgentState | None, fact: AgentFact, event: Event) -> AgentState:
    """An agent's state after `event`, whose fact is `fact`.

    Any sign of an agent makes it known; so a heartbeat registers.
    """
    agent = before or AgentState(path=event.agent)
    match fact:
        case AgentRegistered(role=role, incarnation=incarnation):
            return replace(_anew(agent), role=role, incarnation=incarnation)
        case AgentHeartbeat():
            return replace(agent, last_heartbeat=event.at)
        case AgentActive(item_id=item_id):
            return _busy(agent, item_id)
        case AgentIdle():
            return replace(agent, items=(), status=_unless_unwell(agent, AgentStatus.IDLE))
        case AgentDegraded(errors=errors, reason=reason):
            return replace(agent, status=AgentStatus.DEGRADED, errors=errors, trouble=reason)
        case AgentRecovered(errors=errors):
            status = AgentStatus.ACTIVE if agent.items else AgentStatus.IDLE
            return replace(agent, status=status, errors=errors, trouble=None)
        case AgentStale(silent_s=silent_s):
            return replace(agent, status=AgentStatus.STALE, trouble=silence(silent_s))
        case AgentDied(silent_s=silent_s):
            return _gone(agent, AgentStatus.FAILED, silence(silent_s))
        case AgentFailed(role=role, error=error, tries_again=tries_again):
            gone = _gone(agent, AgentStatus.FAILED, error.message)
            return replace(gone, role=role, last_error=error, tries_again=tries_again)
        case AgentRestarted():
            return replace(_anew(agent), restarts=agent.restarts + 1)
        case AgentStopped():
            return _gone(agent, AgentStatus.STOPPED, "it was stopped")
        case AgentErred(error=error, errors=errors):
            return replace(agent, errors=errors, last_error=error)
        case _:
            assert_never(fact)


def silence(silent_s: float) -> str:
    """That an agent was not heard of for so long, in words."""
    return f"no sign of life for {silent_s:g} s"


def without_item(agent: AgentState, item_id: str) -> AgentState:
    """The agent when it no longer works on an item; `agent` itself if it never did."""
    if item_id not in agent.items:
        return agent
    return replace(agent, items=tuple(held for held in agent.items if held != item_id))


def _busy(agent: AgentState, item_id: str) -> AgentState:
    items = agent.items if item_id in agent.items else (*agent.items, item_id)
    return replace(agent, items=items, status=_unless_unwell(agent, AgentStatus.ACTIVE))


def _anew(agent: AgentState) -> AgentState:
    """The agent when a new one stands in its place."""
    return replace(
        agent,
        status=AgentStatus.REGISTERED,
        items=(),
        errors=0,
        trouble=None,
        tries_again=False,
    )


def _gone(agent: AgentState, status: AgentStatus, trouble: str) -> AgentState:
    return replace(agent, status=status, items=(), trouble=trouble, tries_again=False)


def _unless_unwell(agent: AgentState, status: AgentStatus) -> AgentStatus:
    is_unwell = agent.status in (AgentStatus.DEGRADED, AgentStatus.STALE)
    return agent.status if is_unwell else status
