from __future__ import annotations

import anthropic
import httpx2
import pytest
from asking import TESTS, Prebuilt, ask


@pytest.fixture(scope="session")
def client() -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=Prebuilt())
    return anthropic.AsyncAnthropic(api_key="none", http_client=http)


@pytest.mark.parametrize("number", TESTS)
async def test_call(number: int, client: anthropic.AsyncAnthropic) -> None:
    await ask(client, number)
