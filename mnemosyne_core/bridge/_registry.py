"""Transports by name: the built-in one, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pluggy import PluginManager

from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._transport import (
    AgentFactory,
    TaskTransport,
    Transport,
    TransportFactory,
)
from mnemosyne_core.errors import PluginError
from mnemosyne_core.hooks import hookimpl, in_registration_order, plugin_manager, register_once

BUILT_IN = "mnemosyne-transports"
"""Name of the plug-in that offers the transports of this package."""


class BuiltInTransports:
    """The plug-in for the transports of this package."""

    @hookimpl(trylast=True)  # answers are read backwards, so these come first
    def mnemosyne_transports(self) -> Mapping[str, TransportFactory]:
        """The agent in tasks of the same loop."""
        return {"task": TaskTransport}


def transport_to(
    make_agent: AgentFactory,
    *,
    settings: BridgeSettings | None = None,
    plugins: PluginManager | None = None,
) -> Transport:
    """A transport of the kind that `settings` name, to the agents that `make_agent` makes.

    Raises:
        PluginError: No plug-in offers that transport, or two do.
    """
    offered = _offered(plugins or plugin_manager())
    name = (settings or BridgeSettings()).transport
    if name not in offered:
        raise PluginError(
            plugin=name,
            problem=f"no transport has this name; there are: {', '.join(offered) or 'none'}",
        )
    return offered[name](make_agent)


def _offered(manager: PluginManager) -> dict[str, TransportFactory]:
    register_once(manager, BuiltInTransports(), name=BUILT_IN)
    transports: dict[str, TransportFactory] = {}
    for some in in_registration_order(manager.hook.mnemosyne_transports()):
        for name, factory in cast("Mapping[str, TransportFactory]", some).items():
            if name in transports:
                raise PluginError(
                    plugin=name, problem="two transports have this name; rename one of them"
                )
            transports[name] = factory
    return transports
