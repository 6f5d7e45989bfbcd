"""The bridge between a supervised actor and its agent: health, restarts, transports.

An agent's process comes in by this front, too, and needs no more than its own end of the
bridge: importing the front imports nothing else, so that a process starts sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from mnemosyne_core.bridge._bridge import ClaudeAgentBridge
    from mnemosyne_core.bridge._ending import (
        AgentProcessGoneError,
        AgentProcessSpawnError,
        ProcessEnd,
    )
    from mnemosyne_core.bridge._envelope import ResultEnvelope, WorkEnvelope
    from mnemosyne_core.bridge._health import BridgeState
    from mnemosyne_core.bridge._registry import transport_of, transport_to
    from mnemosyne_core.bridge._settings import BridgeSettings
    from mnemosyne_core.bridge._source import AgentBlueprint, AgentFactory, AgentSource
    from mnemosyne_core.bridge._subprocess import SubprocessTransport
    from mnemosyne_core.bridge._transport import (
        AgentGoneError,
        TaskTransport,
        Transport,
        TransportFactory,
    )

__all__ = [
    "AgentBlueprint",
    "AgentFactory",
    "AgentGoneError",
    "AgentProcessGoneError",
    "AgentProcessSpawnError",
    "AgentSource",
    "BridgeSettings",
    "BridgeState",
    "ClaudeAgentBridge",
    "ProcessEnd",
    "ResultEnvelope",
    "SubprocessTransport",
    "TaskTransport",
    "Transport",
    "TransportFactory",
    "WorkEnvelope",
    "transport_of",
    "transport_to",
]

_MODULES = {
    "AgentBlueprint": "mnemosyne_core.bridge._source",
    "AgentFactory": "mnemosyne_core.bridge._source",
    "AgentGoneError": "mnemosyne_core.bridge._transport",
    "AgentProcessGoneError": "mnemosyne_core.bridge._ending",
    "AgentProcessSpawnError": "mnemosyne_core.bridge._ending",
    "AgentSource": "mnemosyne_core.bridge._source",
    "BridgeSettings": "mnemosyne_core.bridge._settings",
    "BridgeState": "mnemosyne_core.bridge._health",
    "ClaudeAgentBridge": "mnemosyne_core.bridge._bridge",
    "ProcessEnd": "mnemosyne_core.bridge._ending",
    "ResultEnvelope": "mnemosyne_core.bridge._envelope",
    "SubprocessTransport": "mnemosyne_core.bridge._subprocess",
    "TaskTransport": "mnemosyne_core.bridge._transport",
    "Transport": "mnemosyne_core.bridge._transport",
    "TransportFactory": "mnemosyne_core.bridge._transport",
    "WorkEnvelope": "mnemosyne_core.bridge._envelope",
    "transport_of": "mnemosyne_core.bridge._registry",
    "transport_to": "mnemosyne_core.bridge._registry",
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
