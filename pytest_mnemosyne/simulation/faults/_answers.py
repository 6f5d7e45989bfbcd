"""What a client gets in place of an answer, as values."""

from __future__ import annotations

import json

from pytest_mnemosyne.simulation.faults._provider import ErrorEvent, Status
from pytest_mnemosyne.wire import (
    ERROR_KINDS,
    Headers,
    HttpAnswer,
    SseEvent,
    error_answer,
    error_body,
    retry_headers,
    sse_of,
)

_PROXY_STATUS = 502
"""The API itself never says it: it comes from what stands in front of the API."""

_PROXY_PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>{server}</center>\r\n"
    "</body>\r\n</html>\r\n"
)


def status_answer(fault: Status, *, call: int) -> HttpAnswer:
    """The error answer to the test's call number `call`, which its request id tells."""
    headers = _retry_headers(fault)
    if fault.status == _PROXY_STATUS:
        return _proxy_answer(fault, headers)
    return error_answer(
        fault.status,
        request_id=request_id(call),
        error_type=fault.error_type,
        message=fault.message,
        should_retry=fault.should_retry,
        headers=headers,
    )


def request_id(call: int) -> str:
    """The id of an answer that no server gave."""
    return f"req_fault_{call}"


def error_event(fault: ErrorEvent, *, call: int) -> SseEvent:
    """The event by which the API breaks a stream off."""
    kinds = (kind for kind in ERROR_KINDS.values() if kind.type == fault.error_type)
    known = next((kind.message for kind in kinds), fault.error_type)
    message = fault.message or known
    return sse_of(error_body(fault.error_type, message, request_id=request_id(call)))


def _retry_headers(fault: Status) -> Headers:
    found: dict[str, str] = {}
    if isinstance(fault.retry_after, str):
        found["retry-after"] = fault.retry_after
    elif fault.retry_after is not None:
        found |= dict(retry_headers(fault.retry_after))
    if fault.retry_after_ms is not None:
        found["retry-after-ms"] = json.dumps(fault.retry_after_ms)
    return tuple(found.items())


def _proxy_answer(fault: Status, headers: Headers) -> HttpAnswer:
    server = "cloudflare"
    page = _PROXY_PAGE.format(server=server) if fault.message is None else fault.message
    made: Headers = (("content-type", "text/html"), ("server", server), *headers)
    if fault.should_retry is not None:
        made = (*made, ("x-should-retry", "true" if fault.should_retry else "false"))
    return HttpAnswer(status=fault.status, headers=made, chunks=(page.encode(),))
