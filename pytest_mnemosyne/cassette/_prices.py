"""What an answer of Claude has cost."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from mnemosyne_core.prices import PUBLISHED, Price, price_of
from pytest_mnemosyne.cassette._turn import Tokens


class Prices:
    """What models cost: those that were given, and the published ones."""

    def __init__(self, given: Mapping[str, Price] | None = None) -> None:
        """Prices by the names of models, or by patterns such as `claude-sonnet-*`."""
        self._given = dict(given or {})
        self._found: dict[str, Price | None] = {}

    def of(self, model: str) -> Price | None:
        """The price of a model; `None` where nobody knows it."""
        if model not in self._found:
            self._found[model] = self._find(model)
        return self._found[model]

    def _find(self, model: str) -> Price | None:
        found = price_of(model, self._given)
        if found is None:
            found = next((p for name, p in self._given.items() if fnmatchcase(model, name)), None)
        return price_of(model, PUBLISHED) if found is None else found

    def cost(self, tokens: Tokens) -> float | None:
        """What an answer cost that used these tokens; `None` where its model has no price."""
        price = self.of(tokens.model)
        if price is None:
            return None
        return price.cost(
            input=tokens.input - tokens.cache_write - tokens.cache_read,
            output=tokens.output,
            cache_write=tokens.cache_write - tokens.cache_write_1h,
            cache_write_1h=tokens.cache_write_1h,
            cache_read=tokens.cache_read,
        )


def usd(amount: float) -> str:
    """Dollars for people, with as many digits as tell something."""
    if amount and amount < 0.0001:
        return "less than $0.0001"
    return f"${amount:,.4f}" if amount < 1 else f"${amount:,.2f}"
