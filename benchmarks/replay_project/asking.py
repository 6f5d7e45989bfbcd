"""The one call that all rows make, and what stands for the network where none is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anthropic
import httpx2

TESTS = range(int(os.environ["BENCHMARK_TESTS"]) + 1)
"""One more than is counted: the first test pays for what happens once."""

ANSWER = Path(__file__).with_name("answer.json")


async def ask(client: anthropic.AsyncAnthropic, number: int) -> None:
    message = await client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=1024,
        system="You explain to newcomers what they ask, in plain words and few of them.",
        messages=[{"role": "user", "content": f"What is special about the number {number}?"}],
    )
    assert message.content[0].type == "text"


class Prebuilt(httpx2.AsyncBaseTransport):
    """Answers every request at once, with the body that the cassettes hold."""

    def __init__(self) -> None:
        self._body = json.dumps(json.loads(ANSWER.read_bytes())).encode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:  # noqa: ARG002
        return httpx2.Response(
            200, headers={"content-type": "application/json"}, content=self._body
        )
