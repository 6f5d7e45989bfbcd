"""Rate limit: calls wait for their turn instead of being refused by the API.

Three things make a call wait, and it waits for all of them: bounds of our own, which are
the same for all models; what the API's answers say is left of a model's limits; and a
`retry-after`, which concerns the model that it was said of. All calls stand in one line,
whichever model they ask, and leave it in the order in which they came.

`aiolimiter` serves small calls before large ones, knows only bounds of its own, and
cannot be told afterwards what a call has really used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mnemosyne_core.claude._limits import Limits, Measure
from mnemosyne_core.claude._values import ClaudeClient, Prompt
from mnemosyne_core.claude.policies._bucket import Bucket
from mnemosyne_core.claude.policies._estimate import input_tokens
from mnemosyne_core.claude.policies._policy import Gatekeeper, Told
from mnemosyne_core.claude.policies._settings import RateLimitSettings
from mnemosyne_core.claude.policies._turnstile import Turnstile
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import Abort, ClaudeStatusError, RateLimitWaitError
from mnemosyne_core.events import ClaudeRateLimited
from mnemosyne_core.work import Usage


class Limiter:
    """What is known of the limits, whoever has said it."""

    def __init__(self, settings: RateLimitSettings, clock: Clock) -> None:
        """Begin with nothing but our own bounds, all of them unused."""
        self._settings = settings
        self._clock = clock
        self._own: dict[Measure, Bucket] | None = None
        self._told: dict[str, dict[Measure, Bucket]] = {}
        """By model."""

        self._paused_until_s: dict[str, float] = {}
        """By model."""

        self._under_way = 0
        self.turnstile = Turnstile()

    def hear(self, model: str, limits: Limits) -> None:
        """Learn what an answer of the API says of a model's limits."""
        now_s = self._clock.monotonic()
        at = limits.at or self._clock.now()
        buckets = self._told.setdefault(model, {})
        for measure, quota in limits.quotas.items():
            if measure not in buckets:
                buckets[measure] = Bucket(quota.limit, now_s)
            full_in_s = (quota.reset - at).total_seconds()
            buckets[measure].tell(quota.remaining, quota.limit, full_in_s=full_in_s, now_s=now_s)
        self.turnstile.moved()

    def pause(self, model: str, pause_s: float) -> None:
        """Let nobody ask `model` for so long."""
        until_s = self._clock.monotonic() + pause_s
        self._paused_until_s[model] = max(until_s, self._paused_until_s.get(model, until_s))

    def obstacle(self, call: Admitted) -> tuple[float, str]:
        """How many seconds `call` has to wait, and for what; 0 for a call that has room."""
        now_s = self._clock.monotonic()
        most = self._settings.max_concurrent
        obstacles = [
            (self._paused_until_s.get(call.model, now_s) - now_s, "retry-after"),
            (
                math.inf if most is not None and self._under_way >= most else 0.0,
                "calls at the same time",
            ),
        ]
        for whose, buckets in self._buckets(call.model):
            obstacles += [
                (bucket.wait_s(call.needs[measure], now_s), f"{whose} {measure}")
                for measure, bucket in buckets.items()
            ]
        return max(obstacles, key=lambda obstacle: obstacle[0])

    def begin(self, call: Admitted) -> None:
        """Count `call` as under way."""
        self._under_way += 1
        now_s = self._clock.monotonic()
        for _, buckets in self._buckets(call.model):
            for measure, bucket in buckets.items():
                bucket.take(call.needs[measure], now_s)
        call.taken = tuple(self._told.get(call.model, {}))

    def answered(self, call: Admitted) -> None:
        """The API has counted `call`, and has said what is left: nothing is taken for it here."""
        now_s = self._clock.monotonic()
        for measure in call.taken:
            self._told[call.model][measure].settle(call.needs[measure], 0.0, now_s)
        call.taken = ()

    def end(self, call: Admitted, used: Mapping[Measure, float]) -> None:
        """Count `call` as over."""
        self.answered(call)
        self._under_way -= 1
        now_s = self._clock.monotonic()
        for measure, bucket in self._own_buckets().items():
            bucket.settle(call.needs[measure], used.get(measure, 0.0), now_s)
        self.turnstile.moved()

    def _buckets(self, model: str) -> list[tuple[str, dict[Measure, Bucket]]]:
        return [("our", self._own_buckets()), ("Claude's", self._told.get(model, {}))]

    def _own_buckets(self) -> dict[Measure, Bucket]:
        # Made when they are first needed: before there is a loop, its clock cannot be read.
        if self._own is None:
            bounds = {
                Measure.REQUESTS: self._settings.requests_per_minute,
                Measure.TOKENS: self._settings.tokens_per_minute,
            }
            now_s = self._clock.monotonic()
            self._own = {
                measure: Bucket(bound, now_s)
                for measure, bound in bounds.items()
                if bound is not None
            }
        return self._own


