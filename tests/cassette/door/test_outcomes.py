"""However an exchange ends, it is recorded so and plays so, for every kind of client."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import httpx2
import pytest

from pytest_mnemosyne.cassette import Cassette, Outcome, RecordMode
from tests.cassette.door.loopback import (
    Asked,
    Wire,
    break_off,
    cut,
    drop,
    leave,
    reset,
    silent,
    stall,
)
from tests.cassette.door.loopback import serving as serve

ANYWHERE = "http://127.0.0.1:9"
"""Nobody listens here: what is replayed from it was not fetched from it."""

MODEL = "claude-sonnet-5-5"
PATIENCE_S = 0.2
QUESTION = {"model": MODEL, "max_tokens": 64, "stream": True, "messages": []}

Open = Callable[..., Cassette]
Heard = tuple[list[str], type[Exception] | None]
"""What a client got, and what it got in the end."""

OUTCOMES = pytest.mark.parametrize(
    ("behave", "outcome", "error", "raw_error", "heard"),
    [
        pytest.param(
            drop,
            Outcome.DROPPED,
            httpx2.RemoteProtocolError,
            httpx2.RemoteProtocolError,
            ["half"],
            id="dropped",
        ),
        pytest.param(cut, Outcome.CUT, None, None, ["half"], id="cut"),
        pytest.param(
            stall, Outcome.TIMEOUT, httpx2.ReadTimeout, httpx2.ReadTimeout, ["half"], id="stalled"
        ),
        pytest.param(
            break_off,
            Outcome.RESET,
            httpx2.ReadError,
            httpx2.ReadError,
            ["half"],
            id="reset-in-the-middle",
        ),
        pytest.param(
            reset, Outcome.RESET, anthropic.APIConnectionError, httpx2.ReadError, [], id="reset"
        ),
        pytest.param(
            leave,
            Outcome.DROPPED,
            anthropic.APIConnectionError,
            httpx2.RemoteProtocolError,
            [],
            id="left",
        ),
        pytest.param(
            silent, Outcome.TIMEOUT, anthropic.APITimeoutError, httpx2.ReadTimeout, [], id="silent"
        ),
    ],
)

Behave = Callable[[Wire, Asked], None]
Expected = type[Exception] | None


def recorded(cassette: Cassette) -> list[Outcome]:
    return [each.outcome for each in cassette.interactions_to_write()]


@OUTCOMES
async def test_the_asynchronous_client_gets_what_it_got(
    behave: Behave,
    outcome: Outcome,
    error: Expected,
    raw_error: Expected,
    heard: list[str],
    opened: Open,
) -> None:
    async def listen(url: str) -> Heard:
        words: list[str] = []
        http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
        try:
            async with (
                anthropic.AsyncAnthropic(
                    api_key="sk-test",
                    base_url=url,
                    http_client=http,
                    max_retries=0,
                    timeout=PATIENCE_S,
                ) as client,
                client.messages.stream(
                    model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "q"}]
                ) as answer,
            ):
                async for piece in answer.text_stream:
                    words.append(piece)  # noqa: PERF401 - a broken stream keeps its beginning
        except (httpx2.HTTPError, anthropic.APIError) as raised:
            return words, type(raised)
        return words, None

    with serve(behave) as server:
        recording = opened(RecordMode.RECORD)
        live = await listen(server.url)
        recording.save()

    assert live == (heard, error)
    opened(RecordMode.REPLAY)
    assert await listen(ANYWHERE) == live
    assert recorded(recording) == [outcome]


@OUTCOMES
def test_the_synchronous_client_gets_what_it_got(
    behave: Behave,
    outcome: Outcome,
    error: Expected,
    raw_error: Expected,
    heard: list[str],
    opened: Open,
) -> None:
    def listen(url: str) -> Heard:
        words: list[str] = []
        http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
        try:
            with (
                anthropic.Anthropic(
                    api_key="sk-test",
                    base_url=url,
                    http_client=http,
                    max_retries=0,
                    timeout=PATIENCE_S,
                ) as client,
                client.messages.stream(
                    model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "q"}]
                ) as answer,
            ):
                for piece in answer.text_stream:
                    words.append(piece)  # noqa: PERF402 - a broken stream keeps its beginning
        except (httpx2.HTTPError, anthropic.APIError) as raised:
            return words, type(raised)
        return words, None

    with serve(behave) as server:
        recording = opened(RecordMode.RECORD)
        live = listen(server.url)
        recording.save()

    assert live == (heard, error)
    opened(RecordMode.REPLAY)
    assert listen(ANYWHERE) == live
    assert recorded(recording) == [outcome]


@OUTCOMES
def test_a_plain_client_gets_the_error_that_it_got(
    behave: Behave,
    outcome: Outcome,
    error: Expected,
    raw_error: Expected,
    heard: list[str],
    opened: Open,
) -> None:
    def fetch(url: str) -> type[Exception] | None:
        transport = httpx2.HTTPTransport(verify=False)
        with httpx2.Client(transport=transport, timeout=PATIENCE_S) as http:
            try:
                http.post(f"{url}/v1/messages", json=QUESTION)
            except httpx2.HTTPError as raised:
                return type(raised)
        return None

    with serve(behave) as server:
        recording = opened(RecordMode.RECORD)
        live = fetch(server.url)
        recording.save()

    assert live is raw_error
    opened(RecordMode.REPLAY)
    assert fetch(ANYWHERE) is live
    assert recorded(recording) == [outcome]
