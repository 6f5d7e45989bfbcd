"""One recorded request, made again with the real SDK, and what its answer has to be.

A request is made with the SDK's typed method for its endpoint, with what the
method's signature does not know (any more) in `extra_body`. Endpoints without a
typed method go through `client.post` and are compared as bytes.
"""

from __future__ import annotations

import email
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.message import Message as Email
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anthropic
import httpx2

from pytest_mnemosyne.cassette import Interaction, Request, Response
from pytest_mnemosyne.wire import decode, looks_like_sse

KNOWN_ERRORS: Mapping[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    529: anthropic.OverloadedError,
}


@dataclass(frozen=True)
class Call:
    """How a recorded request is made."""

    how: str
    """What is called, for people."""

    make: Callable[[Any], Any]
    """Takes a client; returns what its method returns, an awaitable for an async one."""


def call_of(request: Request) -> Call:
    """The SDK's way to make this request."""
    url = urlsplit(request.url)
    # The SDK asks for betas by header now; these recordings did it in the URL as well.
    query = dict(parse_qsl(url.query))
    beta = query.get("beta") == "true"
    body = json.loads(request.body) if request.body.lstrip().startswith(b"{") else None
    match request.method, url.path:
        case "POST", "/v1/messages" if body is not None:
            return _typed("messages.create", body, query, beta=beta)
        case "POST", "/v1/messages/count_tokens" if body is not None:
            return _typed("messages.count_tokens", body, query, beta=beta)
        case "POST", "/v1/messages/batches" if body is not None:
            return _typed("messages.batches.create", body, query, beta=beta)
        case "GET", "/v1/models":
            return _typed("models.list", {}, query, beta=beta)
        case "GET", "/v1/files":
            return _typed("files.list", {}, query)
        case "POST", "/v1/files":
            return _typed("files.upload", {"file": _uploaded(request)}, query)
        case "DELETE", path if found := re.fullmatch(r"/v1/files/(\w+)", path):
            return _typed("files.delete", {"file_id": found[1]}, query)
        case "POST", _:
            return _untyped(request, body)
        case _:
            raise AssertionError(f"no way to make {request.method} {request.url}")


def _typed(
    name: str, arguments: Mapping[str, Any], query: Mapping[str, str], *, beta: bool = True
) -> Call:
    name = f"beta.{name}" if beta else name

    def make(client: Any) -> Any:
        method = client
        for part in name.split("."):
            method = getattr(method, part)
        known = inspect.signature(method).parameters
        fitting = {key: value for key, value in arguments.items() if key in known}
        rest = {key: value for key, value in arguments.items() if key not in known}
        # Without a timeout the SDK refuses a long answer that is not streamed.
        return method(**fitting, extra_body=rest or None, extra_query=query, timeout=60)

    return Call(f"`{name}`", make)


def _untyped(request: Request, body: object) -> Call:
    url = urlsplit(request.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    if url.hostname != "api.anthropic.com":
        path = request.url

    def make(client: Any) -> Any:
        return client.post(path, body=body, cast_to=httpx2.Response)

    return Call("`client.post`", make)


def _uploaded(request: Request) -> tuple[str, bytes, str]:
    """Name, content and type of the file in a recorded form."""
    declared = dict(request.headers)["content-type"].encode()
    form = email.message_from_bytes(b"content-type: " + declared + b"\r\n\r\n" + request.body)
    parts = form.get_payload()
    assert isinstance(parts, list)
    (part,) = parts
    assert isinstance(part, Email)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return part.get_filename() or "file", content, part.get_content_type()


# --- what has to come out --------------------------------------------------------------


def check(call: Call, interaction: Interaction, client: anthropic.Anthropic) -> None:
    """Make the call and compare all that comes out with what was recorded."""
    response = interaction.response
    assert response is not None
    events: list[Any] = []
    try:
        result = call.make(client)
        if isinstance(result, anthropic.Stream):
            events.extend(result)
    except anthropic.APIStatusError as error:
        check_error(error, response, events)
    else:
        check_result(result, response, events)


async def check_async(
    call: Call, interaction: Interaction, client: anthropic.AsyncAnthropic
) -> None:
    """The same with the async client."""
    response = interaction.response
    assert response is not None
    events: list[Any] = []
    try:
        result = call.make(client)
        if isinstance(result, Awaitable):
            result = await result
        if isinstance(result, anthropic.AsyncStream):
            events.extend([event async for event in result])
    except anthropic.APIStatusError as error:
        check_error(error, response, events)
    else:
        check_result(result, response, events)


def check_error(error: anthropic.APIStatusError, response: Response, events: list[Any]) -> None:
    """A typed error, with the body that was recorded: as an answer or inside a stream."""
    if response.status == 200:
        assert looks_like_sse(response.body)
        *before, last = _recorded_events(response.body)
        assert last["type"] == "error"
        assert error.body == last
        assert [_plain(event) for event in events] == before
        return
    assert type(error) is KNOWN_ERRORS[response.status]
    assert error.status_code == response.status
    assert error.response.content == response.body
    assert error.body == json.loads(response.body)


def check_result(result: Any, response: Response, events: list[Any]) -> None:
    """Typed events, a typed value, or bytes."""
    assert response.status == 200
    if isinstance(result, httpx2.Response):
        assert result.content == response.body
    elif isinstance(result, anthropic.Stream | anthropic.AsyncStream):
        assert result.response.headers["content-type"].startswith("text/event-stream")
        assert events
        assert [_plain(event) for event in events] == _recorded_events(response.body)
    else:
        assert isinstance(result, anthropic.BaseModel)
        recorded = json.loads(response.body)
        assert _in_one_spelling(_plain(result)) == _in_one_spelling(recorded)


def _plain(model: Any) -> Any:
    return json.loads(model.to_json(indent=None))


def _in_one_spelling(value: Any) -> Any:
    """UTC as `Z`, which is how a model prints a date however it was spelled."""
    if isinstance(value, dict):
        return {key: _in_one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in_one_spelling(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\A(\d{4}-\d\d-\d\dT[\d:.]+)\+00:00\Z", r"\1Z", value)
    return value


def _recorded_events(body: bytes) -> list[Any]:
    """The data of the stream's events; clients of the SDK see no pings."""
    return [
        json.loads(event.data)
        for event in decode(body).events
        if event.complete and event.data and event.event != "ping"
    ]
