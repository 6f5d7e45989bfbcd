"""Recorded retries play as retries, and nobody waits for them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import anyio
import httpx2
import pytest

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    Headers,
    Interaction,
    Outcome,
    Pace,
    RecordMode,
    Request,
    Response,
    write,
)
from tests.cassette.door.loopback import message

ANYWHERE = "http://127.0.0.1:9"
QUESTION = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": []}
JSON = ("content-type", "application/json")
OVERLOADED = json.dumps(
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
).encode()

Open = Callable[..., Cassette]
Play = Callable[..., Cassette]


def answered(status: int, *headers: tuple[str, str], body: bytes = OVERLOADED) -> Interaction:
    return exchange(Response(status=status, headers=(JSON, *headers), body=body))


def exchange(response: Response | None, outcome: Outcome = Outcome.COMPLETE) -> Interaction:
    request = Request(method="POST", url="/v1/messages", body=json.dumps(QUESTION).encode())
    return Interaction(request=request, response=response, outcome=outcome, took_s=2.0)


GOOD = answered(200, body=message("at last"))
PATIENT = (answered(529, ("retry-after", "30")), answered(529, ("retry-after", "60")), GOOD)


@pytest.fixture
def playing(opened: Open, tmp_path: Path) -> Play:
    def play(*recorded: Interaction, **more: object) -> Cassette:
        write(tmp_path / "calls.yaml", CassetteFile(interactions=recorded))
        return opened(RecordMode.REPLAY, **more)

    return play


@pytest.fixture
def sync_client() -> Iterator[anthropic.Anthropic]:
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    with anthropic.Anthropic(api_key="sk-test", base_url=ANYWHERE, http_client=http) as client:
        client.with_options(max_retries=0).messages  # noqa: B018 - made before time counts
        yield client


def async_client(**more: object) -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
    return anthropic.AsyncAnthropic(
        api_key="sk-test",
        base_url=ANYWHERE,
        http_client=http,
        **more,  # type: ignore[arg-type]
    )


def told(cassette: Cassette) -> list[tuple[int, int | None]]:
    return [(turn.tries, turn.status) for turn in cassette.turns]


AS_RECORDED = [(1, 529), (2, 529), (3, 200)]


def test_the_synchronous_client_tries_again_at_once(
    playing: Play, sync_client: anthropic.Anthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = playing(*PATIENT)
    slept_s: list[float] = []
    monkeypatch.setattr(time, "sleep", slept_s.append)

    sync_client.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert slept_s == pytest.approx([1e-6, 1e-6])
    assert told(cassette) == AS_RECORDED


async def test_the_asynchronous_client_tries_again_at_once(
    playing: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = playing(*PATIENT)
    slept_s: list[float] = []

    async def sleep(delay: float) -> None:
        slept_s.append(delay)

    monkeypatch.setattr(anyio, "sleep", sleep)
    async with async_client() as client:
        await client.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert slept_s == pytest.approx([1e-6, 1e-6])
    assert told(cassette) == AS_RECORDED


def test_what_was_recorded_is_what_the_turns_tell(
    playing: Play, sync_client: anthropic.Anthropic
) -> None:
    cassette = playing(*PATIENT)
    sync_client.messages.create(**QUESTION)  # type: ignore[call-overload]

    recorded = [
        dict(turn.interaction.response.headers)
        for turn in cassette.turns
        if turn.interaction is not None and turn.interaction.response is not None
    ]
    assert [each.get("retry-after") for each in recorded] == ["30", "60", None]
    assert not any("retry-after-ms" in each for each in recorded)


@pytest.mark.virtual_time
async def test_on_virtual_time_the_recorded_wait_is_waited(playing: Play) -> None:
    cassette = playing(*PATIENT)

    async with async_client() as client:
        await client.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert asyncio.get_running_loop().time() == 90.0
    assert told(cassette) == AS_RECORDED


@pytest.mark.virtual_time
async def test_a_broken_connection_is_tried_again_on_virtual_time(playing: Play) -> None:
    cassette = playing(exchange(None, Outcome.RESET), exchange(None, Outcome.TIMEOUT), GOOD)

    async with async_client() as client:
        await client.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert asyncio.get_running_loop().time() > 0
    assert [turn.outcome for turn in cassette.turns] == ["reset", "timeout", "complete"]


@pytest.mark.parametrize(
    ("status", "headers", "is_changed"),
    [
        pytest.param(429, (("retry-after-ms", "9000"),), True, id="rate-limited"),
        pytest.param(500, (), True, id="server-error"),
        pytest.param(404, (), False, id="not-found"),
        pytest.param(404, (("x-should-retry", "true"),), True, id="told-to-try-again"),
        pytest.param(529, (("x-should-retry", "false"),), False, id="told-not-to"),
    ],
)
def test_only_what_the_sdk_tries_again_is_answered_otherwise(
    playing: Play,
    sync_client: anthropic.Anthropic,
    status: int,
    headers: Headers,
    is_changed: bool,
) -> None:
    playing(answered(status, *headers))

    with pytest.raises(anthropic.APIStatusError) as caught:
        sync_client.with_options(max_retries=0).messages.create(
            **QUESTION  # type: ignore[call-overload]
        )

    assert (caught.value.response.headers.get("retry-after-ms") == "0.001") is is_changed


def test_a_client_that_is_not_the_sdk_gets_the_recorded_headers(playing: Play) -> None:
    playing(PATIENT[0])

    with httpx2.Client(transport=httpx2.HTTPTransport(verify=False)) as http:
        answer = http.post(f"{ANYWHERE}/v1/messages", json=QUESTION)

    assert dict(answer.headers) == {"content-type": "application/json", "retry-after": "30"}


@pytest.mark.virtual_time
async def test_at_the_recorded_pace_answers_take_their_time_and_waits_too(playing: Play) -> None:
    playing(*PATIENT, pace=Pace.RECORDED)

    async with async_client() as client:
        await client.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert asyncio.get_running_loop().time() == 90.0 + 3 * 2.0
