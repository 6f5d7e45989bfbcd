from __future__ import annotations

import json

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.wire import ERROR_KINDS, error_answer, error_kind, header
from pytest_mnemosyne.wire import _errors as module


def test_the_table_in_the_docstring_is_the_table_in_the_code() -> None:
    assert module.__doc__ is not None
    rows = [line.split() for line in module.__doc__.splitlines() if line[:3].isdigit()]

    drawn = {int(status): (kind, retry == "yes") for status, kind, retry, _ in rows}

    assert drawn == {status: (kind.type, kind.retry) for status, kind in ERROR_KINDS.items()}


@pytest.mark.parametrize("status", sorted(ERROR_KINDS))
def test_an_error_has_the_class_that_the_sdk_gives_it(status: int) -> None:
    import anthropic
    import httpx2

    assert module.__doc__ is not None
    row = next(line for line in module.__doc__.splitlines() if line.startswith(str(status)))
    answer = error_answer(status, request_id="req_1")
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(answer.status, headers=answer.headers, content=answer.body)
    )
    client = anthropic.Anthropic(
        api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport)
    )

    with client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
        )

    assert type(caught.value).__name__ == row.split()[-1]
    assert caught.value.type == ERROR_KINDS[status].type
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize(
    ("seconds", "headers"),
    [
        pytest.param(2, {"retry-after": "2"}, id="whole"),
        pytest.param(0, {"retry-after": "0"}, id="at-once"),
        pytest.param(0.25, {"retry-after": "1", "retry-after-ms": "250"}, id="fraction"),
    ],
)
def test_a_pause_is_asked_for_in_headers(seconds: float, headers: dict[str, str]) -> None:
    answer = error_answer(429, request_id="r", retry_after_s=seconds)

    assert {name: value for name, value in answer.headers if "after" in name} == headers


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_pause_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="retry_after is a number of seconds from 0 on"):
        error_answer(429, request_id="r", retry_after_s=seconds)


@pytest.mark.parametrize("status", [200, 302, 399, 600])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(UsageError, match="between 400 and 599"):
        error_kind(status)


def test_what_is_given_replaces_what_the_api_says() -> None:
    answer = error_answer(
        418,
        request_id="r",
        error_type="teapot_error",
        message="short and stout",
        should_retry=True,
        details={"error_code": "teapot"},
        headers=(("Request-Id", "mine"),),
    )

    assert json.loads(answer.body) == {
        "type": "error",
        "error": {
            "type": "teapot_error",
            "message": "short and stout",
            "details": {"error_code": "teapot"},
        },
        "request_id": "r",
    }
    assert header(answer.headers, "request-id") == "mine"
    assert header(answer.headers, "x-should-retry") == "true"
