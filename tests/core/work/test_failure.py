"""Errors as data: what a failure keeps of the error that it stands for."""

from __future__ import annotations

import pytest

from mnemosyne_core.errors import (
    CircuitOpenError,
    ClaudeRateLimitError,
    ClaudeStreamError,
    RateLimitWaitError,
)
from mnemosyne_core.work import Failure


def rate_limited(retry_after_s: float | None) -> ClaudeRateLimitError:
    return ClaudeRateLimitError(
        status=429, error_type="rate_limit_error", message="slow down", retry_after_s=retry_after_s
    )


@pytest.mark.parametrize(
    ("error", "retry_after_s"),
    [
        pytest.param(rate_limited(600.0), 600.0, id="what-the-api-asks"),
        pytest.param(rate_limited(None), None, id="the-api-says-nothing"),
        pytest.param(
            RateLimitWaitError(retry_after_s=30.0, max_wait_s=5.0, reason="our requests"),
            30.0,
            id="rate-limit",
        ),
        pytest.param(
            CircuitOpenError(provider="claude", retry_after_s=0.0, reason="529"), 0.0, id="circuit"
        ),
        pytest.param(ClaudeStreamError(reason="no end"), None, id="an-error-that-knows-no-time"),
        pytest.param(RuntimeError("boom"), None, id="an-error-that-nobody-foresaw"),
    ],
)
def test_a_failure_says_when_the_same_may_go_well_again(
    error: Exception, retry_after_s: float | None
) -> None:
    failure = Failure.of(error)

    assert failure.retry_after_s == retry_after_s
    assert Failure.model_validate_json(failure.model_dump_json()) == failure


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_does_not_hide_the_error(nonsense: float) -> None:
    failure = Failure.of(rate_limited(nonsense))

    assert (failure.code, failure.retry_after_s) == ("claude_rate_limit", None)


def test_a_failure_from_before_there_were_times_is_read() -> None:
    stored = {"code": "crash", "message": "it broke"}

    assert Failure.model_validate(stored).retry_after_s is None
