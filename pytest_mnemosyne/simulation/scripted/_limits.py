"""Rate limits that count: buckets that fill up evenly, as the API's do.

A bucket holds what may be used within a minute and fills up again at that pace. A request
takes one from the requests and its uncached input from the input tokens, or is refused
without taking anything. Output is taken when it is known, so a bucket may go below zero;
while there is none left, nobody gets in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import RLock

from pytest_mnemosyne.simulation.scripted._dates import Dates
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._script import Failure
from pytest_mnemosyne.wire import Headers

_EPSILON = 1e-6
"""What is lost of a bucket when it fills up in floating-point steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What may be used within a minute; `None` is without limit."""

    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in self.__slots__}
        for name, limit in limits.items():
            if limit is not None and limit < 1:
                raise ScriptError(f"{name} is 1 or more, or None for no limit, got {limit!r}")
        if all(limit is None for limit in limits.values()):
            raise ScriptError(f"a rate limit limits at least one of {', '.join(limits)}")


class _Bucket:
    def __init__(self, limit: int, what: str) -> None:
        self.limit = limit
        self.what = what
        self._level = float(limit)
        self._at_s = 0.0

    def wait_s(self, need: float, at_s: float) -> float:
        """How long until the bucket holds `need`; 0 where it does."""
        missing = need - self._filled(at_s)
        return 0.0 if missing <= _EPSILON else missing * 60 / self.limit

    def take(self, amount: float, at_s: float) -> None:
        """Take something out, or put it back where it is negative."""
        self._level = min(float(self.limit), self._filled(at_s) - amount)

    def left(self, at_s: float) -> int:
        """What it holds, in whole ones."""
        return max(0, math.floor(self._filled(at_s) + _EPSILON))

    def full_at_s(self, at_s: float) -> float:
        """When it will be full."""
        return at_s + (self.limit - self._filled(at_s)) * 60 / self.limit

    def _filled(self, at_s: float) -> float:
        gained = (at_s - self._at_s) * self.limit / 60
        self._level = min(float(self.limit), self._level + gained)
        self._at_s = at_s
        return self._level


class RateLimiter:
    """Lets requests in as long as a limit allows, and says so in headers."""

    def __init__(self, limit: RateLimit, dates: Dates, lock: RLock) -> None:
        self._dates = dates
        self._lock = lock
        made = {
            "requests": (limit.requests_per_minute, "requests"),
            "input-tokens": (limit.input_tokens_per_minute, "input tokens"),
            "output-tokens": (limit.output_tokens_per_minute, "output tokens"),
        }
        self._buckets = {
            name: _Bucket(bound, what) for name, (bound, what) in made.items() if bound is not None
        }

    def admit(self, input_tokens: int) -> Failure | None:
        """Let a request in, or say how it is refused."""
        with self._lock:
            return self._admitted(input_tokens, self._dates.elapsed_s())

    def settle(self, admitted_tokens: int, usage: Mapping[str, int]) -> None:
        """Count what an answer has really used, in place of what it was let in with."""
        uncached = usage["input_tokens"] + (usage["cache_creation_input_tokens"] or 0)
        with self._lock:
            at_s = self._dates.elapsed_s()
            self._take("input-tokens", uncached - admitted_tokens, at_s)
            self._take("output-tokens", usage["output_tokens"], at_s)

    def headers(self) -> Headers:
        """The state of the limits, as the API tells it."""
        with self._lock:
            return tuple(self._headers(self._dates.elapsed_s()))

    def _admitted(self, input_tokens: int, at_s: float) -> Failure | None:
        needs = {"requests": 1, "input-tokens": input_tokens, "output-tokens": 1}
        waits = {name: b.wait_s(needs[name], at_s) for name, b in self._buckets.items()}
        slowest = max(waits, key=lambda name: waits[name])
        if waits[slowest] > 0:
            bucket = self._buckets[slowest]
            # No waiting helps a request that is larger than the bucket.
            hopeless = needs[slowest] > bucket.limit
            return Failure(
                status=429,
                message="This request would exceed your organization's rate limit of "
                f"{bucket.limit:,} {bucket.what} per minute.",
                retry_after_s=None if hopeless else math.ceil(waits[slowest] - _EPSILON),
                should_retry=not hopeless,
            )
        self._take("requests", 1, at_s)
        self._take("input-tokens", input_tokens, at_s)
        return None

    def _take(self, name: str, amount: int, at_s: float) -> None:
        if name in self._buckets:
            self._buckets[name].take(amount, at_s)

    def _headers(self, at_s: float) -> Iterator[tuple[str, str]]:
        states = {
            name: (bucket.limit, bucket.left(at_s), bucket.full_at_s(at_s))
            for name, bucket in self._buckets.items()
        }
        tokens = [state for name, state in states.items() if name != "requests"]
        if len(tokens) == 2:
            limits, left, full_at_s = zip(*tokens, strict=True)
            states["tokens"] = (sum(limits), sum(left), max(full_at_s))
        for name, (limit, remaining, full_at) in states.items():
            prefix = f"anthropic-ratelimit-{name}"
            yield f"{prefix}-limit", str(limit)
            yield f"{prefix}-remaining", str(remaining)
            yield f"{prefix}-reset", self._dates.spelled(math.ceil(full_at - _EPSILON))
