"""The fixtures of virtual time. What they need is imported when a test asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, cast

import pytest
import pytest_asyncio

from pytest_mnemosyne.plugin._loop_scopes import LOOP_SCOPES, LoopScope, loop_scope_of
from pytest_mnemosyne.plugin._session import run_of
from pytest_mnemosyne.plugin._virtual import watched_clock, watched_properties

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.loop import VirtualClock
    from pytest_mnemosyne.simulation.schedules import Properties


@pytest.fixture
def virtual_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """The clock of this test's loop, whose time is virtual: `advance`, `run_until`, `settle`.

    A test that asks for it runs on virtual time, with or without the marker.
    """
    scope = loop_scope_of(request.node)
    return cast("VirtualClock", request.getfixturevalue(f"_mnemosyne_clock_{scope}"))


@pytest.fixture
def properties(request: pytest.FixtureRequest) -> Properties:
    """What has to hold while this test runs: `always`, `eventually`, `sometimes`.

    They are checked after every step. A test that asks for it runs on virtual time.
    """
    scope = loop_scope_of(request.node)
    return cast("Properties", request.getfixturevalue(f"_mnemosyne_properties_{scope}"))


def _clock_on(scope: LoopScope) -> object:
    @pytest_asyncio.fixture(loop_scope=scope, name=f"_mnemosyne_clock_{scope}")
    async def clock(request: pytest.FixtureRequest) -> AsyncIterator[VirtualClock]:
        async with watched_clock(run_of(request.config).running) as made:
            yield made

    return clock


def _properties_on(scope: LoopScope) -> object:
    @pytest_asyncio.fixture(loop_scope=scope, name=f"_mnemosyne_properties_{scope}")
    async def made_properties(request: pytest.FixtureRequest) -> AsyncIterator[Properties]:
        async with watched_properties(run_of(request.config).running) as made:
            yield made

    return made_properties


# pytest finds fixtures as attributes of the plug-in's module, so these need names there.
ON_LOOPS: Final = {
    **{f"_mnemosyne_clock_{scope}": _clock_on(scope) for scope in LOOP_SCOPES},
    **{f"_mnemosyne_properties_{scope}": _properties_on(scope) for scope in LOOP_SCOPES},
}
globals().update(ON_LOOPS)

__all__ = ["properties", "virtual_clock", *ON_LOOPS]
