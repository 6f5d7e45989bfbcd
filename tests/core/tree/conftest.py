from __future__ import annotations

import pytest

from tests.core.tree.cast import Cast


@pytest.fixture
def cast() -> Cast:
    return Cast()
