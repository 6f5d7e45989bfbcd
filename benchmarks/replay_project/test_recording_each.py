from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import pytest
import pytest_asyncio
from asking import TESTS, ask


@pytest_asyncio.fixture
async def client() -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="none") as made:
        yield made


@pytest.mark.vcr
@pytest.mark.parametrize("number", TESTS)
async def test_call(number: int, client: anthropic.AsyncAnthropic) -> None:
    await ask(client, number)
