"""A budget: what forwarded requests may cost together, and the end before it is exceeded.

What a request may cost at most (its size, and all the tokens that it allows the answer)
is set aside before it is sent; what it did cost is taken when its answer has ended. A
request that does not fit into what is left is not sent. So the requests of all threads,
tasks and processes that share a purse cannot exceed it together.

Tokens of the input are estimated, rather too high. Where an answer does not tell what it
used, because it broke off or nobody read it to its end, it counts with the most that it
may have cost. A process that is killed leaves set aside what its requests might have cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mnemosyne_core.errors import Abort
from mnemosyne_core.lane import Lane
from mnemosyne_core.prices import Price
from pytest_mnemosyne.cassette._interaction import Interaction, Outcome, Request
from pytest_mnemosyne.cassette._miss import call_summary
from pytest_mnemosyne.cassette._prices import Prices, usd
from pytest_mnemosyne.cassette._purse import Contents, Purse
from pytest_mnemosyne.cassette._turn import tokens_of

_BYTES_PER_TOKEN: Final = 3
"""English and code have about four bytes for each token, so this is rather too much."""

_MESSAGE_ID: Final = re.compile(rb'"id": ?"(msg_[^"]+)"')
_SPENDS: Final = ("/v1/messages", "/v1/messages/batches", "/v1/complete")
"""What is paid for; counting tokens, files and models are free."""


class OverBudgetError(Abort):
    """A request to Claude was not sent: it may cost more than is left.

    Attributes:
        limit: The budget, in US dollars.
        spent: What is spent already.
        held: What is set aside for requests under way.
        needed: What this request may cost.
    """

    def __init__(
        self, *, request: Request, lane: Lane | None, limit: float, purse: Contents, needed: float
    ) -> None:
        self.limit = limit
        self.spent = purse.spent
        self.held = purse.held
        self.needed = needed
        super().__init__(
            f"the budget of {usd(limit)} does not cover one more call to Claude\n"
            f"{_who(request, lane)}"
            f"  cost:    up to {usd(needed)}, while {usd(purse.spent)} are spent and "
            f"{usd(purse.held)} set aside for calls under way\n"
            "  what was recorded so far is kept; give more with --mnemosyne-budget, or ask for "
            "fewer max_tokens"
        )


class UnpricedModelError(Abort):
    """A request to Claude was not sent: there is a budget, and nobody knows what it costs.

    Attributes:
        model: The model that was asked for.
    """

    def __init__(self, *, request: Request, lane: Lane | None, model: str) -> None:
        self.model = model
        super().__init__(
            f"there is a budget, and {model} has no price\n"
            f"{_who(request, lane)}"
            f"  add it to the ini setting mnemosyne_prices, in US dollars for a million tokens: "
            f"{model} input=3 output=15"
        )


class Budget:
    """Lets requests pass as long as they are paid for."""

    def __init__(
        self,
        limit: float,
        purse: Purse,
        prices: Prices,
        *,
        on_refused: Callable[[Abort], None] | None = None,
    ) -> None:
        """A budget of `limit` US dollars.

        Args:
            limit: The dollars.
            purse: Theirs, shared with whoever spends of them.
            prices: What models cost.
            on_refused: Told of a request that is not sent, in the thread that made it,
                before the error is raised there.
        """
        self.limit = limit
        self.purse = purse
        self._prices = prices
        self._on_refused = on_refused
        self._threads: dict[str, int] = {}
        """For each answer its message's id, and how many tokens its conversation had by then."""

    def admit(self, request: Request, lane: Lane | None) -> Charge | None:
        """Set aside what a request may cost; `None` where it costs nothing.

        Raises:
            OverBudgetError: It may cost more than is left.
            UnpricedModelError: Nobody knows what it costs.
        """
        path = request.url.partition("?")[0]
        if request.method != "POST" or not path.endswith(_SPENDS):
            return None
        needed = 0.0
        for params in _asked(request.body):
            model = params.get("model")
            if not isinstance(model, str):
                continue  # the API refuses it
            price = self._prices.of(model)
            if price is None:
                raise self._told(UnpricedModelError(request=request, lane=lane, model=model))
            needed += self._most(params, price)
        there = self.purse.hold(needed, limit=self.limit)
        if there is not None:
            raise self._told(
                OverBudgetError(
                    request=request, lane=lane, limit=self.limit, purse=there, needed=needed
                )
            )
        return Charge(self, needed)

    def settle(self, held: float, interaction: Interaction | None) -> None:
        """A request is over for which so much was set aside; `None`: it was never sent."""
        used = 0.0 if interaction is None else self._used(interaction, held)
        self.purse.settle(held, used)

    def _used(self, interaction: Interaction, held: float) -> float:
        response = interaction.response
        if response is None:
            # Without a connection nothing was asked; without patience it may have been.
            return 0.0 if interaction.outcome is Outcome.RESET else held
        if response.status >= 400:
            return 0.0
        tokens = tokens_of(interaction)
        cost = self._prices.cost(tokens) if interaction.outcome is Outcome.COMPLETE else None
        if cost is None:
            return held
        message = _MESSAGE_ID.search(response.body)
        if message is not None:
            self._threads[message[1].decode()] = tokens.input + tokens.output
        return cost

    def _most(self, params: Mapping[str, Any], price: Price) -> float:
        text = json.dumps(params, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode(errors="replace"))
        prompt = -(-size // _BYTES_PER_TOKEN) + self._continued(params)
        output = params.get("max_tokens")
        output = output if isinstance(output, int) else 0
        return max(
            price.cost(output=output, **{kind: prompt})
            for kind, is_asked in (
                ("input", True),
                ("cache_write", '"cache_control"' in text),
                ("cache_write_1h", '"1h"' in text),
            )
            if is_asked
        )

    def _continued(self, params: Mapping[str, Any]) -> int:
        """The tokens of a conversation that the server holds and the request goes on with."""
        thread = params.get("thread")
        previous = thread.get("previous_message_id") if isinstance(thread, dict) else None
        return self._threads.get(previous, 0) if isinstance(previous, str) else 0

    def _told(self, error: Abort) -> Abort:
        if self._on_refused is not None:
            self._on_refused(error)
        return error


@dataclass(frozen=True, slots=True)
class Charge:
    """What is set aside for one request."""

    budget: Budget
    held: float

    def settle(self, interaction: Interaction | None) -> None:
        """The request is over, with this exchange; `None`: it came to nothing."""
        self.budget.settle(self.held, interaction)


def _asked(body: bytes) -> list[dict[str, Any]]:
    """The bodies of the Messages API that a request holds: itself, or those of a batch."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(value, dict):
        return []
    batch = value.get("requests")
    if not isinstance(batch, list):
        return [value]
    return [
        each["params"]
        for each in batch
        if isinstance(each, dict) and isinstance(each.get("params"), dict)
    ]


def _who(request: Request, lane: Lane | None) -> str:
    agent = f"{lane.agent}, attempt {lane.attempt}" if lane is not None else "none"
    return f"  agent:   {agent}\n  call:    {call_summary(request)}\n"
