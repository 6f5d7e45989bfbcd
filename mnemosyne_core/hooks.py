"""Where other packages plug into the core: the hook specs and the manager that calls them.

A plug-in is any object with functions marked by `hookimpl`. A package that has
one names it as an entry point of the group `mnemosyne`; the built-in transport
and tools go the same way in, registered by the packages that own them.

    from mnemosyne_core.hooks import hookimpl

    @hookimpl
    def mnemosyne_tools(role):
        return [my_tool]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pluggy

from mnemosyne_core.errors import PluginError

if TYPE_CHECKING:
    import typer

    from mnemosyne_core.agents import AnyTool
    from mnemosyne_core.bridge import TransportFactory
    from mnemosyne_core.events import Event
    from mnemosyne_core.work import AgentRole

PROJECT = "mnemosyne"
"""The pluggy project, and the group of the entry points."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Specs:
    """What a plug-in may offer. A hook with nothing to add returns something empty."""

    @hookspec
    def mnemosyne_transports(self) -> Mapping[str, TransportFactory]:  # type: ignore[empty-body]
        """Ways to reach an agent behind the bridge, by the name that settings use.

        No two plug-ins may give the same name.
        """

    @hookspec
    def mnemosyne_tools(self, role: AgentRole) -> Sequence[AnyTool]:  # type: ignore[empty-body]
        """Tools for agents of `role`, after the ones it already has.

        The order must be the same in every run, because it is part of what Claude
        is asked. No two tools of a role may have the same name.
        """

    @hookspec
    def mnemosyne_event_sink(self) -> Callable[[Event], None] | None:
        """A function that is called with every event of a tree, after it was stored.

        Called once for each tree. The sink runs on the tree's own loop: it must
        return soon, and what it raises is reported but not passed on.
        """

    @hookspec
    def mnemosyne_commands(self, app: typer.Typer) -> None:
        """Add commands to the command line `mnemosyne`."""


def plugin_manager(
    plugins: Iterable[object] = (), *, load_entry_points: bool = True
) -> pluggy.PluginManager:
    """A new manager that knows the specs above.

    Args:
        plugins: Plug-ins to register, in this order.
        load_entry_points: Whether installed packages may add theirs.

    Raises:
        PluginError: A plug-in cannot be imported, or a hook of it does not fit its spec.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
    for plugin in plugins:
        register_once(manager, plugin)
    if load_entry_points:
        try:
            manager.load_setuptools_entrypoints(PROJECT)
        except Exception as error:  # importing a stranger's module can raise anything
            raise PluginError(
                plugin=PROJECT,
                problem=f"an entry point of this group cannot be loaded ({_words(error)}); "
                "repair or uninstall its package",
            ) from error
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(plugin=PROJECT, problem=str(error)) from error
    return manager


def register_once(
    manager: pluggy.PluginManager, plugin: object, *, name: str | None = None
) -> None:
    """Register `plugin`, unless it is registered or its name is blocked.

    Raises:
        PluginError: A hook of it does not fit its spec.
    """
    if manager.is_registered(plugin) or (name is not None and manager.has_plugin(name)):
        return
    try:
        manager.register(plugin, name=name)
    except pluggy.PluginValidationError as error:
        raise PluginError(plugin=name or repr(plugin), problem=str(error)) from error


def event_sinks(manager: pluggy.PluginManager) -> tuple[Callable[[Event], None], ...]:
    """The sinks for one tree, in the order in which their plug-ins were registered."""
    offered = in_registration_order(manager.hook.mnemosyne_event_sink())
    return tuple(cast("Callable[[Event], None]", sink) for sink in offered)


def in_registration_order(results: object) -> list[object]:
    """A hook call's results with the plug-in first that was registered first.

    pluggy itself calls the last one first.
    """
    return list(reversed(cast("list[object]", results)))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
