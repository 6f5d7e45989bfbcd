"""What a run spends on Claude, what it may spend, and what replay saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from mnemosyne_core.errors import Abort, UsageError
    from mnemosyne_core.prices import Price
    from pytest_mnemosyne.cassette import Budget, Prices, Purse, Turn
    from pytest_mnemosyne.plugin._options import Settings
    from pytest_mnemosyne.plugin._run_folder import RunFolder

SPENT: Final = "spent_microdollars"
SAVED: Final = "saved_microdollars"

_SPENDING: Final = frozenset({"recorded", "forwarded", "compared"})
_PURSE: Final = "purse"
_MICRO: Final = 1_000_000
_TOO_LITTLE: Final = 100
"""Microdollars that are not worth a line."""


def read_budget(config: pytest.Config) -> float | None:
    """The option's dollars.

    Raises:
        UsageError: They are no amount of money.
    """
    given: str | None = config.getoption("mnemosyne_budget")
    if given is None:
        return None
    try:
        dollars = float(given.removeprefix("$"))
    except ValueError:
        dollars = 0.0
    if not 0 < dollars < float("inf"):
        raise _usage_error()(
            f"the option --mnemosyne-budget takes US dollars, such as 2.50, got {given!r}"
        )
    return dollars


def read_prices(lines: Iterable[str]) -> Mapping[str, Price]:
    """The prices of an ini setting's lines, such as `claude-x input=3 output=15`.

    Raises:
        UsageError: A line is none.
    """
    prices = {}
    for line in lines:
        # Here, because most runs have no line.
        from pydantic import ValidationError

        from mnemosyne_core.prices import Price

        model, *fields = line.split()
        try:
            prices[model] = Price.model_validate(dict(field.split("=", 1) for field in fields))
        except (ValidationError, ValueError) as error:
            raise _usage_error()(
                f"the ini setting mnemosyne_prices has a line {line!r}; a line is a model and its "
                "prices in US dollars for a million tokens, such as claude-x input=3 output=15 "
                "cache_write=3.75 cache_read=0.3"
            ) from error
    return prices


def prices_of(settings: Settings) -> Prices:
    """What models cost in this run."""
    from pytest_mnemosyne.cassette import Prices

    return Prices(settings.prices)


def budget_of(
    settings: Settings, folder: RunFolder | None, on_refused: Callable[[Abort], None]
) -> Budget | None:
    """The budget that all processes of the run share; `None` where it may spend what it will."""
    if settings.budget is None or folder is None:
        return None
    from pytest_mnemosyne.cassette import Budget

    return Budget(settings.budget, _purse(folder), prices_of(settings), on_refused=on_refused)


def money_of(turns: Iterable[Turn], prices: Prices) -> dict[str, int]:
    """What the turns of a test have cost or saved, as far as their models have prices."""
    money = {SPENT: 0.0, SAVED: 0.0}
    for turn in turns:
        where = SAVED if turn.source == "played" else SPENT if turn.source in _SPENDING else None
        cost = prices.cost(turn.tokens) if where is not None else None
        if where is not None and cost is not None:
            money[where] += cost * _MICRO
    return {name: round(amount) for name, amount in money.items() if amount}


def money_line(counts: Mapping[str, int], settings: Settings, folder: RunFolder | None) -> str:
    """What the end of the run says about money; empty where there is nothing to say."""
    from pytest_mnemosyne.cassette import usd

    said = []
    spent, saved = counts.get(SPENT, 0), counts.get(SAVED, 0)
    if settings.budget is not None and folder is not None:
        contents = _purse(folder).contents
        said.append(f"{usd(contents.spent)} of the budget of {usd(settings.budget)} spent")
    elif spent >= _TOO_LITTLE and settings.upstream is None:
        said.append(f"{usd(spent / _MICRO)} spent")
    if saved >= _TOO_LITTLE:
        said.append(f"{usd(saved / _MICRO)} saved by replay")
    return f"mnemosyne: {', '.join(said)}" if said else ""


def _purse(folder: RunFolder) -> Purse:
    from pytest_mnemosyne.cassette import Purse

    return Purse(folder.path / _PURSE)


def _usage_error() -> type[UsageError]:
    from mnemosyne_core.errors import UsageError

    return UsageError
