"""From the bridge to the wire and back: bridge, agent, tool loop, SDK, mocked transport."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
from anthropic import AsyncAnthropic
from pydantic import JsonValue

from mnemosyne_core import lane
from mnemosyne_core.agents import create_agent
from mnemosyne_core.bridge import ClaudeAgentBridge, TaskTransport
from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.work import Usage
from tests.core.agents.script import use
from tests.core.bridge.doubles import ITEM, EventList


def message(stop_reason: str, *content: JsonValue) -> JsonValue:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 100, "output_tokens": 10},
    }


class Upstream:
    """Asks for a file and is content with it; notes who asked what."""

    def __init__(self) -> None:
        self.lanes: list[lane.Lane | None] = []
        self.bodies: list[dict[str, JsonValue]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.lanes.append(lane.current.get())
        self.bodies.append(json.loads(request.content))
        if len(self.bodies) == 1:
            call: dict[str, JsonValue] = {
                "path": "hello.py",
                "content": "def hello_world(): return 'hello'\n",
            }
            return httpx2.Response(200, json=message("tool_use", use("write_file", **call)))
        return httpx2.Response(200, json=message("end_turn", {"type": "text", "text": "Done."}))


async def test_an_item_goes_all_the_way_to_the_wire_and_comes_back_as_a_result(
    tmp_path: Path,
) -> None:
    upstream = Upstream()
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(upstream))
    sdk = AsyncAnthropic(api_key="key", base_url="http://claude.invalid", http_client=http_client)
    client = AnthropicClient(sdk)
    transport = TaskTransport(lambda: create_agent("executor", client=client, workspace=tmp_path))
    async with ClaudeAgentBridge("executor", recorder=EventList(), transport=transport) as bridge:
        result = await bridge.send_work(ITEM, attempt=2)

    assert result.success
    assert result.data == {"summary": "Done.", "files": ["hello.py"], "memories": []}
    assert result.usage == Usage(input_tokens=200, output_tokens=20)
    assert result.metrics == {"turns": 2, "tool_calls": 1, "tool_errors": 0}
    assert upstream.lanes == [lane.Lane("executor", 2)] * 2
    last = upstream.bodies[1]["messages"]
    assert isinstance(last, list)
    assert last[-1] == {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": "wrote 34 bytes to hello.py",
            }
        ],
    }


async def test_an_overloaded_api_is_a_failure_that_may_be_tried_again() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    mock = httpx2.MockTransport(lambda request: httpx2.Response(529, json=body))
    sdk = AsyncAnthropic(
        api_key="key",
        base_url="http://claude.invalid",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=mock),
    )
    client = AnthropicClient(sdk)
    transport = TaskTransport(lambda: create_agent("reviewer", client=client))
    async with ClaudeAgentBridge("reviewer", recorder=EventList(), transport=transport) as bridge:
        result = await bridge.send_work(ITEM)
        assert bridge.error_count == 1

    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("claude_overloaded", True)
    assert "529 overloaded_error: Overloaded" in result.error.message