class RateLimit(Gatekeeper):
    """Has calls wait until there is room for them."""

    def __init__(
        self,
        inner: ClaudeClient,
        settings: RateLimitSettings,
        *,
        told: Told,
        clock: Clock,
        limiter: Limiter,
    ) -> None:
        """Hold back the calls of `inner`, as `limiter` says."""
        super().__init__(inner)
        self._max_wait_s = settings.max_wait_s
        self._told = told
        self._clock = clock
        self._limiter = limiter

    async def _enter(self, prompt: Prompt, /) -> Admitted:
        call = Admitted(self._limiter, prompt)
        gives_up_s = self._clock.monotonic() + self._max_wait_s
        if is_told := self._limiter.turnstile.has_line:
            self._told(ClaudeRateLimited(reason="other calls wait before this one"))

        def admit() -> float:
            nonlocal is_told
            wait_s, reason = self._limiter.obstacle(call)
            if wait_s <= 0:
                self._limiter.begin(call)
                return 0.0
            known_s = None if math.isinf(wait_s) else wait_s
            left_s = gives_up_s - self._clock.monotonic()
            if left_s <= 0 or (known_s is not None and known_s > left_s):
                raise RateLimitWaitError(
                    retry_after_s=known_s, max_wait_s=self._max_wait_s, reason=reason
                )
            if not is_told:
                self._told(ClaudeRateLimited(reason=reason, wait_s=known_s))
                is_told = True
            return min(wait_s, left_s)

        await self._limiter.turnstile.enter(admit)
        return call


class Admitted:
    """A call that asks to be let in, and then is under way."""

    def __init__(self, limiter: Limiter, prompt: Prompt) -> None:
        """Estimate what `prompt` needs."""
        self._limiter = limiter
        self.model = prompt.model
        estimate = float(input_tokens(prompt))
        self.needs: dict[Measure, float] = {
            Measure.REQUESTS: 1.0,
            Measure.TOKENS: estimate,
            Measure.INPUT_TOKENS: estimate,
            # The API counts the output while it is made: there must be some left.
            Measure.OUTPUT_TOKENS: 1.0,
        }
        self.taken: tuple[Measure, ...] = ()
        """The API's measures of which something is taken for it."""

    def answered(self) -> None:
        """The API has counted the call."""
        self._limiter.answered(self)

    def leave(self, usage: Usage, error: BaseException | None, /) -> None:
        """Put right what was estimated, and do as the API asks."""
        if isinstance(error, ClaudeStatusError) and error.retry_after_s is not None:
            self._limiter.pause(self.model, error.retry_after_s)
        used: dict[Measure, float] = {
            Measure.REQUESTS: 0.0 if isinstance(error, Abort) else 1.0,
            Measure.TOKENS: float(usage.total_input_tokens + usage.output_tokens),
        }
        self._limiter.end(self, used)
