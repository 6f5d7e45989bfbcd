"""What the API's headers say of its limits, and what cannot be read of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.claude import Limits, Measure, Quota


def test_all_that_an_answer_says_is_read() -> None:
    limits = Limits.of(
        {
            "date": "Sun, 22 Nov 2026 15:00:00 GMT",
            "retry-after": "12",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-22T15:00:02Z",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-22T16:01:00+01:00",
        }
    )

    assert limits == Limits(
        quotas={
            Measure.REQUESTS: Quota(
                limit=50, remaining=49, reset=datetime(2026, 11, 22, 15, 0, 2, tzinfo=UTC)
            ),
            Measure.OUTPUT_TOKENS: Quota(
                limit=8000, remaining=0, reset=datetime(2026, 11, 22, 15, 1, tzinfo=UTC)
            ),
        },
        retry_after_s=12.0,
        at=datetime(2026, 11, 22, 15, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after-ms": "250", "retry-after": "3"}, 0.25, id="milliseconds-first"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "3"}, 3.0, id="the-other"),
        pytest.param({"retry-after": "Sun, 22 Nov 2026 15:00:00 GMT"}, None, id="a-date"),
        pytest.param({"retry-after": "-1"}, None, id="negative"),
        pytest.param({"retry-after": "inf"}, None, id="for-ever"),
        pytest.param({"retry-after": "nan"}, None, id="no-number"),
    ],
)
def test_seconds_to_wait_are_read_where_they_make_sense(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert Limits.of(headers).retry_after_s == seconds


@pytest.mark.parametrize("part", ["limit", "remaining", "reset"])
@pytest.mark.parametrize("spoiled", [None, "", "-1", "soon"])
def test_a_quota_that_is_told_by_halves_is_not_told(part: str, spoiled: str | None) -> None:
    told = {"limit": "5", "remaining": "1", "reset": "2026-11-22T15:00:00Z", part: spoiled}
    headers = {f"anthropic-ratelimit-tokens-{key}": value for key, value in told.items() if value}

    assert Limits.of(headers) == Limits(quotas={})


QUOTAS = [f"{measure}-{part}" for measure in Measure for part in ("limit", "remaining", "reset")]
NAMES = ["date", "retry-after", "retry-after-ms", *(f"anthropic-ratelimit-{q}" for q in QUOTAS)]


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.integers().map(str)))
def test_no_header_is_a_reason_to_fail(headers: dict[str, str]) -> None:
    assert isinstance(Limits.of(headers), Limits)
