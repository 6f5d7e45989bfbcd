"""Transports by name: the built-in ones, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pluggy import PluginManager

from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._source import AgentSource
from mnemosyne_core.bridge._subprocess import SubprocessTransport
from mnemosyne_core.bridge._transport import TaskTransport, Transport, TransportFactory
from mnemosyne_core.errors import PluginError, UnknownTransportError
from mnemosyne_core.hooks import hookimpl, in_registration_order, plugin_manager, register_once

BUILT_IN = "mnemosyne-transports"
"""Name of the plug-in that offers the transports of this package."""


class BuiltInTransports:
    """The plug-in for the transports of this package."""

    @hookimpl(trylast=True)  # answers are read backwards, so these come first
    def mnemosyne_transports(self) -> Mapping[str, TransportFactory]:
        """The agent in tasks of the same loop, or in a process of its own."""
        return {
            "task": lambda source: TaskTransport(source.make),
            "subprocess": SubprocessTransport,
        }


def transport_to(
    source: AgentSource,
    *,
    settings: BridgeSettings | None = None,
    plugins: PluginManager | None = None,
) -> Transport:
    """A transport of the kind that `settings` name, to the agents of `source`.

    Raises:
        UnknownTransportError: No plug-in offers that transport.
        PluginError: Two of them do.
    """
    return transport_of(settings or BridgeSettings(), plugins)(source)


def transport_of(
    settings: BridgeSettings, plugins: PluginManager | None = None
) -> TransportFactory:
    """What makes transports of the kind that `settings` name; raises as `transport_to` does."""
    offered = _offered(plugins or plugin_manager())
    name = settings.transport
    if name not in offered:
        raise UnknownTransportError(given=name, known=tuple(offered))
    return offered[name]


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
