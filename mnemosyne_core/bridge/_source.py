"""Where an agent comes from: made here, or made elsewhere from data.

A transport to the same process calls a function. One to another process sends a
blueprint: where the agent belongs, how it works, and the name of the function that
makes it. A function crosses by its name alone, so its name must lead back to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, cast

from mnemosyne_core._value import Value
from mnemosyne_core.agents import Agent, AgentMaker, AgentPlace, AgentSettings
from mnemosyne_core.errors import NoAgentError, UnreachableMakerError
from mnemosyne_core.work import AgentRole

if TYPE_CHECKING:
    from mnemosyne_core.failpoints import Failpoints

AgentFactory: TypeAlias = Callable[[], Agent]
"""Makes an agent without a session; called once for each incarnation."""


class AgentBlueprint(Value):
    """All that another process needs in order to make an agent."""

    path: str
    role: AgentRole
    workspace: Path | None
    settings: AgentSettings
    maker: str
    """The function that makes it, as `module:name`; tools come from installed plug-ins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSource:
    """Where a bridge's agents come from, one after the other."""

    make: AgentFactory
    """Makes one here."""

    maker: AgentMaker | None = None
    """What makes one elsewhere; absent: that is not possible."""

    place: AgentPlace | None = None
    """What `maker` is told, and who puts its requests to Claude."""

    failpoints: Failpoints | None = None
    """Where a test lets something go wrong."""

    @classmethod
    def of(
        cls, maker: AgentMaker, place: AgentPlace, *, failpoints: Failpoints | None = None
    ) -> Self:
        """Agents that `maker` makes for a place, here or elsewhere."""
        return cls(
            make=lambda: made_by(maker, place), maker=maker, place=place, failpoints=failpoints
        )

    def blueprint(self) -> AgentBlueprint:
        """The agents as data.

        Raises:
            UnreachableMakerError: Nothing but this process can make them.
        """
        if self.maker is None or self.place is None:
            raise UnreachableMakerError(
                maker=repr(self.make), problem="it takes no place, so it is bound to this process"
            )
        workspace = self.place.workspace
        return AgentBlueprint(
            path=self.place.path,
            role=self.place.role,
            workspace=None if workspace is None else workspace.absolute(),
            settings=self.place.settings,
            maker=reference_to(self.maker),
        )


def made_by(maker: AgentMaker, place: AgentPlace) -> Agent:
    """The agent that `maker` makes for a place.

    Raises:
        NoAgentError: What it made is none.
    """
    agent = maker(place)
    missing = tuple(
        name
        for name in ("role", "start_session", "stop_session", "execute_work")
        if not hasattr(agent, name)
    )
    if missing:
        raise NoAgentError(maker=repr(maker), made=repr(agent), missing=missing)
    return agent


def reference_to(maker: AgentMaker) -> str:
    """The name by which another process finds a maker, as `module:name`.

    Raises:
        UnreachableMakerError: Its name does not lead to it.
    """
    module = getattr(maker, "__module__", None)
    name = getattr(maker, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise _unreachable(maker, "it has no name of its own")
    if module == "__main__":
        raise _unreachable(maker, "it is defined in the program itself, which has no name there")
    try:
        found = attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        raise _unreachable(maker, f"{module} has no {name!r} that could be imported") from None
    if found is not maker:
        raise _unreachable(maker, f"{name!r} in {module} is something else")
    return f"{module}:{name}"


def maker_at(reference: str) -> AgentMaker:
    """The maker that has this name.

    Raises:
        ImportError: Its module cannot be imported.
        UnreachableMakerError: There is nothing in it that has this name.
    """
    module, _, name = reference.partition(":")
    try:
        found = attrgetter(name)(import_module(module))
    except AttributeError:
        raise UnreachableMakerError(
            maker=reference, problem=f"the module {module} has no {name!r} there"
        ) from None
    return cast("AgentMaker", found)


def _unreachable(maker: object, problem: str) -> UnreachableMakerError:
    return UnreachableMakerError(maker=repr(maker), problem=problem)
