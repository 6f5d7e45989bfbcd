from __future__ import annotations

import pytest
from newsroom import Planner, make_writer

from mnemosyne_core import AgentRole


@pytest.fixture
def newsroom(make_supervision_tree):
    """A started tree with this project's agents, on the test's cassette."""

    async def start(**settings):
        agents = {AgentRole.ORCHESTRATOR: lambda _: Planner(), AgentRole.EXECUTOR: make_writer}
        return await make_supervision_tree(agents=agents, **settings)

    return start
