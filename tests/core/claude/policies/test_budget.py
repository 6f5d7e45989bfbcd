"""Budget: what is set aside, what is taken, and when nothing more is asked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from pydantic import ValidationError

from mnemosyne_core import lane
from mnemosyne_core.claude.policies import Budget, BudgetSettings, Price, Told
from mnemosyne_core.claude.policies._budget import cost
from mnemosyne_core.errors import Abort, BudgetExceededError, MissingPriceError
from mnemosyne_core.events import BudgetExhausted, BudgetWarned
from mnemosyne_core.work import Usage
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import (
    LOST,
    MODEL,
    Broken,
    FakeClaude,
    all_of,
    call,
    prompt,
    status,
    used,
)

# Its estimate is about forty tokens of input; with this the call may use 140 at most.
PROMPT = prompt(max_tokens=100)


def paid(claude: FakeClaude, told: Told, **settings: object) -> Budget:
    return Budget(claude, BudgetSettings.model_validate(settings), told=told)


async def test_calls_stop_when_too_little_is_left_for_one_more(
    stream: bool, told: Told, log: EventList
) -> None:
    claude = FakeClaude(used(250, 50))
    client = paid(claude, told, tokens=1_000, warn_at=1.0)
    for _ in range(3):
        await call(client, PROMPT, stream=stream)

    with lane.entered(lane.Lane("executor", 2)):
        for _ in range(2):
            with pytest.raises(BudgetExceededError, match=r"900 of the budget's 1,000 tokens"):
                await call(client, PROMPT, stream=stream)

    assert len(claude.prompts) == 3
    event = log.only("budget_exhausted")
    assert (event.agent, event.attempt) == ("executor", 2)
    assert isinstance(event.fact, BudgetExhausted)
    assert (event.fact.unit, event.fact.limit, event.fact.spent) == ("tokens", 1_000, 900)


async def test_a_smaller_call_still_fits(told: Told) -> None:
    claude = FakeClaude(used(900))
    client = paid(claude, told, tokens=1_000)
    await client.send(PROMPT)
    with pytest.raises(BudgetExceededError):
        await client.send(PROMPT)
    await client.send(prompt(max_tokens=1))


async def test_calls_at_the_same_time_cannot_exceed_it_together(told: Told) -> None:
    claude = FakeClaude(used(30, 100), took_s=1.0)
    client = paid(claude, told, tokens=500)

    outcomes = await all_of(client, [PROMPT] * 10)

    refused = [outcome for outcome in outcomes if isinstance(outcome, BudgetExceededError)]
    # The third had to wait until it was known that the first ones had used less than they might.
    assert len(outcomes) - len(refused) == len(claude.prompts) == 3
    assert len(claude.prompts) * 130 <= 500


@pytest.mark.schedules(n=30)
async def test_in_no_order_is_it_exceeded_or_left_unused(told: Told) -> None:
    claude = FakeClaude(used(30, 70), took_s=1.0)
    client = paid(claude, told, tokens=600)
    outcomes = await all_of(client, [PROMPT] * 12)
    refused = sum(isinstance(outcome, BudgetExceededError) for outcome in outcomes)
    assert len(claude.prompts) == 12 - refused == 5


async def test_what_is_set_aside_for_a_call_that_fails_is_there_again(
    stream: bool, told: Told
) -> None:
    claude = FakeClaude(status(529), LOST, used(30), took_s=1.0)
    client = paid(claude, told, tokens=150)
    outcomes = await asyncio.gather(
        *(call(client, PROMPT, stream=stream) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes[:2]] == [type(status(529)), type(LOST)]
    assert outcomes[2] == used(30)


async def test_who_waits_for_what_is_set_aside_may_give_up(told: Told, clock: VirtualClock) -> None:
    claude = FakeClaude(used(30), took_s=10.0)
    client = paid(claude, told, tokens=200)
    tasks = [asyncio.create_task(client.send(PROMPT)) for _ in range(3)]
    await clock.advance(1)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert not tasks[2].cancelled()
    assert len(claude.prompts) == 2


async def test_a_broken_stream_counts_once_with_what_was_known(told: Told, log: EventList) -> None:
    claude = FakeClaude(Broken(4, LOST, reply=used(300, 600)))
    client = paid(claude, told, tokens=1_000, warn_at=0.3)
    with pytest.raises(type(LOST)):
        await call(client, PROMPT, stream=True)

    # The input and the first token of the output: the rest the API had not counted yet.
    fact = log.only("budget_warned").fact
    assert fact == BudgetWarned(unit="tokens", limit=1_000, spent=301)


async def test_a_stream_that_nobody_wanted_to_the_end_counts_as_well(
    told: Told, log: EventList
) -> None:
    client = paid(FakeClaude(used(300, 600)), told, tokens=1_000, warn_at=0.3)
    async with aclosing(client.stream(PROMPT)) as events:
        await anext(events)
    assert log.kinds == ["budget_warned"]


async def test_a_warning_is_given_once(told: Told, log: EventList, stream: bool) -> None:
    client = paid(FakeClaude(used(100)), told, tokens=1_000, warn_at=0.5)
    for _ in range(8):
        await call(client, PROMPT, stream=stream)
    fact = log.only("budget_warned").fact
    assert fact == BudgetWarned(unit="tokens", limit=1_000, spent=500)


async def test_money_is_counted_by_the_price_of_the_model(told: Told, log: EventList) -> None:
    prices = {MODEL: Price(input=4.0, output=20.0), "claude-haiku-5-5": Price(input=1, output=4)}
    claude = FakeClaude(used(100_000, 10_000))
    client = paid(claude, told, money=1.0, prices=prices, warn_at=0.6)

    await client.send(prompt(model="claude-haiku-5-5"))  # 0.14
    assert log.events == []
    await client.send(PROMPT)  # 0.60
    fact = log.only("budget_warned").fact
    assert isinstance(fact, BudgetWarned)
    assert fact.unit == "money"
    assert fact.spent == pytest.approx(0.74)
    with pytest.raises(BudgetExceededError, match=r"0\.74 of the budget's 1 money"):
        await client.send(prompt(max_tokens=20_000))


def test_cached_tokens_have_prices_of_their_own() -> None:
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cache_creation_input_tokens=1_000_000,
        cache_read_input_tokens=1_000_000,
    )
    assert cost(usage, Price(input=3, output=15)) == 3 + 15 + 3 + 3
    assert cost(usage, Price(input=3, output=15, cache_write=4, cache_read=0.5)) == 22.5
    assert cost(usage, Price(input=3, output=15, cache_write=0, cache_read=0)) == 18


async def test_a_budget_of_money_asks_no_model_without_a_price(told: Told, stream: bool) -> None:
    claude = FakeClaude()
    client = paid(claude, told, money=1.0, prices={"claude-haiku-5-5": Price(input=1, output=5)})
    with pytest.raises(MissingPriceError, match="only claude-haiku-5-5 have one"):
        await call(client, PROMPT, stream=stream)
    assert claude.prompts == []


async def test_both_budgets_hold(told: Told) -> None:
    prices = {MODEL: Price(input=0.0, output=0.0)}
    client = paid(FakeClaude(used(90)), told, money=1.0, tokens=100, prices=prices)
    with pytest.raises(BudgetExceededError, match="tokens"):
        await client.send(PROMPT)


async def test_an_abort_uses_nothing(told: Told, stream: bool, log: EventList) -> None:
    client = paid(FakeClaude(Abort("no such recording")), told, tokens=200, warn_at=0.01)
    for _ in range(5):
        with pytest.raises(Abort):
            await call(client, PROMPT, stream=stream)
    assert log.events == []


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="tokens, of money, or of both"):
        BudgetSettings()


def test_a_budget_of_money_knows_a_price() -> None:
    with pytest.raises(ValidationError, match=r"money \(5\) needs the price .* add them"):
        BudgetSettings(money=5.0)
    with pytest.raises(ValidationError, match="needs the price"):
        BudgetSettings(money=5.0, tokens=100)
