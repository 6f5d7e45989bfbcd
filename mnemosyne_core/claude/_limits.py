"""What the API says of its rate limits, in the headers of every answer.

==============================  ========================================================
header                          what it says
==============================  ========================================================
anthropic-ratelimit-X-limit     how many X fit into the present period
anthropic-ratelimit-X-remaining how many of them are left
anthropic-ratelimit-X-reset     when all of them will be there again, as a date
retry-after-ms, retry-after     when to ask again, in milliseconds or seconds
date                            the API's own clock, by which the resets are meant
==============================  ========================================================

X is `requests`, `tokens`, `input-tokens` or `output-tokens`. What is missing or cannot
be read is as if the API had not said it: a limit is advice, never a reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite

_PREFIX = "anthropic-ratelimit-"


class Measure(StrEnum):
    """What the API counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input-tokens"
    OUTPUT_TOKENS = "output-tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much of one measure is left."""

    limit: int
    remaining: int
    reset: datetime
    """When all of it is there again, on the API's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one answer said of the limits."""

    quotas: Mapping[Measure, Quota]
    retry_after_s: float | None = None
    at: datetime | None = None
    """The API's clock when it answered."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Limits:
        """What `headers` say; their names are looked up in lower case."""
        found = {measure: _quota(headers, measure) for measure in Measure}
        return cls(
            quotas={measure: quota for measure, quota in found.items() if quota is not None},
            retry_after_s=retry_after_s(headers),
            at=_http_date(headers.get("date")),
        )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the API asks to be left alone; a date in their place is left unread."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _quota(headers: Mapping[str, str], measure: Measure) -> Quota | None:
    limit = _count(headers.get(f"{_PREFIX}{measure}-limit"))
    remaining = _count(headers.get(f"{_PREFIX}{measure}-remaining"))
    reset = _date(headers.get(f"{_PREFIX}{measure}-reset"))
    if limit is None or remaining is None or reset is None:
        return None
    return Quota(limit=limit, remaining=remaining, reset=reset)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _date(text: str | None) -> datetime | None:
    try:
        date = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _http_date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
