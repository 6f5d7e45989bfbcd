"""What Claude costs: prices per million tokens, and the published ones.

A price list grows old, and what is billed may be another one. So whoever keeps to a
budget can give prices of their own, and a model without a price is never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import NonNegativeFloat, PositiveInt

from mnemosyne_core._value import Value

_PRICED_TOKENS: Final = 1_000_000
_DATED: Final = re.compile(r"-\d{8}\Z")


class Price(Value):
    """What a million tokens of a model cost, in whatever money the budget is in."""

    input: NonNegativeFloat
    output: NonNegativeFloat
    cache_write: NonNegativeFloat | None = None
    """Tokens put into the prompt cache; absent: as `input`."""

    cache_write_1h: NonNegativeFloat | None = None
    """Tokens put there for an hour; absent: as `cache_write`."""

    cache_read: NonNegativeFloat | None = None
    """Tokens found in the prompt cache; absent: as `input`."""

    long_from: PositiveInt | None = None
    """Prompts of more tokens than this, cached ones too, cost `long`; absent: none do."""

    long: Price | None = None

    def cost(
        self,
        *,
        input: int = 0,  # noqa: A002 - the name that the API has for it
        output: int = 0,
        cache_write: int = 0,
        cache_write_1h: int = 0,
        cache_read: int = 0,
    ) -> float:
        """What one call costs that used so many tokens of each kind."""
        total = input + cache_write + cache_write_1h + cache_read
        price = self.for_prompt(total)
        write = price.input if price.cache_write is None else price.cache_write
        write_1h = write if price.cache_write_1h is None else price.cache_write_1h
        read = price.input if price.cache_read is None else price.cache_read
        return (
            input * price.input
            + output * price.output
            + cache_write * write
            + cache_write_1h * write_1h
            + cache_read * read
        ) / _PRICED_TOKENS

    def for_prompt(self, tokens: int) -> Price:
        """The price for a prompt of so many tokens."""
        is_long = self.long_from is not None and tokens > self.long_from
        return self.long if is_long and self.long is not None else self


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model, also of one that is named with its date; `None` without one."""
    found = prices.get(model)
    return prices.get(_DATED.sub("", model)) if found is None else found


def _published(input_: float, output: float, *, write: float, read: float, **more: object) -> Price:
    # A cache entry that is kept for an hour costs twice the input, with every model.
    return Price.model_validate(
        {
            "input": input_,
            "output": output,
            "cache_write": write,
            "cache_write_1h": 2 * input_,
            "cache_read": read,
            **more,
        }
    )


_OPUS: Final = _published(5, 25, write=6.25, read=0.5)
_SONNET_4: Final = _published(3, 15, write=3.75, read=0.3)
_HAIKU_4_5: Final = _published(1, 5, write=1.25, read=0.1)
_FABLE_5: Final = _published(10, 50, write=12.5, read=1)
_FABLE_5_1: Final = _published(10, 50, write=12.5, read=0.25)

PUBLISHED: Final[Mapping[str, Price]] = MappingProxyType(
    {
        "claude-fable-5-1": _FABLE_5_1,
        "claude-mythos-5-1": _FABLE_5_1,
        "claude-fable-5": _FABLE_5,
        "claude-mythos-5": _FABLE_5,
        "claude-opus-5-5": _published(4, 20, write=5, read=0.2),
        "claude-opus-5": _OPUS,
        "claude-opus-4-8": _OPUS,
        "claude-opus-4-7": _OPUS,
        "claude-opus-4-6": _OPUS,
        "claude-opus-4-5": _OPUS,
        "claude-sonnet-5-5": _published(2, 10, write=2.5, read=0.1),
        "claude-sonnet-5": _published(2, 10, write=2.5, read=0.2),
        "claude-sonnet-4-6": _SONNET_4,
        "claude-sonnet-4-5": _SONNET_4,
        "claude-haiku-5-5": _published(
            0.1,
            0.5,
            write=0.125,
            read=0.01,
            long_from=100_000,
            long=_published(0.5, 2.5, write=0.625, read=0.05),
        ),
        "claude-haiku-4-5": _HAIKU_4_5,
    }
)
"""US dollars, as the API's documentation had them in November 2026."""
