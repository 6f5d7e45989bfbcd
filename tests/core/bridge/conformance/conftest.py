"""Which transports are tested; another one joins by its name."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["task", "subprocess"], scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
