"""All policies together: their order, and what is shared."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from mnemosyne_core import lane
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
    Abort,
    BudgetExceededError,
    CircuitOpenError,
    ClaudeDeadlineError,
    ClaudeStatusError,
)
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import (
    HELLO,
    LOST,
    FakeClaude,
    all_of,
    call,
    prompt,
    status,
    used,
)

EXACT = RetrySettings(jitter=0.0)
ALL = PolicySettings(
    deadline=DeadlineSettings(),
    retry=EXACT,
    circuit=CircuitSettings(),
    budget=BudgetSettings(tokens=1_000_000),
    rate_limit=RateLimitSettings(),
)


def stacked(
    claude: ClaudeClient, settings: PolicySettings, log: EventList, clock: VirtualClock
) -> ClaudeClient:
    return with_policies(claude, settings, recorder=log, clock=clock, random=Random(0))


async def test_without_settings_nothing_stands_in_front(
    log: EventList, clock: VirtualClock
) -> None:
    for claude in (FakeClaude(), AnthropicClient()):
        assert stacked(claude, PolicySettings(), log, clock) is claude


async def test_a_call_that_nothing_is_wrong_with_leaves_no_trace(
    log: EventList, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude()
    client = stacked(claude, ALL, log, clock)

    await client.open()
    assert await call(client, prompt(), stream=stream) == HELLO
    await client.aclose()

    assert (claude.opened, len(claude.prompts), claude.closed) == (1, 1, 1)
    assert log.events == []
    assert clock.monotonic() == 0.0


async def test_the_deadline_bounds_a_call_with_its_retries_and_waits(
    log: EventList, clock: VirtualClock, stream: bool
) -> None:
    settings = PolicySettings(
        deadline=DeadlineSettings(call_s=10.0),
        retry=EXACT,
        rate_limit=RateLimitSettings(requests_per_minute=2),
    )
    client = stacked(FakeClaude(LOST), settings, log, clock)

    with pytest.raises(ClaudeDeadlineError):
        await call(client, prompt(), stream=stream)

    assert clock.monotonic() == 10.0
    assert log.kinds == [
        "claude_retried",
        "claude_retried",
        "claude_rate_limited",
        "claude_deadline_exceeded",
    ]


async def test_every_retry_passes_all_that_follows(
    log: EventList, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(status(529))
    settings = PolicySettings(retry=EXACT, circuit=CircuitSettings(consecutive_failures=2))
    client = stacked(claude, settings, log, clock)

    # The second failure opens the circuit, which refuses the second retry.
    with pytest.raises(CircuitOpenError):
        await call(client, prompt(), stream=stream)
    assert len(claude.prompts) == 2


async def test_a_refusal_neither_waits_in_line_nor_costs_anything(
    log: EventList, clock: VirtualClock
) -> None:
    claude = FakeClaude(LOST)
    settings = PolicySettings(
        circuit=CircuitSettings(consecutive_failures=1),
        budget=BudgetSettings(tokens=100),
        rate_limit=RateLimitSettings(requests_per_minute=1),
    )
    client = stacked(claude, settings, log, clock)
    with pytest.raises(type(LOST)):
        await client.send(prompt())

    assert all(isinstance(each, CircuitOpenError) for each in await all_of(client, [prompt()] * 5))
    with pytest.raises(CircuitOpenError):
        await client.send(prompt(max_tokens=1_000))
    assert clock.monotonic() == 0.0


async def test_what_is_not_paid_for_does_not_wait_in_line(
    log: EventList, clock: VirtualClock
) -> None:
    settings = PolicySettings(
        budget=BudgetSettings(tokens=100), rate_limit=RateLimitSettings(requests_per_minute=1)
    )
    client = stacked(FakeClaude(used(90)), settings, log, clock)
    await client.send(prompt())
    with pytest.raises(BudgetExceededError):
        await client.send(prompt())
    assert clock.monotonic() == 0.0


async def test_a_retry_after_is_waited_for_once(
    log: EventList, clock: VirtualClock, stream: bool
) -> None:
    client = stacked(FakeClaude(status(429, retry_after_s=45.0), HELLO), ALL, log, clock)
    assert await call(client, prompt(), stream=stream) == HELLO
    assert clock.monotonic() == 45.0


@pytest.mark.schedules(n=20)
async def test_ten_minutes_without_claude_are_survived_in_any_order(
    log: EventList, clock: VirtualClock
) -> None:
    """Agents whose items go round again get through, and the outage costs few requests."""
    claude = FakeClaude(status(529, "overloaded_error"), took_s=0.5)
    client = stacked(claude, ALL, log, clock)

    async def agent(name: str) -> None:
        with lane.entered(lane.Lane(name)):
            while True:
                try:
                    await client.send(prompt())
                    return
                except (CircuitOpenError, ClaudeStatusError):
                    await asyncio.sleep(5)

    agents = [asyncio.create_task(agent(f"executor/sub-{n}")) for n in range(4)]
    await asyncio.sleep(600)
    in_outage = len(claude.prompts)
    claude.answer_from_now_on(HELLO)
    await asyncio.gather(*agents)

    # Without the circuit there would be hundreds.
    assert in_outage <= 40
    assert clock.monotonic() <= 600 + 30 + 10
    assert {event.agent for event in log.events} == {f"executor/sub-{n}" for n in range(4)}


@pytest.mark.schedules(n=20)
async def test_an_abort_passes_through_all_of_them_in_any_order(
    log: EventList, clock: VirtualClock
) -> None:
    claude = FakeClaude(Abort("no such recording"))
    client = stacked(claude, ALL, log, clock)
    tasks = [asyncio.create_task(call(client, prompt(), stream=n % 2 == 0)) for n in range(4)]
    await asyncio.wait(tasks)

    assert all(isinstance(task.exception(), Abort) for task in tasks)
    assert len(claude.prompts) == 4
    assert log.events == []
    claude.answer_from_now_on(HELLO)
    assert await client.send(prompt()) == HELLO
