"""Streams over a mocked transport: the events as they come, and every way for them to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from itertools import pairwise

import httpx2
import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.claude import AnthropicClient, Block, Limits, Prompt, collect
from mnemosyne_core.errors import (
    Abort,
    ClaudeConnectionError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
)
from pytest_mnemosyne.strategies import StreamedMessage, sse_streams
from pytest_mnemosyne.wire import PING, encode, message_events, sse_of

PROMPT = Prompt(
    model="claude-sonnet-5-5", max_tokens=100, messages=({"role": "user", "content": "Hello"},)
)
MESSAGE: Block = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hello there\u2028and here."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 2},
}
EVENTS = message_events(MESSAGE)
BODY = encode(sse_of(event) for event in EVENTS)


class Body(httpx2.AsyncByteStream):
    """A body in chunks, which may end badly, and knows whether it was closed."""

    def __init__(self, *chunks: bytes, fault: BaseException | None = None) -> None:
        self._chunks = chunks
        self._fault = fault
        self.given = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await asyncio.sleep(0)
            self.given += 1
            yield chunk
        if self._fault is not None:
            raise self._fault

    async def aclose(self) -> None:
        self.closed = True


def client_on(body: Body, seen: list[httpx2.Request] | None = None) -> AnthropicClient:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        headers = {"content-type": "text/event-stream", "request-id": "req_1"}
        return httpx2.Response(200, stream=body, headers=headers)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    sdk = AsyncAnthropic(api_key="k", base_url="http://c.invalid", max_retries=0, http_client=http)
    return AnthropicClient(sdk)


async def events_from(client: AnthropicClient) -> list[Block]:
    async with aclosing(client.stream(PROMPT)) as events:
        return [event async for event in events]


async def test_the_api_s_own_events_come_without_pings() -> None:
    with_pings = encode((sse_of(EVENTS[0]), PING, *map(sse_of, EVENTS[1:])))
    body = Body(with_pings)
    seen: list[httpx2.Request] = []

    assert await events_from(client_on(body, seen)) == list(EVENTS)

    assert body.closed
    (request,) = seen
    assert json.loads(request.content) == {**PROMPT.body(), "stream": True}


@given(streamed=sse_streams())
async def test_no_cut_of_the_bytes_and_no_line_ending_changes_the_reply(
    streamed: StreamedMessage,
) -> None:
    async with aclosing(client_on(Body(*streamed.chunks)).stream(PROMPT)) as events:
        reply = await collect(events)

    assert list(reply.content) == streamed.message["content"]
    assert reply.stop_reason == streamed.message["stop_reason"]


@given(places=st.sets(st.integers(1, len(BODY) - 1), max_size=4), ending=st.sampled_from(b"\r\n"))
async def test_line_ends_are_found_wherever_the_bytes_are_cut(
    places: set[int], ending: int
) -> None:
    spelled = BODY.replace(b"\n", bytes([ending]))
    cuts = [0, *sorted(places), len(spelled)]
    chunks = [spelled[start:end] for start, end in pairwise(cuts)]

    found = await events_from(client_on(Body(*chunks)))
    assert found == list(EVENTS)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
async def test_data_of_several_lines_is_one_event_however_it_is_cut(ending: bytes) -> None:
    lines = [b"event: message_stop", b'data: {"type":', b'data: "message_stop"}', b"", b""]
    body = ending.join(lines)
    for place in range(1, len(body)):
        found = await events_from(client_on(Body(body[:place], body[place:])))
        assert found == [{"type": "message_stop"}], place


async def test_nothing_is_asked_before_the_first_event_is() -> None:
    seen: list[httpx2.Request] = []
    events = client_on(Body(BODY), seen).stream(PROMPT)
    await events.aclose()

    assert seen == []


async def test_a_stream_that_is_left_early_abandons_its_request_at_once() -> None:
    body = Body(*(sse_of(event).encode() for event in EVENTS))
    before = asyncio.all_tasks()
    async with aclosing(client_on(body).stream(PROMPT)) as events:
        await anext(events)

    assert body.closed
    assert body.given == 1
    assert asyncio.all_tasks() == before


async def test_an_error_event_is_a_typed_error_after_what_came_before() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    client = client_on(Body(encode((sse_of(EVENTS[0]), sse_of(error)))))
    events = client.stream(PROMPT)

    assert await anext(events) == EVENTS[0]
    with pytest.raises(ClaudeStatusError, match="200 overloaded_error: Overloaded") as caught:
        await anext(events)

    assert (caught.value.status, caught.value.request_id) == (200, "req_1")
    assert not isinstance(caught.value, ClaudeRequestError)


async def test_an_error_event_about_the_request_says_so() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "No"}}
    with pytest.raises(ClaudeRequestError):
        await events_from(client_on(Body(sse_of(error).encode())))


@pytest.mark.parametrize("given_events", range(len(EVENTS)))
async def test_a_stream_that_just_ends_was_cut(given_events: int) -> None:
    body = Body(encode(map(sse_of, EVENTS[:given_events])))
    with pytest.raises(ClaudeStreamError, match="without message_stop"):
        await events_from(client_on(body))
    assert body.closed


async def test_a_last_event_without_its_blank_line_was_cut() -> None:
    with pytest.raises(ClaudeStreamError, match="without message_stop"):
        await events_from(client_on(Body(BODY.removesuffix(b"\n"))))


@pytest.mark.parametrize(
    ("fault", "timed_out"),
    [
        pytest.param(httpx2.RemoteProtocolError("peer closed"), False, id="dropped"),
        pytest.param(httpx2.ReadError("reset"), False, id="reset"),
        pytest.param(httpx2.ReadTimeout("too slow"), True, id="stalled"),
    ],
)
async def test_a_connection_that_breaks_in_the_middle_says_what_the_transport_said(
    fault: Exception, timed_out: bool
) -> None:
    body = Body(sse_of(EVENTS[0]).encode(), fault=fault)
    with pytest.raises(ClaudeConnectionError, match=str(fault)) as caught:
        await events_from(client_on(body))
    assert caught.value.timed_out is timed_out


async def test_a_connection_that_breaks_behind_the_end_breaks_nothing() -> None:
    body = Body(BODY, fault=httpx2.RemoteProtocolError("peer closed"))
    assert await events_from(client_on(body)) == list(EVENTS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"{oops", "no JSON", id="no-json"),
        pytest.param(b'{"type": "\xff"}', "no JSON", id="no-utf-8"),
        pytest.param(b"[1]", "is a list", id="no-object"),
    ],
)
async def test_data_that_is_no_event_is_told_with_its_beginning(data: bytes, reason: str) -> None:
    with pytest.raises(ClaudeStreamError, match=reason):
        await events_from(client_on(Body(b"event: x\ndata: " + data + b"\n\n")))


async def test_an_error_instead_of_a_stream_is_a_status_error_and_the_limits_are_heard() -> None:
    heard: list[Limits] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
        return httpx2.Response(429, json=body, headers={"retry-after": "3"})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    sdk = AsyncAnthropic(api_key="k", base_url="http://c.invalid", http_client=http)
    client = AnthropicClient(sdk).with_options(
        max_retries=0, on_limits=lambda _, limits: heard.append(limits)
    )

    with pytest.raises(ClaudeStatusError, match="429 rate_limit_error: Slow down") as caught:
        await events_from(client)

    assert caught.value.retry_after_s == 3.0
    assert [limits.retry_after_s for limits in heard] == [3.0]


@pytest.mark.parametrize("fault", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow")])
async def test_a_stream_that_never_begins_is_a_lost_connection(fault: Exception) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise fault

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    sdk = AsyncAnthropic(api_key="k", base_url="http://c.invalid", http_client=http)
    with pytest.raises(ClaudeConnectionError, match=str(fault)):
        await events_from(AnthropicClient(sdk).with_options(max_retries=0))


@pytest.mark.parametrize("chunks", [(), (sse_of(EVENTS[0]).encode(),)], ids=["at-once", "later"])
async def test_an_abort_passes_through_a_stream(chunks: Iterable[bytes]) -> None:
    with pytest.raises(Abort, match="no such recording"):
        await events_from(client_on(Body(*chunks, fault=Abort("no such recording"))))


async def test_a_closed_client_streams_nothing() -> None:
    client = AnthropicClient()
    await client.aclose()
    with pytest.raises(ClaudeError, match="was closed"):
        await events_from(client)
