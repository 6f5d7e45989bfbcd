"""How an agent is doing, as a fold over the facts about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, auto
from typing import assert_never

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
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
    """It fails often, working or not; until it recovers, is replaced, or ends."""

    FAILED = auto()
    """It is not there: it could not start, or it ended by itself."""

    STOPPED = auto()
    """It is not there, because it was asked to end."""

    @property
    def is_there(self) -> bool:
        """Whether work can be given to the agent."""
        return self not in (AgentStatus.FAILED, AgentStatus.STOPPED)


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


def agent_after(before: AgentState | None, fact: AgentFact, event: Event) -> AgentState:
    """An agent's state after `event`, whose fact is `fact`.

    Any sign of an agent makes it known; so a heartbeat registers.
    """
    agent = before or AgentState(path=event.agent)
    match fact:
        case AgentRegistered(role=role, incarnation=incarnation):
            return replace(
                agent,
                role=role,
                incarnation=incarnation,
                status=AgentStatus.REGISTERED,
                items=(),
                errors=0,
            )
        case AgentHeartbeat():
            return replace(agent, last_heartbeat=event.at)
        case AgentActive(item_id=item_id):
            return _busy(agent, item_id)
        case AgentIdle():
            return replace(agent, items=(), status=_unless_degraded(agent, AgentStatus.IDLE))
        case AgentDegraded(errors=errors):
            return replace(agent, status=AgentStatus.DEGRADED, errors=errors)
        case AgentRecovered():
            status = AgentStatus.ACTIVE if agent.items else AgentStatus.IDLE
            return replace(agent, status=status, errors=0)
        case AgentFailed(role=role, error=error):
            return replace(agent, role=role, status=AgentStatus.FAILED, items=(), last_error=error)
        case AgentRestarted():
            return replace(
                agent,
                restarts=agent.restarts + 1,
                status=AgentStatus.REGISTERED,
                items=(),
                errors=0,
            )
        case AgentStopped():
            return replace(agent, status=AgentStatus.STOPPED, items=())
        case AgentErred(error=error, errors=errors):
            return replace(agent, errors=errors, last_error=error)
        case _:
            assert_never(fact)


def without_item(agent: AgentState, item_id: str) -> AgentState:
    """The agent when it no longer works on an item; `agent` itself if it never did."""
    if item_id not in agent.items:
        return agent
    return replace(agent, items=tuple(held for held in agent.items if held != item_id))


def _busy(agent: AgentState, item_id: str) -> AgentState:
    items = agent.items if item_id in agent.items else (*agent.items, item_id)
    return replace(agent, items=items, status=_unless_degraded(agent, AgentStatus.ACTIVE))


def _unless_degraded(agent: AgentState, status: AgentStatus) -> AgentStatus:
    return AgentStatus.DEGRADED if agent.status is AgentStatus.DEGRADED else status
