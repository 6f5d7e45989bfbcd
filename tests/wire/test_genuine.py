"""What this package makes, beside what real servers said: the SDK sees no difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import pytest

from pytest_mnemosyne.wire import (
    HttpAnswer,
    JsonObject,
    assemble,
    compact,
    decode,
    encode,
    error_answer,
    header,
    json_events,
    message_events,
    sse_of,
)
from tests.wire.genuine import Exchange, exchanges


@dataclass
class Seen:
    """What a user of the SDK sees of an answer."""

    events: list[JsonObject]
    message: JsonObject | None = None
    error: object = None


See = Callable[[bytes], Seen]


@pytest.fixture(scope="module")
def answers() -> list[bytes]:
    """The body of the answer that the client gets next."""
    return []


@pytest.fixture(scope="module")
def see_stream(answers: list[bytes], client: anthropic.Anthropic) -> See:
    def see(body: bytes) -> Seen:
        answers[:] = [body]
        seen = Seen(events=[])
        try:
            with client.beta.messages.stream(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            ) as stream:
                for event in stream:
                    seen.events.append(event.to_dict())
                seen.message = stream.get_final_message().to_dict()
        except anthropic.APIStatusError as error:
            seen.error = error.body
        return seen

    return see


@pytest.fixture(scope="module")
def see_whole(answers: list[bytes], client: anthropic.Anthropic) -> See:
    def see(body: bytes) -> Seen:
        answers[:] = [body]
        message = client.beta.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
        )
        return Seen(events=[], message=message.to_dict())

    return see


@pytest.fixture(scope="module")
def client(answers: list[bytes]) -> anthropic.Anthropic:
    def answer(_: httpx2.Request) -> httpx2.Response:
        (body,) = answers
        kind = "application/json" if body.lstrip().startswith(b"{") else "text/event-stream"
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return anthropic.Anthropic(
        api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def streams() -> list[Exchange]:
    return [each for each in exchanges() if each.is_stream and b"message_start" in each.answered]


def messages() -> list[Exchange]:
    whole = (each for each in exchanges() if each.status == 200 and not each.is_stream)
    return [each for each in whole if b'"role"' in each.answered and b'"usage"' in each.answered]


def test_a_genuine_stream_that_is_spelled_again_is_the_same_to_the_sdk(see_stream: See) -> None:
    """To the last byte of what it means; pings, line endings and comments are gone or ours."""
    for exchange in streams():
        events = json_events(decode(exchange.answered).events)

        again = see_stream(encode(sse_of(event) for event in events))

        assert again == see_stream(exchange.answered), exchange.file
        assert again.events, exchange.file
    assert len(streams()) > 35


def test_a_genuine_stream_that_is_made_anew_ends_in_the_same_message(see_stream: See) -> None:
    """However the texts are cut into pieces."""
    count = 0
    for exchange in streams():
        found = assemble(json_events(decode(exchange.answered).events))
        assert found.message is not None
        if not found.complete:
            continue
        count += 1

        made = see_stream(encode(sse_of(event) for event in message_events(found.message)))

        genuine = see_stream(exchange.answered)
        assert made.message == genuine.message, exchange.file
        assert _kinds(made) == _kinds(genuine), exchange.file
    assert count > 30


def _kinds(seen: Seen) -> list[object]:
    """The kinds of events in their order, equal ones in a row as one.

    Without those that the SDK makes of them.
    """
    kinds: list[object] = []
    for event in seen.events:
        sent = event["type"].startswith(("message_", "content_block_"))
        if sent and (not kinds or kinds[-1] != event["type"]):
            kinds.append(event["type"])
    return kinds


def test_a_genuine_message_that_is_spelled_again_is_the_same_to_the_sdk(see_whole: See) -> None:
    for exchange in messages():
        body = json.loads(exchange.answered)

        assert see_whole(compact(body).encode()) == see_whole(exchange.answered), exchange.file
    assert len(messages()) > 70


def test_a_genuine_message_is_the_same_to_the_sdk_when_it_is_streamed(
    see_whole: See, see_stream: See
) -> None:
    for exchange in messages():
        body = json.loads(exchange.answered)
        stream = encode(sse_of(event) for event in message_events(body))

        streamed, whole = see_stream(stream).message, see_whole(exchange.answered).message
        # The end of a stream names the stop details, also where there are none.
        assert streamed == {"stop_details": None} | (whole or {}), exchange.file


# --- errors ----------------------------------------------------------------------------


def errors() -> list[Exchange]:
    return [exchange for exchange in exchanges() if exchange.status >= 400]


_OLDER = "in 2024 the API said the request's id in the header alone"
_CLEANED = "its recorder kept the parsed body and of the headers only the content type"
_HIDDEN = "its recorder put a placeholder over the id in the header, and not in the body"
_TOO_LONG = (
    "chat_real_error_scenarios_anthropic_claude-haiku-4-5_handles_context_length_exceeded_"
    "errors.yml"
)
_DIFFERENT = {
    "anthropic_completion_error.yaml": {"body.request_id": _OLDER},
    "anthropic_completion_invalid_api_key.yaml": {"body.request_id": _OLDER},
    "test_anthropic_multi_modal.yaml": {"body.request_id": _OLDER},
    _TOO_LONG: {"body.request_id": _HIDDEN},
    "test_anthropic_count_tokens_error.yaml": {"request-id": _CLEANED, "x-should-retry": _CLEANED},
    "test_anthropic_explicit_effort_xhigh_unsupported_model_errors.yaml": {
        "request-id": _CLEANED,
        "x-should-retry": _CLEANED,
    },
}
"""Where a recorded error differs from ours: the fields, by file, and why."""

_HOPELESS = "This request would exceed your organization's rate limit of "
"""How the API begins when a request alone is larger than the limit: no waiting helps."""


def ours(exchange: Exchange) -> HttpAnswer:
    genuine = json.loads(exchange.answered)
    message: str = genuine["error"]["message"]
    hopeless = exchange.status == 429 and message.startswith(_HOPELESS)
    retry_after = exchange.headers.get("retry-after")
    return error_answer(
        exchange.status,
        request_id=exchange.headers.get("request-id") or genuine["request_id"],
        message=message,
        retry_after_s=None if retry_after is None else float(retry_after),
        should_retry=False if hopeless else None,
    )


def fields(status: int, headers: Any, body: bytes) -> dict[str, object]:
    """What an error says, flat."""
    parsed = json.loads(body)
    said: dict[str, object] = {"status": status}
    said |= {f"body.{name}": value for name, value in parsed.items() if name != "error"}
    said |= {f"body.error.{name}": value for name, value in parsed["error"].items()}
    for name in ("content-type", "request-id", "x-should-retry", "retry-after", "retry-after-ms"):
        value = header(headers, name)
        if value is not None:
            said[name] = value
    return said


def test_a_genuine_error_is_field_for_field_the_one_that_is_made() -> None:
    different: set[tuple[str, str]] = set()
    for exchange in errors():
        genuine = fields(exchange.status, tuple(exchange.headers.items()), exchange.answered)
        answer = ours(exchange)
        made = fields(answer.status, answer.headers, answer.body)
        differing = {name for name in genuine | made if genuine.get(name) != made.get(name)}
        different |= {(exchange.file, name) for name in differing}

    assert different == {(file, name) for file, names in _DIFFERENT.items() for name in names}
    assert {exchange.status for exchange in errors()} == {400, 401, 404, 429, 529}
    assert len(errors()) > 15


@pytest.mark.parametrize("status", [401, 529])
def test_what_the_api_always_says_with_a_status_is_said_without_being_told(status: int) -> None:
    genuine = {json.loads(e.answered)["error"]["message"] for e in errors() if e.status == status}

    assert genuine == {json.loads(error_answer(status, request_id="r").body)["error"]["message"]}
