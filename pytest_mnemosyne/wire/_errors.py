"""Error answers as the API gives them.

======  =====================  ==========  ==================
status  type                   try again?  class in the SDK
======  =====================  ==========  ==================
400     invalid_request_error  no          BadRequestError
401     authentication_error   no          AuthenticationError
402     billing_error          no          PaymentRequiredError
403     permission_error       no          PermissionDeniedError
404     not_found_error        no          NotFoundError
408     timeout_error          yes         RequestTimeoutError
409     conflict_error         yes         ConflictError
413     request_too_large      no          ContentTooLargeError
422     invalid_request_error  no          UnprocessableEntityError
429     rate_limit_error       yes         RateLimitError
500     api_error              yes         InternalServerError
503     api_error              yes         ServiceUnavailableError
504     timeout_error          yes         GatewayTimeoutError
529     overloaded_error       yes         OverloadedError
======  =====================  ==========  ==================

Any other status from 400 on is an `invalid_request_error` or, from 500 on, an
`api_error`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.wire._http import Headers, HttpAnswer
from pytest_mnemosyne.wire._json import JsonObject, compact


@dataclass(frozen=True, slots=True)
class ApiErrorKind:
    """What the API says with one status."""

    type: str
    message: str
    retry: bool
    """Whether `x-should-retry` invites another try."""


ERROR_KINDS: dict[int, ApiErrorKind] = {
    400: ApiErrorKind("invalid_request_error", "Invalid request", False),
    401: ApiErrorKind("authentication_error", "invalid x-api-key", False),
    402: ApiErrorKind(
        "billing_error", "Your credit balance is too low to access the Anthropic API.", False
    ),
    403: ApiErrorKind(
        "permission_error",
        "Your API key does not have permission to use the specified resource.",
        False,
    ),
    404: ApiErrorKind("not_found_error", "Not found", False),
    408: ApiErrorKind("timeout_error", "Request timed out", True),
    409: ApiErrorKind("conflict_error", "Conflict", True),
    413: ApiErrorKind("request_too_large", "Request exceeds the maximum size", False),
    422: ApiErrorKind("invalid_request_error", "Unprocessable request", False),
    429: ApiErrorKind(
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Reduce the prompt length or "
        "the maximum tokens requested, or try again later.",
        True,
    ),
    500: ApiErrorKind("api_error", "Internal server error", True),
    503: ApiErrorKind("api_error", "Service unavailable", True),
    504: ApiErrorKind("timeout_error", "Request timed out", True),
    529: ApiErrorKind("overloaded_error", "Overloaded", True),
}


def error_kind(status: int) -> ApiErrorKind:
    """What the API says with `status`, an error status between 400 and 599."""
    if not 400 <= status <= 599:
        raise UsageError(f"an error answer has a status between 400 and 599, got {status!r}")
    known = ERROR_KINDS.get(status)
    if known is not None:
        return known
    if status < 500:
        return ApiErrorKind("invalid_request_error", f"Error {status}", False)
    return ApiErrorKind("api_error", f"Error {status}", True)


def error_body(error_type: str, message: str, *, request_id: str | None = None) -> JsonObject:
    """The body of an error, also that of an `error` event inside a stream."""
    body: JsonObject = {"type": "error", "error": {"type": error_type, "message": message}}
    return body if request_id is None else body | {"request_id": request_id}


def retry_headers(retry_after_s: float) -> Headers:
    """How the API asks for a pause, in seconds; a fraction needs a header of its own."""
    if not (math.isfinite(retry_after_s) and retry_after_s >= 0):
        raise UsageError(f"retry_after is a number of seconds from 0 on, got {retry_after_s!r}")
    whole = math.ceil(retry_after_s)
    if whole == retry_after_s:
        return (("retry-after", str(whole)),)
    return (("retry-after", str(whole)), ("retry-after-ms", str(round(retry_after_s * 1000))))


def error_answer(
    status: int,
    *,
    request_id: str,
    error_type: str | None = None,
    message: str | None = None,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
    details: JsonObject | None = None,
    headers: Headers = (),
) -> HttpAnswer:
    """An error answer; what is not given is what the API says with that status.

    Args:
        status: 400 to 599.
        request_id: Goes into the body and the `request-id` header.
        error_type: The error's type, one of the table above or a newer one.
        message: For people.
        retry_after_s: Seconds, as the `retry-after` header.
        should_retry: The `x-should-retry` header, which clients obey before the status.
        details: Machine-readable, such as `{"error_code": "thread_not_found"}`.
        headers: Further ones; a name given here replaces the one made here.
    """
    kind = error_kind(status)
    body = error_body(error_type or kind.type, message or kind.message, request_id=request_id)
    if details is not None:
        body["error"]["details"] = details
    retry = kind.retry if should_retry is None else should_retry
    made: Headers = (
        ("content-type", "application/json"),
        ("request-id", request_id),
        ("x-should-retry", "true" if retry else "false"),
        *(() if retry_after_s is None else retry_headers(retry_after_s)),
    )
    given = tuple((name.lower(), value) for name, value in headers)
    replaced = {name for name, _ in given}
    return HttpAnswer(
        status=status,
        headers=(*((name, value) for name, value in made if name not in replaced), *given),
        chunks=(compact(body).encode(),),
    )
