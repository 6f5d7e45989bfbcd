"""Policies around Claude: what a call has to pass, from the agent to the network.

==============  =======================================  ==================================
policy          what it does                             why it stands there
==============  =======================================  ==================================
deadline        bounds the whole call                    the caller's patience is one,
                                                         whatever happens further in
retry           makes a call again that failed for a     each try has to pass all that
                passing reason                           follows
circuit         refuses while the provider fails         a refusal must neither wait in
                                                         line nor set anything aside
budget          refuses what is not paid for             before the line, so that nobody
                                                         waits for what he cannot have
rate limit      has calls wait for their turn            the last word before the network:
                                                         what passes is sent
==============  =======================================  ==================================

Only the circuit has an ear besides: it hears next to the network how the provider does, and
so nothing of those who never get there.

Each is a `ClaudeClient` in front of another one, for whole answers and for streams, on
the loop's clock. The state of each (limits, budget, circuit) belongs to all who call
through it: a tree has one stack of them for all its agents. Whatever a policy does to a
call is an event in the lane of whoever made the call.

An `Abort` passes through all of them: it is not retried, no failure of the provider, and
uses nothing of a budget.
"""

from __future__ import annotations

from mnemosyne_core.claude.policies._budget import Budget
from mnemosyne_core.claude.policies._circuit import Circuit, CircuitBreaker, Witness
from mnemosyne_core.claude.policies._deadline import Deadline
from mnemosyne_core.claude.policies._policy import Gatekeeper, Policy, Told, Visit
from mnemosyne_core.claude.policies._rate_limit import Limiter, RateLimit
from mnemosyne_core.claude.policies._retry import Retry
from mnemosyne_core.claude.policies._settings import (
    BudgetSettings,
    CircuitSettings,
    DeadlineSettings,
    PolicySettings,
    RateLimitSettings,
    RetrySettings,
)
from mnemosyne_core.claude.policies._stack import with_policies
from mnemosyne_core.prices import Price

__all__ = [
    "Budget",
    "BudgetSettings",
    "Circuit",
    "CircuitBreaker",
    "CircuitSettings",
    "Deadline",
    "DeadlineSettings",
    "Gatekeeper",
    "Limiter",
    "Policy",
    "PolicySettings",
    "Price",
    "RateLimit",
    "RateLimitSettings",
    "Retry",
    "RetrySettings",
    "Told",
    "Visit",
    "Witness",
    "with_policies",
]
