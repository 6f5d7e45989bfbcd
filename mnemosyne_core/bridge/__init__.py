"""The bridge between a supervised actor and its agent: health, restarts, transports."""

from __future__ import annotations

from mnemosyne_core.bridge._bridge import ClaudeAgentBridge
from mnemosyne_core.bridge._envelope import ResultEnvelope, WorkEnvelope
from mnemosyne_core.bridge._health import BridgeState
from mnemosyne_core.bridge._registry import transport_to
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._transport import (
    AgentFactory,
    AgentGoneError,
    TaskTransport,
    Transport,
    TransportFactory,
)

__all__ = [
    "AgentFactory",
    "AgentGoneError",
    "BridgeSettings",
    "BridgeState",
    "ClaudeAgentBridge",
    "ResultEnvelope",
    "TaskTransport",
    "Transport",
    "TransportFactory",
    "WorkEnvelope",
    "transport_to",
]
