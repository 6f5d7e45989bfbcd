"""How a tree is doing, in words that a person and a program can use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

from mnemosyne_core._value import Value
from mnemosyne_core.observe import AgentState, AgentStatus
from mnemosyne_core.work import AgentRole


class HealthStatus(StrEnum):
    """The whole tree in one word."""

    HEALTHY = auto()
    """Every role has a working agent."""

    DEGRADED = auto()
    """The tree runs, but some role has no agent or one that fails often."""

    DOWN = auto()
    """The tree does not run."""


class AgentHealth(Value):
    """One role's agent."""

    status: AgentStatus | None
    """`None` for an agent that has not shown itself yet."""

    reason: str | None = None
    """What is wrong, in words; absent when nothing is."""

    errors: int = 0
    """Errors in the bridge's current window."""

    restarts: int = 0
    """How often the bridge has replaced it."""

    @property
    def is_well(self) -> bool:
        """Whether the agent is there and not distrusted."""
        return (
            self.status is not None
            and self.status.is_there
            and self.status is not AgentStatus.DEGRADED
        )


class Health(Value):
    """The tree, and each role's agent."""

    status: HealthStatus
    agents: dict[AgentRole, AgentHealth]
    reason: str | None = None
    """Why the tree is down; absent otherwise."""


def health_of(
    agents: Mapping[str, AgentState], *, running: bool, reason: str | None = None
) -> Health:
    """The health of a tree whose agents, by path, are in these states."""
    each = {role: _agent_health(agents.get(role.value)) for role in AgentRole}
    if not running:
        status = HealthStatus.DOWN
    elif all(agent.is_well for agent in each.values()):
        status = HealthStatus.HEALTHY
    else:
        status = HealthStatus.DEGRADED
    return Health(status=status, agents=each, reason=None if running else reason)


def why_missing(agent: AgentState | None) -> str | None:
    """Why no work can be given to an agent; `None` when it can."""
    if agent is None:
        return "it has not started yet"
    if agent.status is AgentStatus.FAILED:
        return agent.last_error.message if agent.last_error else "it could not be started"
    if agent.status is AgentStatus.STOPPED:
        return "it was stopped"
    return None


def _agent_health(agent: AgentState | None) -> AgentHealth:
    if agent is None:
        return AgentHealth(status=None, reason=why_missing(agent))
    reason = why_missing(agent)
    if agent.status is AgentStatus.DEGRADED:
        last = f"; the last one: {agent.last_error.message}" if agent.last_error else ""
        reason = f"{agent.errors} errors within the window{last}"
    return AgentHealth(
        status=agent.status, reason=reason, errors=agent.errors, restarts=agent.restarts
    )
