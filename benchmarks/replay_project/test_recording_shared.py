from __future__ import annotations

import anthropic
import pytest
from asking import TESTS, ask


@pytest.fixture(scope="session")
def client() -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key="none")


@pytest.mark.vcr
@pytest.mark.parametrize("number", TESTS)
async def test_call(number: int, client: anthropic.AsyncAnthropic) -> None:
    await ask(client, number)
