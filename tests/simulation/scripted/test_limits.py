"""Rate limits that count, in the time of the running loop."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import anthropic
import pytest

from pytest_mnemosyne.simulation import ScriptedClaude, ScriptError
from pytest_mnemosyne.simulation.loop import EPOCH
from tests.simulation.scripted.asking import Answered, ask


async def create(client: anthropic.AsyncAnthropic, said: str = "Hi") -> anthropic.types.Message:
    return await client.messages.create(
        model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": said}]
    )


def state(answered: Answered, what: str) -> tuple[str, str]:
    prefix = f"anthropic-ratelimit-{what}"
    return answered.headers[f"{prefix}-limit"], answered.headers[f"{prefix}-remaining"]


def test_headers_say_what_is_left() -> None:
    claude = ScriptedClaude().reply("x", times=None, usage={"output_tokens": 10})
    claude.rate_limit(
        requests_per_minute=50, input_tokens_per_minute=1000, output_tokens_per_minute=100
    )

    ask(claude)
    answered = ask(claude)

    used = 2 * answered.body["usage"]["input_tokens"]
    assert state(answered, "requests") == ("50", "48")
    assert state(answered, "input-tokens") == ("1000", str(1000 - used))
    assert state(answered, "output-tokens") == ("100", "80")
    assert state(answered, "tokens") == ("1100", str(1080 - used))


def test_only_what_is_limited_is_told() -> None:
    answered = ask(ScriptedClaude().rate_limit(requests_per_minute=5).reply("x"))

    told = [name for name in answered.headers if "ratelimit" in name]
    assert told == [f"anthropic-ratelimit-requests-{n}" for n in ("limit", "remaining", "reset")]


@pytest.mark.virtual_time
async def test_one_request_too_many_waits_until_there_is_room_again() -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=2).reply("x", times=3)

    async with claude.client() as client:
        for _ in range(3):
            await create(client)

    # Two at once; the third was asked to wait for half a minute, which is one request.
    assert asyncio.get_running_loop().time() == pytest.approx(30)
    assert len(claude.requests) == 4
    claude.assert_all_played()


@pytest.mark.virtual_time
async def test_a_request_beyond_the_limit_is_told_when_to_come_again() -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=1).reply("x", times=None)

    async with claude.client(max_retries=0) as client:
        await create(client)
        await asyncio.sleep(20)
        with pytest.raises(anthropic.RateLimitError) as caught:
            await create(client)
        headers = caught.value.response.headers
        await asyncio.sleep(40)
        await create(client)

    assert headers["retry-after"] == "40"
    assert headers["x-should-retry"] == "true"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    full = EPOCH + timedelta(seconds=60)
    assert headers["anthropic-ratelimit-requests-reset"] == f"{full:%Y-%m-%dT%H:%M:%SZ}"
    assert "rate limit of 1 requests per minute" in str(caught.value)


@pytest.mark.virtual_time
async def test_output_is_counted_when_it_is_known() -> None:
    claude = ScriptedClaude().rate_limit(output_tokens_per_minute=60)
    claude.reply("long", usage={"output_tokens": 90}).reply("next")

    async with claude.client(max_retries=0) as client:
        await create(client)
        with pytest.raises(anthropic.RateLimitError) as caught:
            await create(client)

    # 30 below zero, and one is needed.
    assert caught.value.response.headers["retry-after"] == "31"


@pytest.mark.virtual_time
async def test_input_that_is_read_from_the_cache_is_not_counted() -> None:
    claude = ScriptedClaude().rate_limit(input_tokens_per_minute=1500).reply("x", times=None)
    cached: anthropic.types.TextBlockParam = {
        "type": "text",
        "text": "x" * 4000,
        "cache_control": {"type": "ephemeral"},
    }

    async with claude.client(max_retries=0) as client:
        for _ in range(2):
            await client.messages.create(
                model="claude-sonnet-5-5",
                max_tokens=64,
                messages=[{"role": "user", "content": [cached]}],
            )
            await asyncio.sleep(40)

    assert claude.unscripted == ()


def test_a_request_that_no_waiting_lets_in_is_not_to_be_tried_again() -> None:
    claude = ScriptedClaude().rate_limit(input_tokens_per_minute=10).reply("never reached")

    answered = ask(claude, "x" * 100)

    assert (answered.status, answered.headers["x-should-retry"]) == (429, "false")
    assert "retry-after" not in answered.headers
    assert "rate limit of 10 input tokens per minute" in answered.problem
    assert len(claude.pending()) == 1


def test_an_error_takes_its_request_from_the_limit_too() -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=1).fail(500)

    assert [ask(claude).status for _ in range(2)] == [500, 429]


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ScriptError, match="limits at least one of requests_per_minute"):
        ScriptedClaude().rate_limit()
    with pytest.raises(ScriptError, match="output_tokens_per_minute is 1 or more"):
        ScriptedClaude().rate_limit(output_tokens_per_minute=0)
