"""What a call costs, by what it used."""

from __future__ import annotations

import pytest

from mnemosyne_core.prices import PUBLISHED, Price, price_of

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("used", "dollars"),
    [
        pytest.param({"input": MILLION}, 2.0, id="input"),
        pytest.param({"output": MILLION}, 10.0, id="output"),
        pytest.param({"cache_write": MILLION}, 2.5, id="cache-write"),
        pytest.param({"cache_write_1h": MILLION}, 4.0, id="cache-write-for-an-hour"),
        pytest.param({"cache_read": MILLION}, 0.1, id="cache-read"),
        pytest.param({"input": 500_000, "output": 100_000}, 2.0, id="a-call"),
    ],
)
def test_each_kind_of_token_has_its_price(used: dict[str, int], dollars: float) -> None:
    assert PUBLISHED["claude-sonnet-5-5"].cost(**used) == pytest.approx(dollars)


def test_what_has_no_price_of_its_own_costs_what_the_input_does() -> None:
    price = Price(input=3, output=15)

    assert price.cost(cache_write=MILLION, cache_read=MILLION, cache_write_1h=MILLION) == 9.0


def test_a_long_prompt_makes_the_whole_call_dearer() -> None:
    haiku = PUBLISHED["claude-haiku-5-5"]

    assert haiku.cost(input=100_000, output=1_000) == pytest.approx(0.0105)
    assert haiku.cost(input=60_000, cache_read=40_001, output=0) == pytest.approx(0.032, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "is_known"),
    [
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-haiku-4-5-latest", False),
        ("claude-of-tomorrow", False),
    ],
)
def test_a_model_is_known_by_its_name_with_or_without_a_date(model: str, is_known: bool) -> None:
    assert (price_of(model, PUBLISHED) is not None) is is_known
