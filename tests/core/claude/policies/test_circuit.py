"""Circuit breaker: when it opens, who tries, and what counts."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from mnemosyne_core.claude.policies import (
    Circuit,
    CircuitBreaker,
    CircuitSettings,
    Deadline,
    DeadlineSettings,
    PolicySettings,
    RateLimitSettings,
    Told,
    Witness,
    with_policies,
)
from mnemosyne_core.errors import (
    Abort,
    BudgetExceededError,
    CircuitOpenError,
    ClaudeDeadlineError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
)
from mnemosyne_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened
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

TWO = CircuitSettings(consecutive_failures=2, open_s=30.0)
BAD_REQUEST = ClaudeRequestError(status=400, error_type="invalid_request_error", message="no")


@pytest.fixture
def claude() -> FakeClaude:
    return FakeClaude()


def guarded(
    claude: FakeClaude, told: Told, clock: VirtualClock, settings: CircuitSettings = TWO
) -> CircuitBreaker:
    circuit = Circuit(
        settings, told=told, clock=clock, provider=lambda: "https://api.anthropic.com"
    )
    return CircuitBreaker(Witness(claude, circuit), circuit)


@pytest.fixture
def client(claude: FakeClaude, told: Told, clock: VirtualClock) -> CircuitBreaker:
    return guarded(claude, told, clock)


async def fail(client: CircuitBreaker, claude: FakeClaude, *errors: ClaudeError) -> None:
    """One call for each error, which ends with it."""
    for error in errors:
        claude.answer_from_now_on(error)
        with pytest.raises(type(error)):
            await client.send(prompt())


async def test_failures_in_a_row_open_it_and_others_are_refused_at_once(
    client: CircuitBreaker, claude: FakeClaude, clock: VirtualClock, stream: bool, log: EventList
) -> None:
    await fail(client, claude, status(529), LOST)
    await clock.advance(10)

    with pytest.raises(CircuitOpenError, match="tried again in 20 s") as caught:
        await call(client, prompt(), stream=stream)

    assert len(claude.prompts) == 2
    assert clock.monotonic() == 10.0
    error = caught.value
    assert (error.provider, error.retry_after_s) == ("https://api.anthropic.com", 20.0)
    (event,) = log.events
    assert event.fact == CircuitOpened(
        provider="https://api.anthropic.com", open_s=30.0, reason=str(LOST)
    )


async def test_a_success_in_between_begins_the_row_again(
    client: CircuitBreaker, claude: FakeClaude, log: EventList
) -> None:
    for _ in range(3):
        await fail(client, claude, status(500))
        claude.answer_from_now_on(HELLO)
        await client.send(prompt())
    assert log.events == []


async def test_a_rate_of_failures_opens_it_as_well(
    claude: FakeClaude, told: Told, clock: VirtualClock, log: EventList
) -> None:
    often = CircuitSettings(consecutive_failures=99, failure_rate=0.5, min_calls=4, window_s=60.0)
    client = guarded(claude, told, clock, often)
    await fail(client, claude, LOST)
    await clock.advance(60)  # and that one is forgotten
    for _ in range(2):
        claude.answer_from_now_on(HELLO)
        await client.send(prompt())
        assert log.events == []
        await fail(client, claude, LOST)
    assert log.kinds == ["circuit_opened"]


async def test_exactly_one_call_tries_and_its_success_closes_the_circuit(
    client: CircuitBreaker, claude: FakeClaude, told: Told, clock: VirtualClock, log: EventList
) -> None:
    await fail(client, claude, LOST, LOST)
    await clock.advance(30)
    claude.answer_from_now_on(HELLO)

    outcomes = await all_of(client, [prompt()] * 10)

    assert len(claude.prompts) == 2 + 1
    assert outcomes[0] == HELLO
    refusals = outcomes[1:]
    assert all(isinstance(refusal, CircuitOpenError) for refusal in refusals)
    assert "one call is trying it right now" in str(refusals[0])
    assert await all_of(client, [prompt()] * 10) == [HELLO] * 10
    assert [event.fact for event in log.events[1:]] == [
        CircuitHalfOpened(provider="https://api.anthropic.com"),
        CircuitClosed(provider="https://api.anthropic.com"),
    ]


@pytest.mark.schedules(n=30)
async def test_no_order_lets_two_calls_try(told: Told, clock: VirtualClock) -> None:
    claude = FakeClaude(LOST, LOST, HELLO, took_s=1.0)
    client = guarded(claude, told, clock)
    await all_of(client, [prompt()] * 2)
    await asyncio.sleep(30)
    claude.most_at_once = 0

    outcomes = await all_of(client, [prompt()] * 5)

    assert claude.most_at_once == 1
    assert sum(isinstance(outcome, CircuitOpenError) for outcome in outcomes) == 4


async def test_a_try_that_fails_opens_it_for_another_while(
    client: CircuitBreaker, claude: FakeClaude, clock: VirtualClock, log: EventList
) -> None:
    await fail(client, claude, LOST, LOST)
    await clock.advance(30)
    await fail(client, claude, LOST)

    with pytest.raises(CircuitOpenError, match="tried again in 30 s"):
        await client.send(prompt())
    assert log.kinds == ["circuit_opened", "circuit_half_opened", "circuit_opened"]


async def test_a_provider_that_asks_for_longer_is_left_alone_for_longer(
    client: CircuitBreaker, claude: FakeClaude
) -> None:
    await fail(client, claude, LOST, status(529, retry_after_s=120.0))
    with pytest.raises(CircuitOpenError, match="tried again in 120 s"):
        await client.send(prompt())


async def test_a_try_that_is_cancelled_leaves_it_to_the_next_one(
    told: Told, clock: VirtualClock, stream: bool
) -> None:
    claude = FakeClaude(LOST, LOST, HELLO, took_s=1.0)
    client = guarded(claude, told, clock)
    await all_of(client, [prompt()] * 2)
    await clock.advance(30)
    trying = asyncio.create_task(call(client, prompt(), stream=stream))
    await clock.settle()
    trying.cancel()
    await asyncio.wait((trying,))

    assert await call(client, prompt(), stream=stream) == HELLO


async def test_a_stream_that_begins_closes_the_circuit_for_the_others(
    client: CircuitBreaker, claude: FakeClaude, clock: VirtualClock, log: EventList
) -> None:
    await fail(client, claude, LOST, LOST)
    await clock.advance(30)
    claude.answer_from_now_on(HELLO)

    async with aclosing(client.stream(prompt())) as events:
        await anext(events)
        assert await client.send(prompt()) == HELLO
    assert log.kinds == ["circuit_opened", "circuit_half_opened", "circuit_closed"]


async def test_streams_that_break_off_count_as_failures(
    client: CircuitBreaker, claude: FakeClaude, log: EventList
) -> None:
    claude.answer_from_now_on(Broken(3, LOST))
    for _ in range(2):
        with pytest.raises(type(LOST)):
            await call(client, prompt(), stream=True)
    assert log.kinds == ["circuit_opened"]


async def test_what_calls_from_before_come_to_is_no_news(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    slow = FakeClaude(LOST, took_s=40.0)
    client = guarded(slow, told, clock)
    early = [asyncio.create_task(client.send(prompt())) for _ in range(2)]
    await clock.advance(10)
    late = [asyncio.create_task(client.send(prompt())) for _ in range(2)]
    await asyncio.wait(early)
    assert log.kinds == ["circuit_opened"]
    await asyncio.wait(late)  # ten seconds later; they began when the circuit was closed

    assert log.kinds == ["circuit_opened"]
    with pytest.raises(CircuitOpenError, match="tried again in 20 s"):
        await client.send(prompt())


async def test_not_even_when_the_circuit_has_closed_again(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    claude = FakeClaude(LOST, took_s=100.0)
    client = guarded(claude, told, clock, CircuitSettings(consecutive_failures=1, open_s=30.0))
    slow = asyncio.create_task(client.send(prompt()))
    await clock.settle()
    claude.took_s = 0.0
    await fail(client, claude, LOST)
    await clock.advance(30)
    claude.answer_from_now_on(HELLO)
    await client.send(prompt())

    await asyncio.wait((slow,))

    assert log.kinds == ["circuit_opened", "circuit_half_opened", "circuit_closed"]


async def test_a_stream_that_was_left_early_shows_that_the_provider_is_there(
    client: CircuitBreaker, claude: FakeClaude, log: EventList
) -> None:
    await fail(client, claude, LOST)
    claude.answer_from_now_on(HELLO)
    async with aclosing(client.stream(prompt())) as events:
        await anext(events)
    await fail(client, claude, LOST)
    assert log.events == []


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(status(500), id="500"),
        pytest.param(status(529), id="529"),
        pytest.param(status(200, "overloaded_error"), id="error-event"),
        pytest.param(LOST, id="connection"),
        pytest.param(ClaudeStreamError(reason="cut"), id="cut"),
    ],
)
async def test_the_provider_s_own_failures_count(
    error: ClaudeError, client: CircuitBreaker, claude: FakeClaude, log: EventList
) -> None:
    await fail(client, claude, error, error)
    assert log.kinds == ["circuit_opened"]


async def test_a_provider_that_hangs_until_the_deadline_fails(
    claude: FakeClaude, told: Told, clock: VirtualClock, log: EventList, stream: bool
) -> None:
    claude.took_s = 1_000.0
    late = Deadline(
        guarded(claude, told, clock), DeadlineSettings(call_s=60.0), told=told, clock=clock
    )
    for _ in range(2):
        with pytest.raises(ClaudeDeadlineError):
            await call(late, prompt(), stream=stream)

    with pytest.raises(CircuitOpenError, match="no answer until the call's deadline"):
        await call(late, prompt(), stream=stream)
    assert log.kinds == [
        "claude_deadline_exceeded",
        "circuit_opened",
        "claude_deadline_exceeded",
    ]
    await clock.advance(30)
    # And fails again when it is tried.
    with pytest.raises(ClaudeDeadlineError):
        await call(late, prompt(), stream=stream)
    assert log.kinds[3:] == ["circuit_half_opened", "circuit_opened", "claude_deadline_exceeded"]


async def test_a_stream_that_stops_in_the_middle_until_the_deadline_fails(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    claude = FakeClaude(step_s=25.0)
    late = Deadline(
        guarded(claude, told, clock), DeadlineSettings(call_s=60.0), told=told, clock=clock
    )
    for _ in range(2):
        with pytest.raises(ClaudeDeadlineError):
            await call(late, prompt(), stream=True)
    assert "circuit_opened" in log.kinds


async def test_a_caller_who_gives_up_says_nothing_of_the_provider(
    claude: FakeClaude, told: Told, clock: VirtualClock, log: EventList, stream: bool
) -> None:
    claude.took_s = 1_000.0
    late = Deadline(
        guarded(claude, told, clock), DeadlineSettings(call_s=60.0), told=told, clock=clock
    )
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(59):
                await call(late, prompt(), stream=stream)
    assert log.events == []


async def test_a_reader_who_takes_too_long_says_nothing_of_the_provider(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    late = Deadline(
        guarded(FakeClaude(), told, clock), DeadlineSettings(call_s=60.0), told=told, clock=clock
    )
    for _ in range(3):
        async with aclosing(late.stream(prompt())) as events:
            await anext(events)
            await asyncio.sleep(60)
            with pytest.raises(ClaudeDeadlineError):
                await anext(events)
    assert log.kinds == ["claude_deadline_exceeded"] * 3


async def test_a_deadline_that_passes_in_the_line_says_nothing_of_the_provider(
    clock: VirtualClock, log: EventList, stream: bool
) -> None:
    settings = PolicySettings(
        deadline=DeadlineSettings(call_s=10.0),
        circuit=CircuitSettings(consecutive_failures=1),
        rate_limit=RateLimitSettings(requests_per_minute=1),
    )
    client = with_policies(
        FakeClaude(), settings, recorder=log, clock=clock, random=random.Random(0)
    )
    await client.send(prompt())
    with pytest.raises(ClaudeDeadlineError):
        await call(client, prompt(), stream=stream)
    assert log.kinds == ["claude_rate_limited", "claude_deadline_exceeded"]


@pytest.mark.parametrize(
    ("error", "begins_again"),
    [
        pytest.param(BAD_REQUEST, True, id="400"),
        pytest.param(status(401), True, id="401"),
        pytest.param(status(404), True, id="404"),
        pytest.param(status(429, "rate_limit_error"), False, id="429"),
        pytest.param(status(200, "rate_limit_error"), False, id="429-in-a-stream"),
        pytest.param(
            BudgetExceededError(unit="tokens", limit=1, spent=1, needed=1), False, id="budget"
        ),
        pytest.param(ClaudeDeadlineError(deadline_s=1.0), False, id="deadline"),
    ],
)
async def test_what_is_not_the_provider_s_failure_does_not_count(
    error: ClaudeError,
    begins_again: bool,
    client: CircuitBreaker,
    claude: FakeClaude,
    log: EventList,
) -> None:
    await fail(client, claude, error, error, error)
    assert log.events == []

    # An answer, even an unwelcome one, shows that the provider is there.
    await fail(client, claude, LOST, error, LOST)
    assert log.kinds == ([] if begins_again else ["circuit_opened"])


async def test_an_abort_is_no_failure_and_no_answer(
    client: CircuitBreaker, claude: FakeClaude, clock: VirtualClock, log: EventList, stream: bool
) -> None:
    await fail(client, claude, LOST, LOST)
    await clock.advance(30)
    claude.answer_from_now_on(Abort("no such recording"))
    for _ in range(3):
        with pytest.raises(Abort):
            await call(client, prompt(), stream=stream)
    assert "circuit_closed" not in log.kinds
    assert log.kinds.count("circuit_opened") == 1


async def test_a_long_outage_is_asked_about_once_in_a_while(
    told: Told, clock: VirtualClock, log: EventList
) -> None:
    """Four agents keep asking through ten minutes without a provider, and go on after them."""
    claude = FakeClaude(status(529))
    client = guarded(claude, told, clock)
    answered_at: list[float] = []

    async def agent() -> None:
        while True:
            try:
                await client.send(prompt())
                answered_at.append(clock.monotonic())
                return
            except CircuitOpenError as refusal:
                await asyncio.sleep(refusal.retry_after_s or 1.0)
            except ClaudeStatusError:
                await asyncio.sleep(1.0)

    agents = [asyncio.create_task(agent()) for _ in range(4)]
    await clock.advance(600)
    in_outage = len(claude.prompts)
    claude.answer_from_now_on(HELLO)
    await asyncio.wait(agents)

    assert in_outage <= 4 + 600 / 30
    assert len(answered_at) == 4
    assert answered_at[-1] <= 600 + 30 + 2
    assert log.kinds[-1] == "circuit_closed"
