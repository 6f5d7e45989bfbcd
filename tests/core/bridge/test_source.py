"""Agents as data: what crosses as a blueprint, and what cannot."""

from __future__ import annotations

import functools
import json
import sys
import types
from pathlib import Path

import pytest

from mnemosyne_core.agents import Agent, AgentMaker, AgentPlace, default_agent
from mnemosyne_core.bridge import AgentSource
from mnemosyne_core.bridge._source import maker_at, reference_to
from mnemosyne_core.errors import UnreachableMakerError
from tests.core.bridge.conformance.agents import obedient
from tests.core.bridge.conformance.harness import source_of
from tests.core.bridge.doubles import DoingAgent


class Maker:
    @staticmethod
    def make(place: AgentPlace) -> Agent:
        return DoingAgent()

    def __call__(self, place: AgentPlace) -> Agent:
        return DoingAgent()


def replaced(place: AgentPlace) -> Agent:
    return DoingAgent()


first_replaced = replaced


def replaced(place: AgentPlace) -> Agent:  # type: ignore[no-redef]
    return DoingAgent()


@pytest.mark.parametrize("maker", [default_agent, obedient, Maker.make])
def test_a_maker_is_found_again_by_its_name(maker: AgentMaker) -> None:
    assert maker_at(reference_to(maker)) is maker


def local_maker() -> AgentMaker:
    def make(place: AgentPlace) -> Agent:
        return DoingAgent()

    return make


def maker_of_the_program() -> AgentMaker:
    def make(place: AgentPlace) -> Agent:
        return DoingAgent()

    make.__module__, make.__qualname__ = "__main__", "make"
    return make


@pytest.mark.parametrize(
    ("maker", "problem"),
    [
        (lambda place: DoingAgent(), "no '<lambda>'"),
        (local_maker(), "local_maker.<locals>.make"),
        (maker_of_the_program(), "the program itself"),
        (functools.partial(obedient), "no name of its own"),
        (Maker(), "no name of its own"),
        (first_replaced, "'replaced' in tests.core.bridge.test_source is something else"),
    ],
)
def test_a_maker_whose_name_leads_nowhere_is_refused(maker: AgentMaker, problem: str) -> None:
    with pytest.raises(UnreachableMakerError, match=problem) as caught:
        reference_to(maker)

    assert "a function at the top of a module" in str(caught.value)


def test_a_name_that_leads_nowhere_is_refused_on_the_other_side_too() -> None:
    with pytest.raises(UnreachableMakerError, match="no 'gone'"):
        maker_at("tests.core.bridge.doubles:gone")
    with pytest.raises(ModuleNotFoundError):
        maker_at("not_installed_here:make")


def test_a_maker_in_a_module_that_is_not_loaded_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("a_module_of_agents")
    module.make = obedient  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_module_of_agents", module)

    assert maker_at("a_module_of_agents:make") is obedient


def test_a_blueprint_says_where_the_agent_belongs_and_how_it_works() -> None:
    blueprint = source_of(obedient).blueprint()

    assert json.loads(blueprint.model_dump_json()) == {
        "path": "executor/sub-1",
        "role": "executor",
        "workspace": None,
        "settings": blueprint.settings.model_dump(mode="json"),
        "maker": "tests.core.bridge.conformance.agents:obedient",
    }


def test_a_workspace_crosses_as_a_full_path() -> None:
    place = source_of().place
    assert place is not None
    nearby = AgentPlace(
        path=place.path,
        role=place.role,
        client=None,
        workspace=Path("nearby"),
        settings=place.settings,
        ids=place.ids,
        clock=place.clock,
        plugins=place.plugins,
    )

    assert AgentSource.of(obedient, nearby).blueprint().workspace == Path.cwd() / "nearby"


def test_a_factory_that_is_bound_to_this_process_has_no_blueprint() -> None:
    with pytest.raises(UnreachableMakerError, match="bound to this process"):
        AgentSource(make=DoingAgent).blueprint()
