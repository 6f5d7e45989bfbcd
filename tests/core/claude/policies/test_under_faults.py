"""Policies, the SDK and a faulty network: what the caller gets, and how often Claude is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import httpx2
import pytest

from mnemosyne_core.claude import AnthropicClient, ClaudeClient
from mnemosyne_core.claude.policies import (
    BudgetSettings,
    CircuitSettings,
    DeadlineSettings,
    PolicySettings,
    RateLimitSettings,
    RetrySettings,
    with_policies,
)
from mnemosyne_core.errors import (
    CircuitOpenError,
    ClaudeConnectionError,
    ClaudeDeadlineError,
    ClaudeError,
    ClaudeStatusError,
    ClaudeStreamError,
)
from pytest_mnemosyne import ScriptedClaude
from pytest_mnemosyne.simulation import FaultPlan, FaultyTransport, VirtualClock
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import call, prompt

ANSWER = "Two: Phobos and Deimos, which are small."

EVERYTHING = PolicySettings(
    deadline=DeadlineSettings(call_s=3_000.0),
    retry=RetrySettings(jitter=0.0, max_retries=3, max_retry_after_s=3_600.0),
    circuit=CircuitSettings(consecutive_failures=10),
    budget=BudgetSettings(tokens=1_000_000),
    rate_limit=RateLimitSettings(max_concurrent=4, max_wait_s=3_600.0),
)


class Counting(httpx2.AsyncBaseTransport):
    """Counts the requests that the SDK makes, whatever becomes of them."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.requests = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Wire:
    """A scripted Claude behind a network with faults."""

    def __init__(self, plan: str, log: EventList, clock: VirtualClock) -> None:
        self._claude = ScriptedClaude()
        self._claude.reply(ANSWER, times=None)
        self._transport = Counting(FaultyTransport(self._claude.transport(), FaultPlan.parse(plan)))
        self._log = log
        self._clock = clock

    @property
    def requests(self) -> int:
        """How many were made."""
        return self._transport.requests

    @asynccontextmanager
    async def client(self, settings: PolicySettings) -> AsyncIterator[ClaudeClient]:
        http = httpx2.AsyncClient(transport=self._transport, timeout=60.0)
        async with self._claude.client(http_client=http, max_retries=5) as sdk:
            yield with_policies(
                AnthropicClient(sdk),
                settings,
                recorder=self._log,
                clock=self._clock,
                random=Random(0),
            )


@pytest.mark.parametrize(
    ("plan", "requests", "took_s"),
    [
        pytest.param("status(529, count=3)", 4, 0.5 + 1 + 2, id="overloaded"),
        pytest.param("status(429, retry_after=40)", 2, 40, id="rate-limited"),
        pytest.param("status(503, retry_after_ms=250)", 2, 0.5, id="unavailable"),
        pytest.param("connect_refused(count=2)", 3, 0.5 + 1, id="refused"),
        pytest.param("reset()", 2, 0.5, id="reset"),
        pytest.param("drop()", 2, 0.5, id="dropped"),
        pytest.param("stall()", 2, 60.5, id="stalled"),
        pytest.param("status(400, should_retry=True)", 2, 0.5, id="as-the-api-says"),
    ],
)
async def test_what_passes_is_survived_with_one_request_for_each_try(
    plan: str, requests: int, took_s: float, stream: bool, log: EventList, clock: VirtualClock
) -> None:
    wire = Wire(plan, log, clock)
    async with wire.client(EVERYTHING) as client:
        reply = await call(client, prompt(max_tokens=100), stream=stream)

    assert reply.text == ANSWER
    assert wire.requests == requests
    assert clock.monotonic() == pytest.approx(took_s)
    assert log.kinds == ["claude_retried"] * (requests - 1)


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        pytest.param("status(529, should_retry=False)", ClaudeStatusError, id="529-not-again"),
        pytest.param("status(401)", ClaudeStatusError, id="401"),
        pytest.param("status(400)", ClaudeStatusError, id="400"),
    ],
)
async def test_what_does_not_pass_is_asked_once(
    plan: str, error: type[ClaudeError], stream: bool, log: EventList, clock: VirtualClock
) -> None:
    wire = Wire(plan, log, clock)
    async with wire.client(EVERYTHING) as client:
        with pytest.raises(error):
            await call(client, prompt(), stream=stream)
    assert wire.requests == 1
    assert log.events == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param("drop", ClaudeConnectionError, id="dropped"),
        pytest.param("reset", ClaudeConnectionError, id="reset"),
        pytest.param("stall", ClaudeConnectionError, id="stalled"),
        pytest.param("cut", ClaudeStreamError, id="cut"),
        pytest.param("error_event", ClaudeStatusError, id="error-event"),
        pytest.param("malformed", ClaudeStreamError, id="malformed"),
    ],
)
async def test_a_stream_is_tried_again_before_its_content_and_never_after(
    fault: str, error: type[ClaudeError], log: EventList, clock: VirtualClock
) -> None:
    what = {"error_event": "'overloaded_error', ", "malformed": "'json', "}.get(fault, "")
    early = Wire(f"{fault}({what}stream_event=2)", log, clock)
    async with early.client(EVERYTHING) as client:
        assert (await call(client, prompt(max_tokens=100), stream=True)).text == ANSWER
    assert log.kinds == ["claude_retried"]
    assert early.requests == 2

    late = Wire(f"{fault}({what}stream_event=5)", log, clock)
    async with late.client(EVERYTHING) as client:
        with pytest.raises(error):
            await call(client, prompt(max_tokens=100), stream=True)
    assert log.kinds == ["claude_retried"]
    assert late.requests == 1


async def test_a_deadline_ends_a_call_that_stalls(
    stream: bool, log: EventList, clock: VirtualClock
) -> None:
    wire = Wire("stall(count=None)", log, clock)
    async with wire.client(PolicySettings(deadline=DeadlineSettings(call_s=45.0))) as client:
        with pytest.raises(ClaudeDeadlineError):
            await call(client, prompt(), stream=stream)
    assert clock.monotonic() == 45.0


async def test_an_outage_opens_the_circuit_of_the_address(
    stream: bool, log: EventList, clock: VirtualClock
) -> None:
    wire = Wire("status(529, count=None)", log, clock)
    circuit = CircuitSettings(consecutive_failures=2)
    settings = PolicySettings(circuit=circuit, retry=RetrySettings(max_retries=1))
    async with wire.client(settings) as client:
        with pytest.raises(ClaudeStatusError):
            await call(client, prompt(), stream=stream)
        for _ in range(20):
            with pytest.raises(CircuitOpenError, match=r"http://scripted\.claude\.invalid keeps"):
                await call(client, prompt(), stream=stream)
    assert wire.requests == 2
