"""A budget: what may cost more than is left is not sent, whoever asks, and fails the test."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mnemosyne_core.errors import Abort
from mnemosyne_core.lane import Lane
from mnemosyne_core.prices import Price
from pytest_mnemosyne.cassette import (
    Budget,
    Cassette,
    Contents,
    OverBudgetError,
    Prices,
    Purse,
    RecordMode,
    Request,
    UnpricedModelError,
    usd,
)
from tests.cassette.door.loopback import events, message

MODEL = "claude-sonnet-5-5"
DEAR = Prices({MODEL: Price(input=1_000, output=10_000)})
"""A thousandth of a dollar for a token in, a hundredth for one out."""

ANSWER = message("hello")
"""It used 7 tokens in and 5 out: 0.057 dollars."""

COST = 0.057

Made = Callable[..., Budget]


@pytest.fixture
def budget(tmp_path: Path) -> Made:
    """Make budgets that share one purse."""

    def make(limit: float, prices: Prices = DEAR, **more: object) -> Budget:
        return Budget(limit, Purse(tmp_path / "purse"), prices, **more)  # type: ignore[arg-type]

    return make


def asking(max_tokens: int = 10, path: str = "/v1/messages", **more: object) -> Request:
    body = {"model": MODEL, "max_tokens": max_tokens, "messages": [], **more}
    return Request(
        method="POST", url=f"https://api.anthropic.com{path}", body=json.dumps(body).encode()
    )


def spend(
    budget: Budget, request: Request, answer: bytes = ANSWER, *, status: int = 200
) -> Cassette:
    """Have a request answered through a cassette of its own."""
    cassette = Cassette(None, mode=RecordMode.LIVE, budget=budget)
    recording = cassette.recording(request, None)
    recording.answer(status, (("content-type", "application/json"),))
    recording.chunk(answer)
    recording.read_whole()
    return cassette


def test_what_an_answer_used_is_taken(budget: Made) -> None:
    made = budget(1.0)

    spend(made, asking())

    assert made.purse.contents.spent == pytest.approx(COST)
    assert made.purse.contents.held == 0.0


def test_what_a_request_may_cost_is_set_aside_until_it_is_over(budget: Made) -> None:
    made = budget(1.0)
    cassette = Cassette(None, mode=RecordMode.LIVE, budget=made)

    recording = cassette.recording(asking(max_tokens=10), None)

    assert 0.1 < made.purse.contents.held < 0.15
    recording.failed()
    assert made.purse.contents == Contents()


def test_a_request_that_may_cost_more_than_is_left_is_not_sent(budget: Made) -> None:
    made = budget(0.2)
    spend(made, asking())

    with pytest.raises(OverBudgetError, match="budget of") as caught:
        spend(made, asking(max_tokens=15))

    assert caught.value.limit == 0.2
    assert caught.value.spent == pytest.approx(COST)
    assert caught.value.needed > 0.15
    assert made.purse.contents.held == 0.0


def test_the_refusal_says_who_asked_what_and_what_to_do(budget: Made) -> None:
    cassette = Cassette(None, mode=RecordMode.RECORD, budget=budget(0.01))

    with pytest.raises(OverBudgetError) as caught:
        cassette.recording(asking(), Lane("executor", 2))

    told = str(caught.value).splitlines()
    assert told[0] == "the budget of $0.0100 does not cover one more call to Claude"
    assert told[1].strip() == "agent:   executor, attempt 2"
    assert told[2].strip() == f"call:    POST /v1/messages ({MODEL}, 0 messages)"
    assert "$0.0000 are spent" in told[3]
    assert "--mnemosyne-budget" in told[4]


def test_whoever_wants_to_know_is_told_before_the_error_is_raised(budget: Made) -> None:
    told: list[Abort] = []

    with pytest.raises(OverBudgetError) as caught:
        spend(budget(0.01, on_refused=told.append), asking())

    assert told == [caught.value]


def test_a_model_without_a_price_is_not_asked(budget: Made) -> None:
    with pytest.raises(UnpricedModelError, match="mnemosyne_prices") as caught:
        spend(budget(100.0), asking(model="claude-of-tomorrow"))

    assert caught.value.model == "claude-of-tomorrow"


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models", "/v1/files"])
def test_what_is_free_is_not_counted(budget: Made, path: str) -> None:
    made = budget(0.0001)

    spend(made, asking(path=path, model="claude-of-tomorrow"))

    assert made.purse.contents == Contents()


def test_a_batch_may_cost_what_its_requests_may(budget: Made) -> None:
    params = {"model": MODEL, "max_tokens": 10, "messages": []}
    batch = json.dumps({"requests": [{"params": params}, {"params": params}]}).encode()
    request = Request(method="POST", url="/v1/messages/batches", body=batch)
    made = budget(1.0)

    spend(made, request, b'{"id": "batch_1"}')

    # Its answer does not say what it will use.
    assert 0.2 < made.purse.contents.spent < 0.3


def test_an_error_of_the_api_costs_nothing(budget: Made) -> None:
    made = budget(1.0)

    spend(made, asking(), b'{"type": "error"}', status=529)

    assert made.purse.contents == Contents()


@pytest.mark.parametrize(
    ("end", "is_free"),
    [("dropped", False), ("timed_out", False), ("closed", False), ("reset", True)],
)
def test_an_answer_that_nobody_has_seen_counts_with_the_most_that_it_may_have_cost(
    budget: Made, end: str, is_free: bool
) -> None:
    made = budget(1.0)
    recording = Cassette(None, mode=RecordMode.LIVE, budget=made).recording(asking(), None)
    held = made.purse.contents.held

    getattr(recording, end)()

    assert made.purse.contents == Contents(spent=0.0 if is_free else held, held=0.0)


def test_a_stream_that_broke_off_counts_with_the_most_too(budget: Made) -> None:
    made = budget(1.0)
    recording = Cassette(None, mode=RecordMode.LIVE, budget=made).recording(asking(), None)
    held = made.purse.contents.held
    recording.answer(200, (("content-type", "text/event-stream"),))
    recording.chunk(events("half said")[0])
    recording.dropped()

    assert made.purse.contents.spent == held


def test_a_conversation_that_the_server_holds_is_part_of_the_next_request(budget: Made) -> None:
    made = budget(1.0)
    spend(made, asking())
    cassette = Cassette(None, mode=RecordMode.LIVE, budget=made)

    held = []
    for thread in ({}, {"type": "continue", "previous_message_id": "msg_1"}):
        recording = cassette.recording(asking(padding="." * 100, thread=thread), None)
        held.append(made.purse.contents.held)
        recording.failed()

    # Its 12 tokens, and the few that naming it takes.
    assert 0.012 < held[1] - held[0] < 0.040


@pytest.mark.parametrize(
    ("cached", "rate"),
    [
        pytest.param({}, 1_000, id="not-cached"),
        pytest.param({"cache_control": {"type": "ephemeral"}}, 1_250, id="for-five-minutes"),
        pytest.param({"cache_control": {"ttl": "1h"}}, 2_000, id="for-an-hour"),
    ],
)
def test_what_goes_into_the_cache_may_cost_more(
    budget: Made, cached: dict[str, object], rate: int
) -> None:
    price = Price(input=1_000, output=0, cache_write=1_250, cache_write_1h=2_000)
    made = budget(100.0, Prices({MODEL: price}))
    request = asking(system=[{"type": "text", "text": "." * 300, **cached}])

    Cassette(None, mode=RecordMode.LIVE, budget=made).recording(request, None)

    tokens = -(-len(json.dumps(json.loads(request.body), separators=(",", ":"))) // 3)
    assert made.purse.contents.held == pytest.approx(tokens * rate / 1_000_000)


def test_threads_that_ask_at_once_cannot_exceed_it_together(budget: Made) -> None:
    made = budget(0.5)
    refused = []

    def ask() -> None:
        try:
            Cassette(None, mode=RecordMode.LIVE, budget=made).recording(asking(), None)
        except OverBudgetError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    contents = made.purse.contents
    assert contents.held <= 0.5
    assert len(refused) == 8 - round(contents.held / 0.125)


def test_two_that_share_a_purse_share_the_budget(budget: Made) -> None:
    first, second = budget(0.2), budget(0.2)
    spend(first, asking())
    spend(second, asking())

    with pytest.raises(OverBudgetError):
        spend(first, asking())


def test_the_errors_survive_a_process_boundary(budget: Made) -> None:
    with pytest.raises(OverBudgetError) as caught:
        spend(budget(0.01), asking())

    again = pickle.loads(pickle.dumps(caught.value))

    assert (again.limit, again.needed, str(again)) == (
        0.01,
        caught.value.needed,
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("model", "per_million"),
    [
        pytest.param("claude-sonnet-5-5", 2.0, id="published"),
        pytest.param("claude-sonnet-5-5-20261001", 2.0, id="published-with-its-date"),
        pytest.param("claude-opus-5-5", 1.5, id="given"),
        pytest.param("my-claude-7", 0.5, id="given-by-a-pattern"),
        pytest.param("claude-of-tomorrow", None, id="unknown"),
    ],
)
def test_given_prices_stand_before_the_published_ones(
    model: str, per_million: float | None
) -> None:
    prices = Prices(
        {"claude-opus-5-5": Price(input=1.5, output=0), "my-*": Price(input=0.5, output=0)}
    )

    found = prices.of(model)

    assert (found.input if found is not None else None) == per_million


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.0, "$0.0000"), (0.00001, "less than $0.0001"), (0.12345, "$0.1235"), (1234.5, "$1,234.50")],
)
def test_dollars_have_as_many_digits_as_tell_something(amount: float, text: str) -> None:
    assert usd(amount) == text
