"""Transports and other hooks: the built-in ones, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from mnemosyne_core.bridge import (
    AgentSource,
    BridgeSettings,
    SubprocessTransport,
    TaskTransport,
    TransportFactory,
    transport_to,
)
from mnemosyne_core.bridge._registry import BUILT_IN
from mnemosyne_core.errors import PluginError, UnknownTransportError
from mnemosyne_core.events import Event
from mnemosyne_core.hooks import event_sinks, hookimpl, plugin_manager
from tests.core.bridge.doubles import DoingAgent

SOURCE = AgentSource(make=DoingAgent)


class Offering:
    """A plug-in with one transport."""

    def __init__(self, name: str) -> None:
        self._name = name

    @hookimpl
    def mnemosyne_transports(self) -> Mapping[str, TransportFactory]:
        return {self._name: lambda source: OtherTransport(source.make)}


class OtherTransport(TaskTransport):
    pass


@pytest.mark.parametrize(
    ("name", "kind"), [("task", TaskTransport), ("subprocess", SubprocessTransport)]
)
def test_two_transports_come_from_the_built_in_plugin(name: str, kind: type[object]) -> None:
    plugins = plugin_manager(load_entry_points=False)

    settings = BridgeSettings(transport=name)
    assert type(transport_to(SOURCE, settings=settings, plugins=plugins)) is kind
    assert plugins.has_plugin(BUILT_IN)


def test_a_plugins_transport_is_found_by_the_name_in_the_settings() -> None:
    plugins = plugin_manager([Offering("pigeon")], load_entry_points=False)
    settings = BridgeSettings(transport="pigeon")

    transport = transport_to(SOURCE, settings=settings, plugins=plugins)
    assert type(transport) is OtherTransport


def test_an_unknown_transport_names_the_known_ones() -> None:
    plugins = plugin_manager([Offering("pigeon")], load_entry_points=False)

    with pytest.raises(UnknownTransportError, match="'ray'; there are: task, subprocess, pigeon"):
        transport_to(SOURCE, settings=BridgeSettings(transport="ray"), plugins=plugins)


def test_two_transports_of_one_name_are_refused() -> None:
    plugins = plugin_manager([Offering("task")], load_entry_points=False)

    with pytest.raises(PluginError, match="two transports have this name"):
        transport_to(SOURCE, plugins=plugins)


def test_sinks_are_called_for_in_order_of_registration_and_without_the_empty_ones() -> None:
    class Sinking:
        def __init__(self, sink: Callable[[Event], None] | None) -> None:
            self._sink = sink

        @hookimpl
        def mnemosyne_event_sink(self) -> Callable[[Event], None] | None:
            return self._sink

    first: list[Event] = []
    second: list[Event] = []
    sinks = [first.append, None, second.append]
    manager = plugin_manager(map(Sinking, sinks), load_entry_points=False)

    assert list(event_sinks(manager)) == [first.append, second.append]


def test_a_hook_with_wrong_arguments_is_refused_at_registration() -> None:
    class Wrong:
        @hookimpl
        def mnemosyne_tools(self, rank: int) -> list[object]:
            return []

    with pytest.raises(PluginError, match="rank"):
        plugin_manager([Wrong()], load_entry_points=False)


def test_a_hook_that_nobody_calls_is_refused() -> None:
    class Unheard:
        @hookimpl
        def mnemosyne_transport(self) -> dict[str, object]:
            return {}

    with pytest.raises(PluginError, match="unknown hook 'mnemosyne_transport'"):
        plugin_manager([Unheard()], load_entry_points=False)


def test_the_installed_plugins_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    class Broken:
        group, name = "mnemosyne", "broken"

        def load(self) -> object:
            raise ImportError("No module named 'gone'")

    class Distribution:
        entry_points = (Broken(),)
        metadata = {"name": "broken-dist"}  # noqa: RUF012 - stands in for a real distribution

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [Distribution()])
    with pytest.raises(PluginError, match=r"entry point.*No module named 'gone'"):
        plugin_manager()
    assert plugin_manager(load_entry_points=False).get_plugins() == set()
