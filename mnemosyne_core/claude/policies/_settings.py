"""What each policy is told; a policy without settings is off."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mnemosyne_core._value import Value
from mnemosyne_core.prices import Price

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, from 0 to 1."""


class DeadlineSettings(Value):
    """How long one call may take."""

    call_s: PositiveFloat = 300.0
    """Bound on a call with all its waits and retries, and of a stream up to its end, in
    seconds."""


class RetrySettings(Value):
    """When a call that failed for a passing reason is made again, in place of the SDK's retries.

    A bound for each call does not keep an outage from being multiplied by the retries of all
    calls, so these also share a budget: each call earns a part of a retry, and a retry that
    nobody has earned is not made.
    """

    max_retries: PositiveInt = 4
    """Retries of one call."""

    first_wait_s: PositiveFloat = 0.5
    """Pause before the first retry; each further one is twice as long."""

    max_wait_s: PositiveFloat = 30.0
    """Longest pause, unless the API itself asks for a longer one."""

    jitter: Share = 0.5
    """Up to which part a pause is shortened by chance, so that calls which failed together do
    not come back together. A pause that the API asks for is never shortened."""

    max_retry_after_s: PositiveFloat = 60.0
    """If the API asks to be left alone for longer, the call fails at once."""

    budget_ratio: Share = 0.2
    """How many retries each call earns, for all calls together."""

    budget_max: PositiveInt = 10
    """How many earned retries are kept at most, and how many are there in the beginning."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.first_wait_s > self.max_wait_s:
            raise ValueError(
                f"first_wait_s ({self.first_wait_s:g}) is beyond max_wait_s ({self.max_wait_s:g})"
            )
        return self


class RateLimitSettings(Value):
    """How many calls are made at once and in a minute, over all agents together."""

    requests_per_minute: PositiveInt | None = None
    """A bound of our own; absent: only what the API says counts."""

    tokens_per_minute: PositiveInt | None = None
    """A bound of our own on tokens, sent and received. What a call will use is estimated
    before it, and put right after it."""

    max_concurrent: PositiveInt | None = None
    """Calls that are under way at the same time."""

    heed_answers: bool = True
    """Whether the limits that the API names in its answers are kept as well."""

    max_wait_s: PositiveFloat = 300.0
    """How long a call waits for its turn; one that would have to wait longer fails at once."""


class CircuitSettings(Value):
    """When a provider that fails is left alone, and for how long."""

    consecutive_failures: PositiveInt = 5
    """So many in a row open the circuit."""

    failure_rate: Share = 0.5
    """Such a part of the calls in the window opens it, too."""

    min_calls: PositiveInt = 20
    """Calls in the window below which the rate says nothing."""

    window_s: PositiveFloat = 60.0
    """How long a call counts for the rate, in seconds."""

    open_s: PositiveFloat = 30.0
    """How long the provider is left alone, unless it asks for longer, in seconds."""


class BudgetSettings(Value):
    """How much all calls together may use before no more are made."""

    tokens: PositiveInt | None = None
    """Tokens, sent and received, cached ones too."""

    money: PositiveFloat | None = None
    """Money. It needs a price for every model that is asked, and none is taken for granted."""

    prices: dict[str, Price] = Field(default_factory=dict)
    """By the model's name, as it is asked for; `mnemosyne_core.prices` has the published ones."""

    warn_at: Share = 0.8
    """Part of the budget whose use is worth an event."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.tokens is None and self.money is None:
            raise ValueError("a budget is one of tokens, of money, or of both; give one")
        return self

    @model_validator(mode="after")
    def _knows_a_price(self) -> Self:
        if self.money is not None and not self.prices:
            raise ValueError(
                f"a budget of money ({self.money:g}) needs the price of every model that is "
                "asked, and prices is empty; add them, or give the budget in tokens"
            )
        return self


class PolicySettings(Value):
    """Which policies stand in front of Claude; all of them are off unless given.

    Off is the only default that changes nothing: what was recorded before replays as it did,
    with the SDK's own retries and without a wait.
    """

    deadline: DeadlineSettings | None = None
    retry: RetrySettings | None = None
    circuit: CircuitSettings | None = None
    budget: BudgetSettings | None = None
    rate_limit: RateLimitSettings | None = None
