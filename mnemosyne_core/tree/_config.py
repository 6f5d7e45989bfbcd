"""Everything about a tree that is a setting."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from mnemosyne_core._value import Value
from mnemosyne_core.agents import AgentSettings
from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.claude.policies import PolicySettings
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.supervision import RestartIntensity, Strategy


class SupervisionConfig(Value):
    """How a tree supervises, how much it takes on, and where it keeps things.

    Every value has a default that suits a small project; durations are in seconds.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    """Who is restarted with a role's actor that failed."""

    max_restarts: NonNegativeInt = 3
    """Tolerated restarts per period; beyond them the tree stops and says why."""

    restart_period_s: PositiveFloat = 60.0

    shutdown_s: NonNegativeFloat = 5.0
    """How long each role's actor has to end before it is cancelled."""

    watchdog_s: PositiveFloat | None = None
    """Real seconds without a turn after which the event loop counts as blocked; absent: nobody
    looks. Where time is virtual nobody does either: what is found depends on the machine."""

    max_concurrent_agents: PositiveInt = 4
    """Agents at work at the same time, over all roles; so many the executor may have, too."""

    queue_capacity: PositiveInt = 1000
    """Bound on items that are waiting or under way."""

    default_timeout_s: PositiveFloat = 300.0
    """Bound on one attempt at an item that names none of its own."""

    max_retry_after_s: float = Field(default=3600.0, ge=0, le=366 * 86_400)
    """How long an item waits at most where an error says when it may be tried again."""

    missing_agent: MissingAgent = MissingAgent.FAIL
    """What happens to an item whose agent is not there."""

    database: Path | None = None
    """File that keeps items and events; absent: in memory, gone with the tree."""

    workspace: Path | None = None
    """Folder that the agents share; absent: a temporary one, removed with the tree."""

    claude: PolicySettings = PolicySettings()
    """What stands between all agents of the tree and Claude; nothing, unless given."""

    agent: AgentSettings = AgentSettings()
    bridge: BridgeSettings = BridgeSettings()
    """Bounds of each role's bridge; `default_timeout_s` and `max_concurrent` are the tree's."""

    @property
    def intensity(self) -> RestartIntensity:
        """What the tree's supervisor tolerates, and the one of the executor's sub-agents."""
        return RestartIntensity(max_restarts=self.max_restarts, period_s=self.restart_period_s)

    @property
    def bridge_settings(self) -> BridgeSettings:
        """The bridges' settings with the tree's own bounds put in."""
        bounds = {
            "default_timeout_s": self.default_timeout_s,
            "max_concurrent": self.max_concurrent_agents,
        }
        return self.bridge.model_copy(update=bounds)
