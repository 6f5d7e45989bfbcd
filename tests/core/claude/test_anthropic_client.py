"""The SDK adapter over a mocked transport: what goes out, what comes back, every way to fail."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import AnthropicError, AsyncAnthropic
from pydantic import JsonValue

from mnemosyne_core.claude import (
    AnthropicClient,
    ClaudeClient,
    ClaudeSettings,
    Limits,
    Prompt,
    Provider,
)
from mnemosyne_core.errors import (
    Abort,
    ClaudeAuthenticationError,
    ClaudeConnectionError,
    ClaudeError,
    ClaudeNotFoundError,
    ClaudeOverloadedError,
    ClaudePermissionError,
    ClaudeRateLimitError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
    MissingSdkError,
)
from mnemosyne_core.work import Usage

Handler = Callable[[httpx2.Request], httpx2.Response]

PROMPT = Prompt(
    model="claude-sonnet-5-5", max_tokens=100, messages=({"role": "user", "content": "Hello"},)
)
MESSAGE: dict[str, JsonValue] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 2, "cache_read_input_tokens": None},
}


def client_on(handler: Handler) -> ClaudeClient:
    transport = httpx2.MockTransport(handler)
    sdk = AsyncAnthropic(
        api_key="key-for-tests",
        base_url="http://claude.invalid",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    )
    return AnthropicClient(sdk)


def answering(message: JsonValue) -> Handler:
    return lambda request: httpx2.Response(200, json=message)


def test_a_prompt_without_options_has_no_empty_fields() -> None:
    assert PROMPT.body() == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }


async def test_all_of_a_prompt_reaches_the_messages_api() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=MESSAGE)

    prompt = Prompt(
        model="claude-sonnet-5-5",
        max_tokens=100,
        system="Be brief.",
        tools=({"name": "look", "description": "Look.", "input_schema": {"type": "object"}},),
        tool_choice={"type": "any"},
        messages=({"role": "user", "content": "Hello"},),
        output_schema={"type": "object", "properties": {}, "additionalProperties": False},
    )
    await client_on(handler).send(prompt)

    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/v1/messages")
    assert json.loads(request.content) == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "system": "Be brief.",
        "tools": [{"name": "look", "description": "Look.", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "Hello"}],
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            }
        },
    }


async def test_blocks_that_nobody_knows_yet_survive_as_they_came() -> None:
    blocks: list[JsonValue] = [
        {"type": "hologram", "depth": [1, 2.5, None], "signature": "s"},
        {"type": "text", "text": "Look"},
        {"type": "tool_use", "id": "toolu_1", "name": "see", "input": {"b": 1, "a": 2}},
    ]
    reply = await client_on(answering({**MESSAGE, "content": blocks})).send(PROMPT)

    assert list(reply.content) == blocks
    assert reply.text == "Look"
    assert reply.tool_uses == (blocks[2],)
    assert (reply.id, reply.stop_reason) == ("msg_1", "end_turn")
    assert reply.usage == Usage(input_tokens=7, output_tokens=2)


@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        pytest.param(400, "invalid_request_error", ClaudeRequestError, id="400"),
        pytest.param(401, "authentication_error", ClaudeAuthenticationError, id="401"),
        pytest.param(403, "permission_error", ClaudePermissionError, id="403"),
        pytest.param(404, "not_found_error", ClaudeNotFoundError, id="404"),
        pytest.param(413, "request_too_large", ClaudeRequestError, id="413"),
        pytest.param(429, "rate_limit_error", ClaudeRateLimitError, id="429"),
        pytest.param(500, "api_error", ClaudeStatusError, id="500"),
        pytest.param(529, "overloaded_error", ClaudeOverloadedError, id="529"),
    ],
)
async def test_an_error_answer_keeps_its_facts(
    status: int, error_type: str, kind: type[ClaudeStatusError]
) -> None:
    body = {"type": "error", "error": {"type": error_type, "message": "because"}}

    def handler(request: httpx2.Request) -> httpx2.Response:
        headers = {"request-id": "req_1", "retry-after": "3"}
        return httpx2.Response(status, json=body, headers=headers)

    with pytest.raises(ClaudeStatusError) as caught:
        await client_on(handler).send(PROMPT)

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.error_type, error.message) == (status, error_type, "because")
    assert (error.request_id, error.retry_after_s) == ("req_1", 3.0)


async def test_an_error_page_that_is_no_json_is_a_status_error_too() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(502, text="<h1>Bad gateway</h1>", headers={"retry-after": "soon"})

    with pytest.raises(ClaudeStatusError, match="502 unknown_error") as caught:
        await client_on(handler).send(PROMPT)

    assert caught.value.retry_after_s is None


@pytest.mark.parametrize(
    ("fault", "timed_out"),
    [
        pytest.param(httpx2.ConnectError("refused"), False, id="refused"),
        pytest.param(httpx2.RemoteProtocolError("peer closed"), False, id="dropped"),
        pytest.param(httpx2.ReadTimeout("too slow"), True, id="stalled"),
    ],
)
async def test_a_broken_connection_says_what_the_transport_said(
    fault: Exception, timed_out: bool
) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise fault

    with pytest.raises(ClaudeConnectionError, match=str(fault)) as caught:
        await client_on(handler).send(PROMPT)

    assert caught.value.timed_out is timed_out


async def test_an_answer_that_breaks_off_in_the_middle_is_a_broken_connection() -> None:
    class Dropping(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"id": "msg_1", '
            raise httpx2.RemoteProtocolError("incomplete chunked read")

    client = client_on(lambda request: httpx2.Response(200, stream=Dropping()))
    with pytest.raises(ClaudeConnectionError, match="incomplete chunked read"):
        await client.send(PROMPT)


async def test_any_other_error_of_the_sdk_keeps_its_text() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise AnthropicError("the token expired")

    with pytest.raises(ClaudeError, match="the token expired"):
        await client_on(handler).send(PROMPT)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b'{"id": "msg_1", "con', "no JSON", id="half-an-answer"),
        pytest.param(b"<html>log in to the wifi</html>", "no JSON", id="captive-portal"),
        pytest.param(b"[]", "got a list", id="not-a-message"),
        pytest.param(b'{"stop_reason": "end_turn"}', "no list of content", id="no-content"),
        pytest.param(
            b'{"content": ["hi"], "stop_reason": "end_turn"}', "no list of content", id="no-blocks"
        ),
        pytest.param(b'{"content": [], "stop_reason": null}', "no stop reason", id="cut"),
        pytest.param(
            b'{"content": [], "stop_reason": "end_turn", "usage": {"input_tokens": -1}}',
            "token counts",
            id="negative-tokens",
        ),
    ],
)
async def test_an_incomplete_answer_is_refused(content: bytes, reason: str) -> None:
    client = client_on(lambda request: httpx2.Response(200, content=content))

    with pytest.raises(ClaudeStreamError, match=reason):
        await client.send(PROMPT)


async def test_cancellation_passes_through() -> None:
    asked = asyncio.Event()

    async def never(request: httpx2.Request) -> httpx2.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    transport = httpx2.MockTransport(never)
    http_client = httpx2.AsyncClient(transport=transport)
    client = AnthropicClient(AsyncAnthropic(api_key="k", http_client=http_client))
    task = asyncio.create_task(client.send(PROMPT))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_abort_passes_through_the_sdk() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise Abort("no such recording")

    with pytest.raises(Abort, match="no such recording"):
        await client_on(handler).send(PROMPT)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No key in the environment, and a home folder without the SDK's profiles."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("no_credentials")
async def test_without_a_key_no_client_opens_and_the_next_try_looks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = AnthropicClient()
    with pytest.raises(MissingKeyError, match="set ANTHROPIC_API_KEY"):
        await client.open()
    with pytest.raises(MissingKeyError):
        await client.send(PROMPT)

    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    await client.open()
    await client.open()
    await client.aclose()


async def test_a_credential_profile_that_is_not_there_is_named(
    no_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(no_credentials))

    with pytest.raises(ClaudeError, match="'work'"):
        await AnthropicClient().open()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[AsyncAnthropic]:
    """The clients of the SDK that are made from now on."""
    clients: list[AsyncAnthropic] = []

    class Noted(AsyncAnthropic):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            clients.append(self)

    # The key is looked for on the SDK's own class only, so the name must be that class.
    monkeypatch.setattr("anthropic.AsyncAnthropic", Noted)
    return clients


@pytest.mark.usefixtures("no_credentials")
async def test_an_open_that_fails_leaves_no_client_to_be_collected(
    made: list[AsyncAnthropic],
) -> None:
    with pytest.raises(MissingKeyError):
        await AnthropicClient().open()
    (sdk,) = made
    assert sdk.is_closed()


async def test_an_opened_client_is_one_and_ours_to_close(
    monkeypatch: pytest.MonkeyPatch, made: list[AsyncAnthropic]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    client = AnthropicClient()
    assert made == []
    await client.open()
    await client.open()
    await client.aclose()
    (sdk,) = made
    assert sdk.is_closed()


async def test_without_the_sdk_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)

    with pytest.raises(MissingSdkError, match="pip install anthropic"):
        await AnthropicClient().open()


@pytest.mark.usefixtures("no_credentials")
async def test_an_sdk_client_without_a_key_is_refused_before_any_request() -> None:
    async with AsyncAnthropic() as sdk:
        with pytest.raises(MissingKeyError):
            await AnthropicClient(sdk).send(PROMPT)


@pytest.mark.usefixtures("no_credentials")
async def test_a_key_in_the_custom_headers_is_a_key() -> None:
    async with AsyncAnthropic(default_headers={"X-Api-Key": "key"}) as sdk:
        await AnthropicClient(sdk).open()


async def test_a_client_handed_in_stays_open() -> None:
    async with AsyncAnthropic(api_key="k") as sdk:
        client = AnthropicClient(sdk)
        await client.open()
        await client.aclose()

        assert not sdk.is_closed()


async def test_a_client_made_here_is_closed_and_follows_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    settings = ClaudeSettings(max_retries=0, timeout_s=5.0, base_url="http://127.0.0.1:9/")
    client = AnthropicClient(settings=settings)

    with pytest.raises(ClaudeConnectionError):
        await client.send(PROMPT)
    await client.aclose()
    await client.aclose()

    with pytest.raises(ClaudeError, match="was closed"):
        await client.send(PROMPT)


async def test_a_client_with_other_options_is_the_same_client() -> None:
    asked: list[httpx2.Request] = []
    heard: list[tuple[str, Limits]] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(529, json={"type": "error"}, headers={"retry-after": "0"})

    transport = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    base_url = "http://user:secret@claude.invalid/v0"
    sdk = AsyncAnthropic(api_key="k", base_url=base_url, max_retries=5, http_client=transport)
    client = AnthropicClient(sdk).with_options(
        max_retries=0, on_limits=lambda model, limits: heard.append((model, limits))
    )

    with pytest.raises(ClaudeStatusError):
        await client.send(PROMPT)

    assert len(asked) == 1
    ((model, limits),) = heard
    assert (model, limits.retry_after_s) == ("claude-sonnet-5-5", 0.0)
    assert limits.quotas == {}
    assert isinstance(client, Provider)
    assert client.provider == "http://claude.invalid/v0"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        pytest.param({"x-should-retry": "true"}, True, id="again"),
        pytest.param({"x-should-retry": "false"}, False, id="not-again"),
        pytest.param({}, None, id="silent"),
    ],
)
async def test_an_error_says_whether_the_api_wants_to_be_asked_again(
    header: dict[str, str], says: bool | None
) -> None:
    client = client_on(lambda request: httpx2.Response(500, json={}, headers=header))

    with pytest.raises(ClaudeStatusError) as caught:
        await client.send(PROMPT)

    assert caught.value.should_retry is says
