from __future__ import annotations

import pytest
from asking import TESTS


@pytest.mark.parametrize("number", TESTS)
async def test_nothing(number: int) -> None:
    pass
