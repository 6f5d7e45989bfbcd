"""How a tree is doing, in words that a person and a program can use.

A tree whose agents are missing is degraded, not down. What that means depends on the
role, and on `MissingAgent`:

============  ===============================  ========================  =================
without the   the tree still                   FAIL                      WAIT
============  ===============================  ========================  =================
executor      takes, keeps and cancels items   its items fail            they wait
reviewer      has work done, completes what    what wants a review       results wait for
              wants no review                  fails, its result kept    the reviewer
optimizer     hands the verdict's own words    items for it fail         they wait
              to the next attempt
orchestrator  schedules and decides as ever    items for it fail         they wait
============  ===============================  ========================  =================

When the agent is there again, what waited goes on by itself. The executor has several
agents once several items have come at once; it is without one when none of them works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum, auto

from pydantic import Field

from mnemosyne_core._value import Value
from mnemosyne_core.observe import AgentState, AgentStatus
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.work import AgentRole

_STILL: Mapping[AgentRole, str] = {
    AgentRole.EXECUTOR: "items are taken, kept and cancelled",
    AgentRole.REVIEWER: "work is done, and items that want no review are completed",
    AgentRole.OPTIMIZER: "the verdict's own words are the guidance for the next attempt",
    AgentRole.ORCHESTRATOR: "items are scheduled and decided on as ever",
}
_CANNOT: Mapping[MissingAgent, Mapping[AgentRole, str]] = {
    MissingAgent.FAIL: {
        **dict.fromkeys(AgentRole, "its items fail with agent_unavailable"),
        AgentRole.REVIEWER: "items that want a review fail with agent_unavailable",
    },
    MissingAgent.WAIT: {
        **dict.fromkeys(AgentRole, "its items wait for it"),
        AgentRole.REVIEWER: "results that want a review wait for it",
    },
}

_OTHERS = "the role's other agents do its items"


class HealthStatus(StrEnum):
    """The whole tree in one word."""

    HEALTHY = auto()
    """Every role has a working agent, and every sub-agent works."""

    DEGRADED = auto()
    """The tree runs, but some role has no agent, or some agent is not well."""

    DOWN = auto()
    """The tree does not run."""


class AgentHealth(Value):
    """One agent: a role's, or a sub-agent."""

    status: AgentStatus | None
    """`None` for an agent that has not shown itself yet."""

    reason: str | None = None
    """What is wrong, in words; absent when nothing is."""

    errors: int = 0
    """Errors in the bridge's current window."""

    restarts: int = 0
    """How often the bridge has replaced it."""

    tries_again: bool = False
    """Whether its bridge goes on trying to start it."""

    can: str | None = None
    """What the tree does without it; absent while the agent is there, or the tree is down."""

    cannot: str | None = None
    """What becomes of the work that needs it; absent as `can` is."""

    @property
    def is_well(self) -> bool:
        """Whether the agent is there, heard of, and not distrusted."""
        return self.status is not None and self.status.is_well


class Health(Value):
    """The tree, and each agent."""

    status: HealthStatus
    agents: dict[AgentRole, AgentHealth]
    """Each role's own agent."""

    sub_agents: dict[str, AgentHealth] = Field(default_factory=dict)
    """By path, those that a role has at the moment beside its own."""

    reason: str | None = None
    """Why the tree is down; absent otherwise."""


def health_of(
    agents: Mapping[str, AgentState],
    *,
    running: bool,
    missing_agent: MissingAgent,
    sub_agents: Iterable[str] = (),
    reason: str | None = None,
) -> Health:
    """The health of a tree.

    Args:
        agents: How each agent is doing, by path.
        running: Whether the tree runs.
        missing_agent: What becomes of an item without an agent.
        sub_agents: Paths of the sub-agents that there are.
        reason: Why the tree is down, if it is.
    """
    policy = missing_agent if running else None
    subs = {path: agents.get(path) for path in sub_agents}
    helped = {path.partition("/")[0] for path, sub in subs.items() if why_missing(sub) is None}
    each = {
        role: _agent_health(
            agents.get(role.value),
            _with_helpers(policy) if role.value in helped else _without(role, policy),
        )
        for role in AgentRole
    }
    others = {path: _agent_health(sub, _with_helpers(policy)) for path, sub in subs.items()}
    if not running:
        status = HealthStatus.DOWN
    elif all(agent.is_well for agent in (*each.values(), *others.values())):
        status = HealthStatus.HEALTHY
    else:
        status = HealthStatus.DEGRADED
    return Health(status=status, agents=each, sub_agents=others, reason=None if running else reason)


def why_missing(agent: AgentState | None) -> str | None:
    """Why no work can be given to an agent; `None` when it can."""
    if agent is None:
        return "it has not started yet"
    return None if agent.status.is_there else agent.trouble or "it is not there"


_Effect = tuple[str | None, str | None]
"""What can be done without an agent, and what cannot."""


def _without(role: AgentRole, missing_agent: MissingAgent | None) -> _Effect:
    """What it means that a role has no agent; nothing where the tree is down."""
    if missing_agent is None:
        return None, None
    return _STILL[role], _CANNOT[missing_agent][role]


def _with_helpers(missing_agent: MissingAgent | None) -> _Effect:
    """What it means that one of a role's agents is missing; nothing where the tree is down."""
    return (None if missing_agent is None else _OTHERS, None)


def _agent_health(agent: AgentState | None, effect: _Effect) -> AgentHealth:
    """The health of an agent whose absence has this effect."""
    missing = why_missing(agent)
    can, cannot = (None, None) if missing is None else effect
    if agent is None:
        return AgentHealth(status=None, reason=missing, can=can, cannot=cannot)
    return AgentHealth(
        status=agent.status,
        reason=missing or agent.trouble,
        errors=agent.errors,
        restarts=agent.restarts,
        tries_again=agent.tries_again,
        can=can,
        cannot=cannot,
    )
