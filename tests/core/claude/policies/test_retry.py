"""Retry: what is made again, when, how often, and that nobody else does it as well."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random

import pytest
from pydantic import ValidationError

from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.claude.policies import PolicySettings, Retry, RetrySettings, Told, with_policies
from mnemosyne_core.errors import (
    Abort,
    CircuitOpenError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
)
from mnemosyne_core.events import ClaudeRetried, ClaudeRetryRefused
from pytest_mnemosyne import ScriptedClaude
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import (
    HELLO,
    LOST,
    Broken,
    FakeClaude,
    all_of,
    call,
    prompt,
    status,
)

EXACT = RetrySettings(jitter=0.0)


def told_not_to(code: int, *, should_retry: bool) -> ClaudeStatusError:
    error = status(code)
    error.should_retry = should_retry
    return error


def repeating(
    claude: FakeClaude, told: Told, settings: RetrySettings = EXACT, seed: int = 0
) -> Retry:
    return Retry(claude, settings, told=told, random=Random(seed))


@pytest.mark.parametrize(
    "error",
    [
        *(pytest.param(status(code), id=str(code)) for code in (408, 409, 429, 500, 503, 529)),
        pytest.param(LOST, id="connection"),
        pytest.param(told_not_to(400, should_retry=True), id="400-but-again"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(
    error: ClaudeError, stream: bool, told: Told, log: EventList
) -> None:
    claude = FakeClaude(error, HELLO)

    assert await call(repeating(claude, told), prompt(), stream=stream) == HELLO
    assert claude.asked_at == [0.0, 0.5]
    assert log.kinds == ["claude_retried"]


@pytest.mark.parametrize(
    "error",
    [
        *(pytest.param(status(code), id=str(code)) for code in (401, 403, 404)),
        pytest.param(
            ClaudeRequestError(status=400, error_type="invalid_request_error", message="no"),
            id="400",
        ),
        pytest.param(told_not_to(529, should_retry=False), id="529-but-not-again"),
        pytest.param(MissingKeyError(looked_in=()), id="no-key"),
        pytest.param(
            CircuitOpenError(provider="claude", retry_after_s=1.0, reason="529"), id="circuit"
        ),
        pytest.param(Abort("no such recording"), id="abort"),
        pytest.param(RuntimeError("a bug"), id="bug"),
    ],
)
async def test_what_does_not_pass_is_not(
    error: BaseException, stream: bool, told: Told, log: EventList
) -> None:
    claude = FakeClaude(error)

    with pytest.raises(type(error)):
        await call(repeating(claude, told), prompt(), stream=stream)
    assert claude.asked_at == [0.0]
    assert log.events == []


async def test_an_answer_that_makes_no_sense_is_paid_for_and_not_asked_again(told: Told) -> None:
    claude = FakeClaude(ClaudeStreamError(reason="no JSON"))
    with pytest.raises(ClaudeStreamError):
        await repeating(claude, told).send(prompt())
    assert len(claude.prompts) == 1


@pytest.mark.parametrize(
    ("error", "after", "asked"),
    [
        pytest.param(LOST, 1, 2, id="lost-before-content"),
        pytest.param(ClaudeStreamError(reason="cut"), 1, 2, id="cut-before-content"),
        pytest.param(status(200, "overloaded_error"), 1, 2, id="error-before-content"),
        pytest.param(LOST, 2, 1, id="lost-in-content"),
        pytest.param(status(200, "overloaded_error"), 3, 1, id="error-in-content"),
        pytest.param(ClaudeStreamError(reason="cut"), 5, 1, id="cut-behind-content"),
    ],
)
async def test_a_stream_is_tried_again_until_its_first_content(
    error: ClaudeError, after: int, asked: int, told: Told
) -> None:
    claude = FakeClaude(Broken(after, error), HELLO)
    events = []
    failure: ClaudeError | None = None
    async with aclosing(repeating(claude, told).stream(prompt())) as given:
        try:
            async for event in given:
                events.append(event)  # noqa: PERF401 - what came before a failure counts
        except ClaudeError as broken:
            failure = broken

    assert len(claude.prompts) == asked
    assert [event["type"] for event in events].count("message_start") == 1
    assert failure is (error if asked == 1 else None)


async def test_a_stream_without_content_is_given_whole(told: Told) -> None:
    nothing = type(HELLO)(id="m", model="x", content=(), stop_reason="end_turn")
    assert await call(repeating(FakeClaude(nothing), told), prompt(), stream=True) == nothing


async def test_pauses_double_up_to_a_bound_and_then_the_error_is_the_caller_s(
    stream: bool, told: Told, log: EventList
) -> None:
    claude = FakeClaude(status(529))
    settings = RetrySettings(jitter=0.0, max_retries=4, first_wait_s=1.0, max_wait_s=3.0)

    with pytest.raises(ClaudeStatusError, match="529"):
        await call(repeating(claude, told, settings), prompt(), stream=stream)

    assert claude.asked_at == [0.0, 1.0, 3.0, 6.0, 9.0]
    assert [e.fact.retry for e in log.events if isinstance(e.fact, ClaudeRetried)] == [1, 2, 3, 4]
    last = log.events[-1].fact
    assert isinstance(last, ClaudeRetryRefused)
    assert last.reason == "it was made again 4 times"


async def test_chance_shortens_a_pause_and_is_repeatable(told: Told) -> None:
    settings = RetrySettings(jitter=0.5, first_wait_s=8.0)
    pauses = []
    for seed in (1, 1, 2):
        claude = FakeClaude(LOST, HELLO)
        await repeating(claude, told, settings, seed=seed).send(prompt())
        pauses.append(claude.asked_at[1] - claude.asked_at[0])

    assert pauses[0] == pytest.approx(pauses[1])
    assert pauses[0] != pytest.approx(pauses[2])
    assert all(4.0 <= pause <= 8.0 for pause in pauses)


async def test_an_hour_that_the_api_asks_for_costs_nothing(
    stream: bool, told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude(status(429, retry_after_s=3600.0), HELLO)
    settings = RetrySettings(jitter=0.5, max_retry_after_s=3600.0)

    assert await call(repeating(claude, told, settings), prompt(), stream=stream) == HELLO
    assert clock.monotonic() == 3600.0


async def test_who_asks_for_too_long_a_pause_is_not_asked_again(
    stream: bool, told: Told, clock: VirtualClock, log: EventList
) -> None:
    claude = FakeClaude(status(429, retry_after_s=61.0))

    with pytest.raises(ClaudeStatusError):
        await call(repeating(claude, told), prompt(), stream=stream)

    assert clock.monotonic() == 0.0
    fact = log.only("claude_retry_refused").fact
    assert isinstance(fact, ClaudeRetryRefused)
    assert fact.reason == "Claude asks to wait 61 s, and 60 s is the most"


async def test_an_outage_is_not_multiplied_by_the_retries_of_everybody(
    told: Told, log: EventList
) -> None:
    claude = FakeClaude(status(529))
    settings = RetrySettings(jitter=0.0, budget_ratio=0.2, budget_max=10)

    outcomes = await all_of(repeating(claude, told, settings), [prompt()] * 100)

    assert all(isinstance(outcome, ClaudeStatusError) for outcome in outcomes)
    # Ten were there, and what the calls earned in the first moment was lost on a full budget.
    assert len(claude.prompts) == 100 + 10
    assert log.kinds.count("claude_retried") == 10


async def test_calls_earn_the_retries_of_later_ones(told: Told) -> None:
    settings = RetrySettings(jitter=0.0, max_retries=1, budget_ratio=0.2, budget_max=1)
    claude = FakeClaude(status(529))
    client = repeating(claude, told, settings)
    asked = []
    for _ in range(11):
        before = len(claude.prompts)
        with pytest.raises(ClaudeStatusError):
            await client.send(prompt())
        asked.append(len(claude.prompts) - before)

    # The first uses what was there; from then on every fifth call has earned one.
    assert asked == [2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2]


async def test_a_call_that_is_cancelled_in_its_pause_is_not_made_again(
    stream: bool, told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude(LOST)
    task = asyncio.create_task(call(repeating(claude, told), prompt(), stream=stream))
    await clock.advance(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(claude.prompts) == 1


@pytest.mark.parametrize("sdk_retries", [0, 2, 5])
async def test_the_sdk_s_own_retries_are_never_added_to_ours(
    sdk_retries: int, stream: bool, log: EventList, clock: VirtualClock
) -> None:
    claude = ScriptedClaude()
    claude.fail(529, times=None)
    settings = PolicySettings(retry=RetrySettings(max_retries=3))
    async with claude.client(max_retries=sdk_retries) as sdk:
        client = with_policies(
            AnthropicClient(sdk), settings, recorder=log, clock=clock, random=Random(0)
        )
        with pytest.raises(ClaudeStatusError):
            await call(client, prompt(), stream=stream)

    assert len(claude.requests) == 1 + 3


async def test_without_ours_the_sdk_s_own_retries_are_as_they_were(
    stream: bool, log: EventList, clock: VirtualClock
) -> None:
    claude = ScriptedClaude()
    claude.fail(529, times=None)
    async with claude.client(max_retries=2) as sdk:
        client = with_policies(
            AnthropicClient(sdk), PolicySettings(), recorder=log, clock=clock, random=Random(0)
        )
        with pytest.raises(ClaudeStatusError):
            await call(client, prompt(), stream=stream)

    assert len(claude.requests) == 1 + 2
    assert log.events == []


def test_a_first_wait_beyond_the_longest_one_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"first_wait_s \(9\) is beyond max_wait_s \(3\)"):
        RetrySettings(first_wait_s=9.0, max_wait_s=3.0)
