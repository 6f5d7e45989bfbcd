"""How long scripted answers take, on the clock of whoever carries them."""

from __future__ import annotations

import asyncio
import json
import time

import anthropic
import pytest

from pytest_mnemosyne.simulation import ScriptedClaude, ScriptError
from pytest_mnemosyne.wire import BlockingClock
from tests.simulation.scripted.asking import body, send

_SAID = "four words that are cut into some pieces of which each one takes its time"


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def ask(client: anthropic.AsyncAnthropic) -> anthropic.types.Message:
    return await client.messages.create(
        model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
    )


async def times_of_events(client: anthropic.AsyncAnthropic) -> list[tuple[str, float]]:
    stream = await client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Hi"}],
        stream=True,
    )
    return [(event.type, now_s()) async for event in stream]


@pytest.mark.virtual_time
async def test_an_answer_comes_when_all_its_tokens_are_said() -> None:
    claude = ScriptedClaude().latency(first_byte_s=0.4, per_token_s=0.02)
    claude.reply(_SAID, usage={"output_tokens": 100})

    async with claude.client() as client:
        await ask(client)

    assert now_s() == pytest.approx(0.4 + 100 * 0.02)


@pytest.mark.virtual_time
async def test_each_event_of_a_stream_leaves_when_its_tokens_are_said() -> None:
    claude = ScriptedClaude().latency(first_byte_s=0.4, per_token_s=0.02)
    claude.reply(_SAID, usage={"output_tokens": 100})

    async with claude.client() as client:
        events = await times_of_events(client)

    assert events[0][0] == "message_start"
    assert events[0][1] == pytest.approx(0.4)
    deltas = [at for kind, at in events if kind == "content_block_delta"]
    assert len(deltas) > 2
    assert deltas == sorted(set(deltas))
    assert 0.4 < deltas[0] < deltas[-1]
    assert [at for _, at in events[-3:]] == [pytest.approx(2.4)] * 3


@pytest.mark.virtual_time
async def test_a_slow_reader_loses_no_more_time_than_it_takes() -> None:
    claude = ScriptedClaude().reply(_SAID, per_token_s=0.1, usage={"output_tokens": 100})

    async with claude.client() as client:
        stream = await client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
        )
        async for event in stream:
            if event.type == "message_start":
                await asyncio.sleep(9)

    assert now_s() == pytest.approx(10)


@pytest.mark.virtual_time
async def test_an_answers_own_latency_comes_before_that_of_the_script() -> None:
    claude = ScriptedClaude().latency(first_byte_s=10)
    claude.reply("quick", first_byte_s=1).fail(500, first_byte_s=2).fail(500)

    async with claude.client(max_retries=0) as client:
        await ask(client)
        assert now_s() == pytest.approx(1)
        for end_s in (3, 13):
            with pytest.raises(anthropic.InternalServerError):
                await ask(client)
            assert now_s() == pytest.approx(end_s)


@pytest.mark.virtual_time
async def test_concurrent_answers_take_their_time_at_the_same_time() -> None:
    claude = ScriptedClaude().latency(first_byte_s=3).reply("x", times=3)

    async with claude.client() as client:
        await asyncio.gather(*(ask(client) for _ in range(3)))

    assert now_s() == pytest.approx(3)


@pytest.mark.virtual_time
async def test_a_client_does_not_wait_longer_than_its_timeout() -> None:
    claude = ScriptedClaude().reply("late", first_byte_s=60)

    async with claude.client(max_retries=0, timeout=5) as client:
        with pytest.raises(anthropic.APITimeoutError):
            await ask(client)

    assert now_s() == pytest.approx(5)
    claude.assert_all_played()


@pytest.mark.virtual_time
async def test_a_cancelled_client_leaves_a_step_that_was_played() -> None:
    claude = ScriptedClaude().reply("late", first_byte_s=60)

    async with claude.client() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ask(client)

    claude.assert_all_played()


@pytest.mark.virtual_time
async def test_the_sdk_waits_as_long_as_it_is_asked_to() -> None:
    claude = ScriptedClaude().fail(429, retry_after=30).reply("now")

    async with claude.client() as client:
        await ask(client)

    assert now_s() == pytest.approx(30)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_without_a_loop_the_time_is_slept(stream: bool) -> None:
    slept: list[float] = []
    clock = BlockingClock(monotonic=lambda: sum(slept), sleep=slept.append)
    claude = ScriptedClaude().latency(first_byte_s=0.5, per_token_s=0.1)
    claude.reply(_SAID, usage={"output_tokens": 10})

    asked = json.dumps(body(stream=stream)).encode()
    send(claude, "POST", "/v1/messages", content=asked, clock=clock)

    assert sum(slept) == pytest.approx(1.5)


def test_over_loopback_the_time_is_real() -> None:
    with ScriptedClaude().reply("late", first_byte_s=0.02) as claude:
        client = anthropic.Anthropic(api_key="k", base_url=claude.url)
        began_s = time.monotonic()
        client.messages.create(
            model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
        )
        client.close()

        assert time.monotonic() - began_s >= 0.02


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ScriptError, match="first_byte_s is a number of seconds from 0 on"):
        ScriptedClaude().latency(first_byte_s=seconds)
    with pytest.raises(ScriptError, match="per_token_s is a number of seconds from 0 on"):
        ScriptedClaude().reply("x", per_token_s=seconds)
