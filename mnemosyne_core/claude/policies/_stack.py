"""The policies, one in front of the other."""

from __future__ import annotations

from random import Random

from mnemosyne_core.claude._anthropic import Provider
from mnemosyne_core.claude._values import ClaudeClient
from mnemosyne_core.claude.policies._budget import Budget
from mnemosyne_core.claude.policies._circuit import Circuit, CircuitBreaker, Witness
from mnemosyne_core.claude.policies._deadline import Deadline
from mnemosyne_core.claude.policies._policy import Told
from mnemosyne_core.claude.policies._rate_limit import Limiter, RateLimit
from mnemosyne_core.claude.policies._retry import Retry
from mnemosyne_core.claude.policies._settings import PolicySettings
from mnemosyne_core.clock import Clock
from mnemosyne_core.events import Recorder


def with_policies(
    client: ClaudeClient,
    settings: PolicySettings,
    *,
    recorder: Recorder,
    clock: Clock,
    random: Random,
) -> ClaudeClient:
    """`client` behind the policies that have settings; `client` itself if none has.

    Whoever calls Claude through the client that comes out shares its limits, budget and
    circuit. Closing it closes `client`.

    Args:
        client: Who asks Claude. One that is a `Provider` has its own retries turned off
            where there are ours, and tells what the API's answers say of its limits.
        settings: Which policies there are.
        recorder: Hears what they do, in the lane of the call.
        clock: What measures their times; their waits are the running loop's.
        random: Where jitter comes from.
    """
    told = Told(recorder)
    limiter = Limiter(settings.rate_limit, clock) if settings.rate_limit is not None else None
    provider = client if isinstance(client, Provider) else None
    heeds = settings.rate_limit is not None and settings.rate_limit.heed_answers
    if provider is not None and (settings.retry is not None or heeds):
        client = provider.with_options(
            max_retries=None if settings.retry is None else 0,
            on_limits=limiter.hear if limiter is not None and heeds else None,
        )
    circuit: Circuit | None = None
    if settings.circuit is not None:
        circuit = Circuit(
            settings.circuit,
            told=told,
            clock=clock,
            provider=lambda: "Claude" if provider is None else provider.provider,
        )
        client = Witness(client, circuit)
    if settings.rate_limit is not None and limiter is not None:
        client = RateLimit(client, settings.rate_limit, told=told, clock=clock, limiter=limiter)
    if settings.budget is not None:
        client = Budget(client, settings.budget, told=told)
    if circuit is not None:
        client = CircuitBreaker(client, circuit)
    if settings.retry is not None:
        client = Retry(client, settings.retry, told=told, random=random)
    if settings.deadline is not None:
        client = Deadline(client, settings.deadline, told=told, clock=clock)
    return client
