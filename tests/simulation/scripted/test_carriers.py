"""The same script over loopback and in the process: the same bytes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence

import anthropic
import httpx2
import pytest

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    redacted_thinking,
    server_tool_result,
    server_tool_use,
    text,
    thinking,
    tool_use,
)
from pytest_mnemosyne.wire import JsonObject
from tests.simulation.scripted.asking import body

_HOP = {"connection", "transfer-encoding"}

Said = tuple[int, list[tuple[str, str]], bytes]
Asked = tuple[str, str, JsonObject | None]


def said(response: httpx2.Response) -> Said:
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in _HOP]
    return response.status_code, headers, response.content


def over_loopback(claude: ScriptedClaude, asked: Sequence[Asked]) -> list[Said]:
    with (
        claude,
        httpx2.Client(base_url=claude.url, trust_env=False, verify=False) as client,
    ):
        return [said(client.request(method, path, json=fields)) for method, path, fields in asked]


def on_a_loop(claude: ScriptedClaude, asked: Sequence[Asked]) -> list[Said]:
    async def main() -> list[Said]:
        async with httpx2.AsyncClient(
            base_url="http://claude.invalid", transport=claude.transport()
        ) as client:
            return [
                said(await client.request(method, path, json=fields))
                for method, path, fields in asked
            ]

    return asyncio.run(main())


def without_a_loop(claude: ScriptedClaude, asked: Sequence[Asked]) -> list[Said]:
    with httpx2.Client(
        base_url="http://claude.invalid", transport=claude.sync_transport()
    ) as client:
        return [said(client.request(method, path, json=fields)) for method, path, fields in asked]


def message(said: str = "Hi", path: str = "/v1/messages", **fields: object) -> Asked:
    return ("POST", path, body(said, **fields))


def everything(claude: ScriptedClaude) -> None:
    claude.reply(
        thinking("Hm."),
        redacted_thinking("opaque"),
        text("As it is written", citations=[_CITATION]),
        server_tool_use("web_search", query="moons"),
        server_tool_result("web_search", []),
        tool_use("ls", path="."),
        tool_use("broken", partial_json='{"path": "a'),
    )


_CITATION = {
    "type": "char_location",
    "cited_text": "moons",
    "document_index": 0,
    "document_title": None,
    "file_id": None,
    "start_char_index": 0,
    "end_char_index": 5,
}
_BATCH = {
    "requests": [
        {"custom_id": "one", "params": body("1")},
        {"custom_id": "two", "params": body("2", max_tokens=0)},
    ]
}
_TOOL = {
    "name": "ls",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}


@pytest.mark.parametrize(
    ("write", "asked"),
    [
        pytest.param(everything, [message()], id="whole"),
        pytest.param(everything, [message(stream=True)], id="streamed"),
        pytest.param(
            lambda claude: claude.reply(stop_reason="end_turn"), [message(stream=True)], id="empty"
        ),
        pytest.param(
            lambda claude: claude.refuse(category="cyber", explanation="No."),
            [message()],
            id="refusal",
        ),
        pytest.param(
            lambda claude: claude.fail(529, retry_after=2).reply("again"),
            [message(), message()],
            id="error",
        ),
        pytest.param(
            lambda claude: claude.reply("x", times=None, first_byte_s=0.001, per_token_s=0.0001),
            [message(), message(stream=True)],
            id="latency",
        ),
        pytest.param(
            lambda claude: claude.rate_limit(requests_per_minute=1).reply("x", times=None),
            [message(), message()],
            id="rate-limit",
        ),
        pytest.param(
            lambda claude: claude.improvise(),
            [message(tools=[_TOOL], stream=True)],
            id="improvised",
        ),
        pytest.param(lambda _: None, [message(), message(max_tokens=0)], id="unscripted"),
        pytest.param(
            lambda _: None,
            [
                ("GET", "/v1/models?limit=2", None),
                ("GET", "/v1/models/claude-opus-5-5", None),
                ("HEAD", "/v1/models", None),
                message(path="/v1/messages/count_tokens"),
            ],
            id="other-endpoints",
        ),
        pytest.param(
            lambda claude: claude.reply("done"),
            [
                ("POST", "/v1/messages/batches", _BATCH),
                ("GET", "/v1/messages/batches/msgbatch_scripted_1", None),
                ("GET", "/v1/messages/batches/msgbatch_scripted_1/results", None),
                ("GET", "/v1/messages/batches", None),
                ("DELETE", "/v1/messages/batches/msgbatch_scripted_1", None),
                ("GET", "/v1/messages/batches/msgbatch_scripted_1", None),
            ],
            id="batches",
        ),
    ],
)
def test_an_answer_is_the_same_to_the_byte_whatever_carries_it(
    write: Callable[[ScriptedClaude], object], asked: Sequence[Asked]
) -> None:
    answers = []
    for carry in (over_loopback, on_a_loop, without_a_loop):
        claude = ScriptedClaude()
        write(claude)
        answers.append(carry(claude, asked))

    assert answers[1] == answers[0]
    assert answers[2] == answers[0]
    assert [status for status, _, _ in answers[0]]


def ask(client: anthropic.Anthropic) -> anthropic.types.Message:
    return client.messages.create(
        model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
    )


def test_a_client_in_the_process_needs_neither_key_nor_socket_nor_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.socket.connect", None)
    threads = set(threading.enumerate())
    claude = ScriptedClaude().reply("one").reply("two")

    async def main() -> anthropic.types.Message:
        async with claude.client() as client:
            message = await client.messages.create(
                model="claude-sonnet-5-5",
                max_tokens=64,
                messages=[{"role": "user", "content": "Hi"}],
            )
            assert set(threading.enumerate()) == threads
            return message

    with claude.sync_client() as client:
        assert ask(client).id == "msg_scripted_1"
    assert asyncio.run(main()).id == "msg_scripted_2"
    assert "scripted-claude" not in json.dumps([dict(each.headers) for each in claude.requests])


def test_options_of_the_sdk_pass_through() -> None:
    claude = ScriptedClaude().fail(529).reply("never reached")

    with (
        claude.sync_client(max_retries=0, default_headers={"x-mine": "1"}) as client,
        pytest.raises(anthropic.OverloadedError),
    ):
        ask(client)

    assert claude.requests[0].headers["x-mine"] == "1"
    assert claude.client(max_retries=7).max_retries == 7


async def test_a_client_can_have_an_http_client_of_its_own() -> None:
    claude = ScriptedClaude().reply("one").reply("two")
    headers = {"x-mine": "1"}

    async with claude.client(
        http_client=httpx2.AsyncClient(transport=claude.transport(), headers=headers)
    ) as client:
        await client.messages.create(
            model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
        )
    with claude.sync_client(
        http_client=httpx2.Client(transport=claude.sync_transport(), headers=headers)
    ) as sync_client:
        ask(sync_client)

    assert [each.headers["x-mine"] for each in claude.requests] == ["1", "1"]
