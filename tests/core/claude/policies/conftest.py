from __future__ import annotations

import pytest

from mnemosyne_core.claude.policies import Told
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import EventList


@pytest.fixture
def log() -> EventList:
    return EventList()


@pytest.fixture
def clock(virtual_clock: VirtualClock) -> VirtualClock:
    """The loop's time, which is virtual in all tests here."""
    return virtual_clock


@pytest.fixture
def told(log: EventList, clock: VirtualClock) -> Told:
    """Whoever waits here is told of; that the waits cost nothing is the clock's part."""
    return Told(log)


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Whether answers are asked for as streams."""
    return bool(request.param)
