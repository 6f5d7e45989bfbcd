"""How a bridge watches over its agent."""

from __future__ import annotations

from typing import Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from mnemosyne_core._value import Value


class BridgeSettings(Value):
    """Bounds of one bridge; durations are in seconds of the runtime's clock."""

    transport: str = "task"
    """Name of the transport, as plug-ins offer them."""

    default_timeout_s: PositiveFloat = 300.0
    """Bound on one attempt at an item that has no `timeout_s` of its own."""

    max_concurrent: PositiveInt = 4
    """Items that the agent works on at the same time; more of them wait their turn."""

    window_s: PositiveFloat = 60.0
    """How long an error counts."""

    degraded_after: PositiveInt = 3
    """Errors in the window that make the agent degraded."""

    restart_after: PositiveInt = 5
    """Errors in the window that make the bridge replace the agent."""

    heartbeat_s: PositiveFloat = 30.0
    """Time between two signs of life."""

    stale_after_beats: PositiveFloat = 2.5
    """Silence after which an agent is stale, in heartbeats."""

    dead_after_beats: PositiveFloat = 4.0
    """Silence after which an agent is dead and replaced, in heartbeats."""

    restart_pause_s: PositiveFloat = 1.0
    """Pause before an agent is replaced whose predecessor lived for less than a window; it
    doubles each time, up to 16 times as long. Work waits meanwhile. The first replacement
    comes at once."""

    respawn_after_s: PositiveFloat | None = 5.0
    """Pause before an agent that could not start is tried again; doubles each time. Work is
    refused meanwhile. Absent: it is not tried again by itself."""

    respawn_max_s: PositiveFloat = 300.0
    """No pause between two tries is longer."""

    start_timeout_s: PositiveFloat = 30.0
    """Bound on the start of an agent's session."""

    cancel_s: PositiveFloat = 1.0
    """How long work that was cancelled may take to end; then nobody waits for it any more."""

    shutdown_s: PositiveFloat = 5.0
    """Bound on the end of an agent: its work, then its session."""

    @model_validator(mode="after")
    def _degrades_before_it_restarts(self) -> Self:
        if self.degraded_after > self.restart_after:
            raise ValueError(
                f"degraded_after ({self.degraded_after}) is beyond restart_after "
                f"({self.restart_after}); an agent is degraded before it is replaced"
            )
        return self

    @model_validator(mode="after")
    def _silence_comes_after_a_beat(self) -> Self:
        if not 1 < self.stale_after_beats < self.dead_after_beats:
            raise ValueError(
                f"stale_after_beats ({self.stale_after_beats:g}) must be more than 1 and less "
                f"than dead_after_beats ({self.dead_after_beats:g})"
            )
        return self

    @model_validator(mode="after")
    def _tries_come_in_time(self) -> Self:
        if self.respawn_after_s is not None and self.respawn_after_s > self.respawn_max_s:
            raise ValueError(
                f"respawn_after_s ({self.respawn_after_s:g}) is beyond respawn_max_s "
                f"({self.respawn_max_s:g})"
            )
        return self
