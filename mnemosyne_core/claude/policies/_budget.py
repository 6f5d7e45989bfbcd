"""Budget: tokens and money that all calls together may use.

What a call may use at most is set aside before it is made, and what it has used is taken
when it is over. So calls under way at the same time cannot exceed a budget together; one
that would fit, were it not for what is set aside, waits until that is known. The input is
estimated, rather too high; an estimate that was too low can exceed the budget by as much.

A call counts once, also when its stream broke: then with what the API had counted by that
time. An error of the API uses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from mnemosyne_core.claude._values import ClaudeClient, Prompt
from mnemosyne_core.claude.policies._estimate import input_tokens
from mnemosyne_core.claude.policies._policy import Gatekeeper, Told
from mnemosyne_core.claude.policies._settings import BudgetSettings
from mnemosyne_core.claude.policies._turnstile import Turnstile
from mnemosyne_core.errors import BudgetExceededError, MissingPriceError
from mnemosyne_core.events import BudgetExhausted, BudgetWarned
from mnemosyne_core.prices import Price
from mnemosyne_core.work import Usage


class Budget(Gatekeeper):
    """Refuses calls for which too little is left."""

    def __init__(self, inner: ClaudeClient, settings: BudgetSettings, *, told: Told) -> None:
        """Count what the calls of `inner` use."""
        super().__init__(inner)
        self._prices = settings.prices
        self._told = told
        self._turnstile = Turnstile()
        self._accounts: list[Account] = []
        if settings.tokens is not None:
            self._accounts.append(Account("tokens", settings.tokens, warn_at=settings.warn_at))
        if settings.money is not None:
            self._accounts.append(Account("money", settings.money, warn_at=settings.warn_at))

    async def _enter(self, prompt: Prompt, /) -> _Call:
        most = Usage(input_tokens=input_tokens(prompt), output_tokens=prompt.max_tokens)
        needs = self._costs(prompt.model, most)

        def admit() -> float:
            for account, need in zip(self._accounts, needs, strict=True):
                if not account.can_ever(need):
                    raise self._refusal(account, need)
                if not account.can_now(need):
                    return inf
            for account, need in zip(self._accounts, needs, strict=True):
                account.set_aside(need)
            return 0.0

        await self._turnstile.enter(admit)
        return _Call(self, prompt.model, needs)

    def _costs(self, model: str, usage: Usage) -> list[float]:
        """What `usage` comes to on each account."""
        return [
            cost(usage, self._price(model))
            if account.unit == "money"
            else float(usage.total_input_tokens + usage.output_tokens)
            for account in self._accounts
        ]

    def _price(self, model: str) -> Price:
        if model not in self._prices:
            raise MissingPriceError(model=model, known=tuple(sorted(self._prices)))
        return self._prices[model]

    def _refusal(self, account: Account, need: float) -> BudgetExceededError:
        if not account.is_exhausted:
            account.is_exhausted = True
            self._told(
                BudgetExhausted(
                    unit=account.unit, limit=account.limit, spent=account.spent, needed=need
                )
            )
        return BudgetExceededError(
            unit=account.unit, limit=account.limit, spent=account.spent, needed=need
        )

    def _settle(self, model: str, needs: list[float], usage: Usage) -> None:
        spent = self._costs(model, usage)
        for account, need, used in zip(self._accounts, needs, spent, strict=True):
            account.settle(need, used)
            if account.is_worth_a_warning():
                account.has_warned = True
                self._told(
                    BudgetWarned(unit=account.unit, limit=account.limit, spent=account.spent)
                )
        self._turnstile.moved()


@dataclass(slots=True)
class Account:
    """One budget: its limit, and what has become of it."""

    unit: str
    limit: float
    warn_at: float
    spent: float = 0.0
    kept: float = 0.0
    """What is set aside for calls under way."""

    under_way: int = 0
    has_warned: bool = False
    is_exhausted: bool = False

    def can_ever(self, need: float) -> bool:
        """Whether `need` fits if nothing comes of what is set aside."""
        return self.spent + need <= self.limit

    def can_now(self, need: float) -> bool:
        """Whether `need` fits whatever comes of what is set aside."""
        return self.spent + self.kept + need <= self.limit

    def set_aside(self, need: float) -> None:
        """Keep `need` for a call."""
        self.kept += need
        self.under_way += 1

    def settle(self, need: float, used: float) -> None:
        """Take what a call has used, and no longer keep what it might have used."""
        self.spent += used
        self.under_way -= 1
        # What sums of floats leave over must not be kept for nobody.
        self.kept = self.kept - need if self.under_way else 0.0

    def is_worth_a_warning(self) -> bool:
        """Whether most of it is used, and nobody has said so."""
        return not self.has_warned and self.spent >= self.warn_at * self.limit


class _Call:
    """A call for which something is set aside."""

    def __init__(self, budget: Budget, model: str, needs: list[float]) -> None:
        self._budget = budget
        self._model = model
        self._needs = needs

    def answered(self) -> None:
        """Nothing to do."""

    def leave(self, usage: Usage, _error: BaseException | None, /) -> None:
        self._budget._settle(self._model, self._needs, usage)


def cost(usage: Usage, price: Price) -> float:
    """What `usage` costs."""
    return price.cost(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_write=usage.cache_creation_input_tokens,
        cache_read=usage.cache_read_input_tokens,
    )
