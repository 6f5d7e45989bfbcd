"""Rate limit: who waits, for what, how long, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from random import Random

import pytest

from mnemosyne_core.claude import AnthropicClient, ClaudeClient, Limits, Measure, Prompt, Quota
from mnemosyne_core.claude.policies import (
    Limiter,
    PolicySettings,
    RateLimit,
    RateLimitSettings,
    Told,
    with_policies,
)
from mnemosyne_core.errors import Abort, ClaudeStatusError, RateLimitWaitError
from mnemosyne_core.events import ClaudeRateLimited
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
    used,
)


def limited(
    claude: ClaudeClient,
    told: Told,
    clock: VirtualClock,
    *,
    limiter: Limiter | None = None,
    **bounds: float,
) -> RateLimit:
    settings = RateLimitSettings.model_validate(bounds)
    return RateLimit(
        claude, settings, told=told, clock=clock, limiter=limiter or Limiter(settings, clock)
    )


def numbered(count: int) -> list[Prompt]:
    return [prompt(f"number {n}") for n in range(count)]


# --- bounds of our own -------------------------------------------------------------------


async def test_requests_beyond_the_minute_s_wait_until_there_is_room(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    claude = FakeClaude()
    client = limited(claude, told, clock, requests_per_minute=2)

    await all_of(client, numbered(4))

    assert claude.asked_at == pytest.approx([0.0, 0.0, 30.0, 60.0])
    assert log.kinds == ["claude_rate_limited"] * 2
    first, second = (event.fact for event in log.events)
    assert first == ClaudeRateLimited(reason="our requests", wait_s=30.0)
    assert second == ClaudeRateLimited(reason="other calls wait before this one")


@pytest.mark.schedules(n=30)
async def test_calls_leave_the_line_in_the_order_in_which_they_came(
    told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude(took_s=0.1)
    client = limited(claude, told, clock, max_concurrent=1)
    came: list[Prompt] = []

    async def agent(asked: Prompt) -> None:
        came.append(asked)
        await client.send(asked)

    await asyncio.gather(*map(agent, numbered(6)))
    assert claude.prompts == came


async def test_a_large_call_is_not_overtaken_by_small_ones(told: Told, clock: VirtualClock) -> None:
    claude = FakeClaude(used(90))
    client = limited(claude, told, clock, tokens_per_minute=100)
    await client.send(prompt())
    large, small = prompt("x" * 250), prompt()

    await all_of(client, [large, small])
    assert claude.prompts[1:] == [large, small]


async def test_only_so_many_calls_are_under_way(
    told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(took_s=1.0)
    client = limited(claude, told, clock, max_concurrent=2)

    await asyncio.gather(*(call(client, asked, stream=stream) for asked in numbered(5)))

    assert claude.most_at_once == 2
    assert clock.monotonic() == 3.0


@pytest.mark.parametrize("broken", [LOST, Broken(2, LOST)], ids=["at-once", "in-the-middle"])
async def test_a_call_that_fails_makes_room(
    broken: BaseException | Broken, told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(broken, HELLO)
    client = limited(claude, told, clock, max_concurrent=1)

    with pytest.raises(type(LOST)):
        await call(client, prompt(), stream=stream)
    assert await call(client, prompt(), stream=stream) == HELLO


async def test_what_was_estimated_is_put_right_by_what_was_used(
    told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude(used(500, 700))
    client = limited(claude, told, clock, tokens_per_minute=600)

    await client.send(prompt())
    # 600 were there and 1200 were used: the next one's estimate is there in a minute and more.
    await client.send(prompt())
    assert claude.asked_at[1] > 60.0


async def test_a_stream_that_breaks_counts_with_what_it_had_used(
    told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude(Broken(1, LOST, reply=used(600)), HELLO)
    client = limited(claude, told, clock, tokens_per_minute=600)
    with pytest.raises(type(LOST)):
        await call(client, prompt(), stream=True)
    await client.send(prompt())
    assert claude.asked_at[1] > 1.0


async def test_who_gives_up_in_the_line_leaves_no_trace(told: Told, clock: VirtualClock) -> None:
    claude = FakeClaude(took_s=10.0)
    client = limited(claude, told, clock, max_concurrent=1)
    tasks = [asyncio.create_task(client.send(asked)) for asked in numbered(4)]
    await clock.advance(1)
    tasks[1].cancel()  # the first in line
    tasks[2].cancel()
    await asyncio.wait(tasks)

    assert [asked.messages for asked in claude.prompts] == [
        numbered(4)[0].messages,
        numbered(4)[3].messages,
    ]
    assert claude.asked_at == [0.0, 10.0]


@pytest.mark.schedules(n=30)
async def test_no_cancellation_loses_a_place(told: Told, clock: VirtualClock) -> None:
    """Whoever is cancelled, at whatever moment, the others all get their turn."""
    claude = FakeClaude(took_s=1.0)
    client = limited(claude, told, clock, max_concurrent=2)
    tasks = [asyncio.create_task(client.send(asked)) for asked in numbered(8)]

    async def cancel(number: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        tasks[number].cancel()

    await asyncio.gather(cancel(1, 0.5), cancel(3, 1.0), cancel(4, 1.0), cancel(5, 0.0))
    await asyncio.wait(tasks)

    assert [task.cancelled() for task in tasks].count(False) >= 4
    assert await client.send(prompt()) == HELLO


# --- how long ------------------------------------------------------------------------------


async def test_a_call_that_would_wait_too_long_fails_at_once(
    told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude()
    client = limited(claude, told, clock, requests_per_minute=1, max_wait_s=59.0)
    await client.send(prompt())

    with pytest.raises(RateLimitWaitError, match="which has room in 60 s") as caught:
        await call(client, prompt(), stream=stream)

    assert clock.monotonic() == 0.0
    assert (caught.value.retry_after_s, caught.value.reason) == (60.0, "our requests")


async def test_a_wait_that_nobody_can_foresee_ends_too(told: Told, clock: VirtualClock) -> None:
    client = limited(FakeClaude(took_s=3600.0), told, clock, max_concurrent=1, max_wait_s=60.0)
    first = asyncio.create_task(client.send(prompt()))
    await clock.settle()

    with pytest.raises(RateLimitWaitError, match="that was not enough") as caught:
        await client.send(prompt())
    assert clock.monotonic() == 60.0
    assert caught.value.retry_after_s is None
    await first


# --- what the API says -----------------------------------------------------------------------


async def test_a_retry_after_is_kept_by_all_calls_of_that_model(
    told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(status(429, retry_after_s=45.0), HELLO)
    client = limited(claude, told, clock)
    with pytest.raises(ClaudeStatusError):
        await call(client, prompt(), stream=stream)

    await client.send(prompt(model="claude-haiku-5-5"))
    await asyncio.gather(*(call(client, asked, stream=stream) for asked in numbered(3)))

    assert claude.asked_at == [0.0, 0.0, 45.0, 45.0, 45.0]


def told_of(
    clock: VirtualClock, *, remaining: int, limit: int = 60, full_in_s: float = 60.0
) -> Limits:
    now = clock.now()
    reset = now + timedelta(seconds=full_in_s)
    return Limits(
        quotas={Measure.REQUESTS: Quota(limit=limit, remaining=remaining, reset=reset)}, at=now
    )


async def test_what_an_answer_says_is_left_is_shared_out_as_it_fills(
    told: Told, clock: VirtualClock
) -> None:
    limiter = Limiter(RateLimitSettings(), clock)
    limiter.hear("claude-sonnet-5-5", told_of(clock, remaining=0))
    claude = FakeClaude()
    client = limited(claude, told, clock, limiter=limiter)

    await client.send(prompt(model="claude-haiku-5-5"))
    await client.send(prompt())
    assert claude.asked_at == [0.0, 1.0]


async def test_the_api_s_resets_are_meant_on_the_api_s_clock(
    told: Told, clock: VirtualClock
) -> None:
    limiter = Limiter(RateLimitSettings(), clock)
    theirs = clock.now() + timedelta(days=300)
    quota = Quota(limit=60, remaining=0, reset=theirs + timedelta(seconds=60))
    limiter.hear("claude-sonnet-5-5", Limits(quotas={Measure.REQUESTS: quota}, at=theirs))

    await limited(FakeClaude(), told, clock, limiter=limiter).send(prompt())
    assert clock.monotonic() == 1.0


async def test_what_was_said_long_ago_makes_nobody_wait(told: Told, clock: VirtualClock) -> None:
    """As in a replay, whose answers carry the dates of their recording."""
    limiter = Limiter(RateLimitSettings(), clock)
    long_ago = datetime.fromisoformat("2024-01-01T00:00:00Z")
    quota = Quota(limit=60, remaining=0, reset=long_ago)
    limiter.hear("claude-sonnet-5-5", Limits(quotas={Measure.REQUESTS: quota}))

    await limited(FakeClaude(), told, clock, limiter=limiter).send(prompt())
    assert clock.monotonic() == 0.0


async def test_calls_under_way_are_not_forgotten_between_two_answers(
    told: Told, clock: VirtualClock
) -> None:
    limiter = Limiter(RateLimitSettings(), clock)
    limiter.hear("claude-sonnet-5-5", told_of(clock, remaining=3))
    claude = FakeClaude(took_s=0.01)
    client = limited(claude, told, clock, limiter=limiter)

    tasks = [asyncio.create_task(client.send(asked)) for asked in numbered(5)]
    await clock.settle()
    assert claude.at_once == 3
    await asyncio.wait(tasks)


async def agents_at(
    claude: ScriptedClaude,
    log: EventList,
    clock: VirtualClock,
    asked: Sequence[Prompt],
    settings: RateLimitSettings,
    *,
    stream: bool,
) -> None:
    async with claude.client(max_retries=0) as sdk:
        client = with_policies(
            AnthropicClient(sdk),
            PolicySettings(rate_limit=settings),
            recorder=log,
            clock=clock,
            random=Random(0),
        )
        await call(client, prompt(), stream=stream)
        await asyncio.gather(*(call(client, each, stream=stream) for each in asked))


@pytest.mark.schedules(n=25)
async def test_agents_share_the_api_s_limit_and_none_is_refused(
    log: EventList, clock: VirtualClock
) -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=6).latency(first_byte_s=0.5)
    claude.reply("Hello.", times=None)

    # What the API refuses is an error here: nothing repeats it.
    await agents_at(claude, log, clock, numbered(12), RateLimitSettings(), stream=False)
    assert len(claude.requests) == 13
    assert log.kinds.count("claude_rate_limited") >= 1


async def test_a_stream_says_what_is_left_as_well(log: EventList, clock: VirtualClock) -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=2)
    claude.reply("Hello.", times=None)
    await agents_at(claude, log, clock, numbered(3), RateLimitSettings(), stream=True)
    assert len(claude.requests) == 4


async def test_input_and_output_tokens_have_limits_too(log: EventList, clock: VirtualClock) -> None:
    claude = ScriptedClaude().rate_limit(input_tokens_per_minute=200, output_tokens_per_minute=50)
    claude.reply("Hello to everybody who has come here today.", times=None)
    asked = [prompt("x" * 120, max_tokens=30)] * 8

    await agents_at(claude, log, clock, asked, RateLimitSettings(max_wait_s=600.0), stream=False)
    assert len(claude.requests) == 9
    assert clock.monotonic() > 60


async def test_who_does_not_heed_the_answers_is_refused_by_the_api(
    log: EventList, clock: VirtualClock
) -> None:
    claude = ScriptedClaude().rate_limit(requests_per_minute=2)
    claude.reply("Hello.", times=None)
    deaf = RateLimitSettings(heed_answers=False)
    with pytest.raises(ClaudeStatusError, match="429"):
        await agents_at(claude, log, clock, numbered(3), deaf, stream=False)


async def test_an_abort_uses_nothing_and_waits_for_nothing(
    told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(Abort("no such recording"))
    client = limited(claude, told, clock, requests_per_minute=1)
    for _ in range(3):
        with pytest.raises(Abort):
            await call(client, prompt(), stream=stream)
    assert clock.monotonic() == 0.0


async def test_a_stream_that_is_left_early_makes_room(told: Told, clock: VirtualClock) -> None:
    client = limited(FakeClaude(), told, clock, max_concurrent=1)
    async with aclosing(client.stream(prompt())) as events:
        await anext(events)
    assert await client.send(prompt()) == HELLO
