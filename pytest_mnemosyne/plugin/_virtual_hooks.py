"""The hooks of virtual time: a plug-in that is there once a test needs it.

With any answer to its hook, pytest-asyncio turns each async test into a parametrized
one, which costs a tenth of a small test. A suite without virtual time does not pay it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_mnemosyne.plugin._schedules import run_under_schedules
from pytest_mnemosyne.plugin._session import run_of
from pytest_mnemosyne.plugin._virtual import wants_virtual_time

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._virtual import LoopFactory


def be_there_for(definition: pytest.Item) -> None:
    """Register these hooks if a test that is being collected needs them."""
    manager, this = definition.config.pluginmanager, sys.modules[__name__]
    if manager.is_registered(this):
        return
    asked = getattr(definition.config.hook, "pytest_asyncio_loop_factories", None)
    # Others may say nothing about a test, which pytest-asyncio takes for an error.
    if (asked is not None and asked.get_hookimpls()) or wants_virtual_time(definition):
        manager.register(this, "mnemosyne-virtual-time")


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Generator[None, Mapping[str, LoopFactory] | None, Mapping[str, LoopFactory]]:
    """Give a test that wants it a loop with virtual time; leave every other as it is."""
    others = yield
    return run_of(config).loops.factories_for(item, others)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that is marked so under many orders, and report one of its runs."""
    reports = run_under_schedules(item, run_of(item.config), nextitem)
    if reports is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
