"""What a transport with faults does to requests and answers, below the SDK."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2
import pytest

from mnemosyne_core import lane
from mnemosyne_core.lane import Lane
from pytest_mnemosyne.simulation import ScriptedClaude
from pytest_mnemosyne.simulation.faults import (
    FaultPlan,
    FaultsNotMetError,
    FaultySyncTransport,
    FaultyTransport,
    RunningPlan,
)
from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.wire import PING, SseEvent, decode, encode, message_events, sse_of
from tests.simulation.faults.asking import ANSWER, QUESTION, TOOL_CALL, Claude
from tests.wire.genuine import exchanges

URL = "https://api.anthropic.com/v1/messages"
EVENTS = tuple(sse_of(event) for event in message_events(ANSWER))

Answering = Callable[[httpx2.Request], httpx2.Response]


def send(
    plan: str,
    answering: Answering | None = None,
    *,
    stream: bool = False,
    timeout: float | None = 60,
) -> httpx2.Response:
    """One request through a transport with faults, its answer read."""
    inner = httpx2.MockTransport(answering or Claude())
    with httpx2.Client(transport=FaultySyncTransport(inner, FaultPlan.parse(plan))) as client:
        return client.post(URL, json={"stream": stream, "max_tokens": 100}, timeout=timeout)


def streaming(body: bytes, **headers: str) -> Answering:
    """Claude streams these bytes."""
    told = {"content-type": "text/event-stream; charset=utf-8", **headers}
    return lambda _: httpx2.Response(200, headers=told, content=body)


# --- error answers -----------------------------------------------------------------------


def test_an_error_answer_has_the_body_and_headers_of_the_api() -> None:
    answer = send("status(429, retry_after=3, message='slow down')")

    assert answer.status_code == 429
    assert answer.json() == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down"},
        "request_id": "req_fault_1",
    }
    assert answer.headers["request-id"] == "req_fault_1"
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers["content-type"] == "application/json"


def test_error_answers_have_the_fields_and_headers_of_genuine_ones() -> None:
    count = 0
    for exchange in exchanges():
        if exchange.status < 400 or "anthropic.com" not in exchange.url:
            continue
        genuine, ours = json.loads(exchange.answered), send(f"status({exchange.status})")
        made = ours.json()
        count += 1
        assert made["type"] == genuine["type"]
        assert set(made["error"]) == set(genuine["error"])
        assert ours.headers["content-type"] == exchange.headers["content-type"]
        if "x-should-retry" in exchange.headers:
            assert "x-should-retry" in ours.headers
        if "request-id" in exchange.headers:
            assert "request-id" in ours.headers
    assert count > 5


@pytest.mark.parametrize(
    ("plan", "headers"),
    [
        pytest.param("status(429)", {}, id="none"),
        pytest.param("status(429, retry_after=0)", {"retry-after": "0"}, id="at-once"),
        pytest.param(
            "status(429, retry_after=0.25)",
            {"retry-after": "1", "retry-after-ms": "250"},
            id="fraction",
        ),
        pytest.param("status(429, retry_after_ms=250)", {"retry-after-ms": "250"}, id="ms"),
        pytest.param(
            "status(529, retry_after=3, retry_after_ms=1.5)",
            {"retry-after": "3", "retry-after-ms": "1.5"},
            id="both",
        ),
        pytest.param("status(429, retry_after='soon')", {"retry-after": "soon"}, id="no-date"),
        pytest.param("status(502, retry_after=1)", {"retry-after": "1"}, id="proxy"),
    ],
)
def test_a_pause_is_asked_for_as_the_plan_says(plan: str, headers: dict[str, str]) -> None:
    answer = send(plan)

    assert {k: v for k, v in answer.headers.items() if "retry-after" in k} == headers


def test_a_502_is_a_proxys_page_and_no_answer_of_the_api() -> None:
    answer = send("status(502)")

    assert answer.headers["content-type"] == "text/html"
    assert "<h1>502 Bad Gateway</h1>" in answer.text
    assert "request-id" not in answer.headers
    assert "x-should-retry" not in answer.headers
    assert send("status(502, should_retry=False)").headers["x-should-retry"] == "false"


# --- what passes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(encode(EVENTS), id="plain"),
        pytest.param(encode(EVENTS).replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(b": a comment\n\n" + encode((*EVENTS[:2], PING, *EVENTS[2:])), id="pings"),
        pytest.param(encode(EVENTS)[:-5], id="cut-in-the-last-event"),
        pytest.param(b"", id="empty"),
        pytest.param("data: naïve €\n\nevent: x".encode(), id="no-claude"),
    ],
)
def test_bytes_that_no_fault_touches_arrive_as_they_were_sent(body: bytes) -> None:
    for plan in ("drop(stream_event=99)", "drip(0)", "broken_tool_json()", "refusal(call=2)"):
        assert send(plan, streaming(body), stream=True).content == body


def test_a_stream_that_is_bent_keeps_its_line_ends() -> None:
    body = encode(EVENTS).replace(b"\n", b"\r\n")

    answer = send("repeated_event(stream_event=3)", streaming(body), stream=True)

    assert answer.content.count(b"\n") == answer.content.count(b"\r\n")
    assert len(decode(answer.content).events) == len(EVENTS) + 1


def test_a_compressed_answer_is_decoded_before_it_is_bent() -> None:
    packed = streaming(gzip.compress(encode(EVENTS)), **{"content-encoding": "gzip"})

    answer = send("cut(stream_event=3)", packed, stream=True)

    assert answer.content == encode(EVENTS[:2])
    assert "content-encoding" not in answer.headers


def test_without_anything_for_a_call_its_answer_is_the_inner_ones() -> None:
    packed = streaming(gzip.compress(encode(EVENTS)), **{"content-encoding": "gzip"})

    answer = send("cut(call=2)", packed, stream=True)

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == encode(EVENTS)


@pytest.mark.parametrize(
    ("plan", "stream"),
    [
        pytest.param("refusal()", False, id="message"),
        pytest.param("broken_tool_json()", False, id="tool"),
        pytest.param("refusal()", True, id="message-of-a-stream"),
        pytest.param("cut()", True, id="stream"),
    ],
)
def test_an_error_of_claudes_own_is_not_bent(plan: str, stream: bool) -> None:
    transport = FaultySyncTransport(
        httpx2.MockTransport(lambda _: httpx2.Response(529, json={"type": "error"})),
        FaultPlan.parse(plan),
    )
    with httpx2.Client(transport=transport) as client:
        answer = client.post(URL, json={"stream": stream})

    assert answer.json() == {"type": "error"}
    with pytest.raises(FaultsNotMetError):
        transport.check_met()


# --- what is bent ------------------------------------------------------------------------


def test_an_answer_at_the_bound_of_its_tokens_has_used_them_up() -> None:
    answer = send("max_tokens()").json()

    assert answer["usage"]["output_tokens"] == 100
    assert ANSWER["usage"]["output_tokens"] == 14


def test_a_refusal_has_the_details_that_the_api_gives() -> None:
    answer = send("refusal()").json()

    details = {"type": "refusal", "category": None, "explanation": None}
    assert (answer["stop_reason"], answer["stop_details"]) == ("refusal", details)


def test_a_tool_input_breaks_off_in_the_middle_of_its_json() -> None:
    answer = send("broken_tool_json()", Claude(TOOL_CALL))

    assert answer.text.endswith('"name":"weather","input":{"city":')
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_the_rest_of_a_broken_tool_input_never_comes() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {"text": "word " * 20}}
    other = {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"path": "a.txt"}}
    claude = Claude(TOOL_CALL | {"content": [call, other]})

    answer = send("broken_tool_json(stream_event=5)", claude, stream=True)

    inputs = {0: "", 1: ""}
    for event in decode(answer.content).events:
        data = json.loads(event.data or "")
        inputs[data.get("index", 0)] += data.get("delta", {}).get("partial_json", "")
    assert json.dumps(call["input"]).startswith(inputs[0])
    assert 24 < len(inputs[0]) < 48
    assert json.loads(inputs[1]) == other["input"]


def test_a_short_body_keeps_the_length_that_was_promised() -> None:
    inner = httpx2.MockTransport(Claude())
    transport = FaultySyncTransport(inner, FaultPlan.parse("short_body()"))
    request = httpx2.Request("POST", URL, json={})

    answer = transport.handle_request(request)

    promised = len(httpx2.Response(200, json=ANSWER).content)
    assert answer.headers["content-length"] == str(promised)
    with pytest.raises(httpx2.RemoteProtocolError, match=f"received {promised // 2} bytes"):
        answer.read()


@pytest.mark.parametrize(
    ("flaw", "third"),
    [
        pytest.param("name", b'data: {"type":"content_block_delta"', id="no-event-line"),
        pytest.param("utf8", b"\xe2\x82", id="half-a-character"),
        pytest.param("json", b"event: content_block_delta\ndata: {", id="broken-json"),
    ],
)
def test_a_malformed_event_stands_between_sound_ones(flaw: str, third: bytes) -> None:
    answer = send(f"malformed({flaw!r}, stream_event=3)", stream=True)

    before, after = encode(EVENTS[:2]), encode(EVENTS[3:])
    assert answer.content.startswith(before)
    assert answer.content.endswith(after)
    spoilt = answer.content.removeprefix(before).removesuffix(after)
    assert third in spoilt
    assert spoilt != EVENTS[2].encode()


def test_an_event_without_a_quotation_mark_can_be_malformed_too() -> None:
    body = encode([SseEvent(event="x", data="1")])

    answer = send("malformed('utf8', stream_event=1)", streaming(body), stream=True)

    assert answer.content == b"event: x\ndata: 1\xe2\x82\n\n"


def test_a_whole_message_and_the_end_of_its_stream_may_both_be_bent() -> None:
    answer = send("refusal(); cut(stream_event=3); late(0)", stream=True)

    assert [event.event for event in decode(answer.content).events] == [
        "message_start",
        "message_delta",
    ]


# --- time --------------------------------------------------------------------------------


def test_a_synchronous_client_without_patience_gets_a_timeout_all_the_same() -> None:
    with pytest.raises(httpx2.ReadTimeout):
        send("stall()", timeout=None)


async def test_in_real_time_the_clients_patience_ends_at_once() -> None:
    transport = FaultyTransport(httpx2.MockTransport(Claude()), FaultPlan.parse("stall()"))
    async with httpx2.AsyncClient(transport=transport, timeout=600) as client:
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(URL, json={})

    assert asyncio.get_running_loop().time() - started_s < 60


def test_a_client_without_patience_waits_until_it_is_cancelled() -> None:
    async def main() -> float:
        transport = FaultyTransport(httpx2.MockTransport(Claude()), FaultPlan.parse("stall()"))
        async with httpx2.AsyncClient(transport=transport, timeout=None) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1234):
                    await client.post(URL, json={})
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 1234


def test_the_codes_own_timeout_comes_before_the_clients() -> None:
    async def main() -> float:
        transport = FaultyTransport(httpx2.MockTransport(Claude()), FaultPlan.parse("stall()"))
        async with httpx2.AsyncClient(transport=transport, timeout=600) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await client.post(URL, json={})
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 5


def test_a_window_is_counted_on_the_loops_clock() -> None:
    async def main() -> list[int]:
        plan = FaultPlan.parse("status(529, after_s=10, before_s=30, count=None)")
        transport = FaultyTransport(httpx2.MockTransport(Claude()), plan)
        statuses = []
        async with httpx2.AsyncClient(transport=transport) as client:
            for _ in range(4):
                statuses.append((await client.post(URL, json={})).status_code)
                await asyncio.sleep(10)
        return statuses

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == [200, 529, 529, 200]


def test_an_injected_answer_lets_other_tasks_run() -> None:
    async def main() -> bool:
        transport = FaultyTransport(httpx2.MockTransport(Claude()), FaultPlan.parse("status(529)"))
        ran = asyncio.Event()
        asyncio.get_running_loop().call_soon(ran.set)
        request = httpx2.Request("POST", URL, json={})
        await transport.handle_async_request(request)
        return ran.is_set()

    assert asyncio.run(main())


# --- who calls, and what is held -----------------------------------------------------------


def test_the_agent_is_the_one_whose_lane_is_entered() -> None:
    inner = httpx2.MockTransport(Claude())
    plan = FaultPlan.parse("status(529, agent='executor', attempt=2)")
    with httpx2.Client(transport=FaultySyncTransport(inner, plan)) as client:
        outside = client.post(URL, json={}).status_code
        with lane.entered(Lane("executor", 2)):
            inside = client.post(URL, json={}).status_code

    assert (outside, inside) == (200, 529)


def test_one_running_plan_can_stand_in_front_of_several_transports() -> None:
    running = RunningPlan(FaultPlan.parse("status(529, call=2)"))
    transports = [FaultySyncTransport(httpx2.MockTransport(Claude()), running) for _ in range(2)]

    statuses = []
    for transport in transports:
        with httpx2.Client(transport=transport) as client:
            statuses.append(client.post(URL, json={}).status_code)

    assert statuses == [200, 529]
    assert transports[0].strikes == transports[1].strikes == running.strikes


def test_scripted_claude_can_stand_behind_the_faults() -> None:
    scripted = ScriptedClaude().reply("Paris.")
    transport = FaultySyncTransport(scripted.sync_transport(), FaultPlan.parse("status(529)"))
    question = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": QUESTION["messages"]}
    with httpx2.Client(transport=transport) as client:
        answers = [client.post(URL, json=question) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [529, 200]
    assert answers[1].json()["content"][0]["text"] == "Paris."
    assert len(scripted.requests) == 1


class _Held:
    """A stream that knows how far it was read and whether it was closed."""

    def __init__(self) -> None:
        self.sent = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for event in EVENTS:
            self.sent += 1
            yield event.encode()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


class HeldStream(_Held, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """For both kinds of clients."""


def holding(held: HeldStream) -> httpx2.MockTransport:
    headers = {"content-type": "text/event-stream"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, stream=held))


@pytest.mark.parametrize("plan", ["drop(stream_event=3)", "cut(stream_event=3)"])
def test_a_stream_that_is_broken_off_is_not_read_further_and_closed(plan: str) -> None:
    held = HeldStream()
    transport = FaultySyncTransport(holding(held), FaultPlan.parse(plan))
    with httpx2.Client(transport=transport) as client:
        try:
            client.post(URL, json={"stream": True})
        except httpx2.RemoteProtocolError:
            assert "drop" in plan

    assert (held.sent, held.is_closed) == (3, True)


@pytest.mark.parametrize("plan", ["drop(stream_event=3)", "cut(stream_event=3)"])
async def test_so_is_an_asynchronous_one(plan: str) -> None:
    held = HeldStream()
    transport = FaultyTransport(holding(held), FaultPlan.parse(plan))
    async with httpx2.AsyncClient(transport=transport) as client:
        try:
            await client.post(URL, json={"stream": True})
        except httpx2.RemoteProtocolError:
            assert "drop" in plan

    assert (held.sent, held.is_closed) == (3, True)


async def test_a_client_that_stops_reading_closes_what_is_behind_the_faults() -> None:
    held = HeldStream()
    transport = FaultyTransport(holding(held), FaultPlan.parse("drip(0)"))
    async with (
        httpx2.AsyncClient(transport=transport) as client,
        client.stream("POST", URL, json={"stream": True}) as answer,
    ):
        async for _ in answer.aiter_bytes():
            break

    assert held.is_closed
    assert held.sent < len(EVENTS)


class Closing(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """An inner transport that knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


async def test_closing_closes_the_inner_transport() -> None:
    inner, inner_async = Closing(), Closing()

    FaultySyncTransport(inner, FaultPlan()).close()
    await FaultyTransport(inner_async, FaultPlan()).aclose()

    assert inner.is_closed
    assert inner_async.is_closed


# --- what is left to chance --------------------------------------------------------------


def test_how_late_an_answer_is_can_be_left_to_chance() -> None:
    class Half:
        def draw(self, label: str, options: int) -> int:
            assert label == "late"
            return options // 2

    async def main() -> float:
        running = RunningPlan(FaultPlan.parse("late(10, up_to_s=30)"), draws=Half())
        transport = FaultyTransport(httpx2.MockTransport(Claude()), running)
        async with httpx2.AsyncClient(transport=transport) as client:
            await client.post(URL, json={"max_tokens": 100}, timeout=60)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 20
