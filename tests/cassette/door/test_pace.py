"""Played answers arrive at once, or when they arrived while they were recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import anthropic
import httpx2
import pytest

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    Chunk,
    Interaction,
    Outcome,
    Pace,
    RecordMode,
    Request,
    Response,
    write,
)
from pytest_mnemosyne.cassette import _pace as pace_module
from tests.cassette.door.loopback import events, message

ANYWHERE = "http://127.0.0.1:9"
QUESTION = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": []}
TOOK_S = 60.0

Open = Callable[..., Cassette]


def interaction(
    outcome: Outcome = Outcome.COMPLETE, *, streamed: bool = True, answered: bool = True
) -> Interaction:
    """An exchange whose stream had an event each five seconds, and which took a minute."""
    pieces = events("one two")
    chunks = tuple(
        Chunk(data=piece, at_s=at_s)
        for piece, at_s in zip(pieces, accumulate([5.0] * len(pieces)), strict=True)
    )
    body = b"".join(pieces) if streamed else message("whole")
    kind = "text/event-stream" if streamed else "application/json"
    response = Response(
        status=200,
        headers=(("content-type", kind),),
        body=body,
        chunks=chunks if streamed else (),
    )
    question = {**QUESTION, "stream": True} if streamed else QUESTION
    return Interaction(
        request=Request(method="POST", url="/v1/messages", body=json.dumps(question).encode()),
        response=response if answered else None,
        outcome=outcome,
        took_s=TOOK_S,
    )


@pytest.fixture
def playing(opened: Open, tmp_path: Path) -> Callable[..., None]:
    def play(recorded: Interaction, pace: Pace = Pace.RECORDED) -> None:
        write(tmp_path / "calls.yaml", CassetteFile(interactions=(recorded,)))
        opened(RecordMode.REPLAY, pace=pace)

    return play


def client() -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
    return anthropic.AsyncAnthropic(
        api_key="sk-test", base_url=ANYWHERE, http_client=http, max_retries=0
    )


async def listen(heard: list[float]) -> None:
    """Note when each event of the stream arrives, from the request on."""
    clock = asyncio.get_running_loop()
    began_s = clock.time()
    async with (
        client() as claude,
        await claude.messages.create(  # type: ignore[call-overload]
            **QUESTION, stream=True
        ) as stream,
    ):
        async for _ in stream:
            heard.append(clock.time() - began_s)  # noqa: PERF401 - a broken stream keeps them


@pytest.mark.virtual_time
async def test_a_stream_arrives_when_it_did(playing: Callable[..., None]) -> None:
    playing(interaction())
    heard: list[float] = []

    await listen(heard)

    assert heard == [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]


@pytest.mark.virtual_time
async def test_a_stream_arrives_at_once_by_default(playing: Callable[..., None]) -> None:
    playing(interaction(), Pace.INSTANT)
    heard: list[float] = []

    await listen(heard)

    assert set(heard) == {0.0}


@pytest.mark.virtual_time
async def test_a_stream_can_be_cancelled_between_two_events(playing: Callable[..., None]) -> None:
    playing(interaction())
    heard: list[float] = []

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(12):
            await listen(heard)

    assert heard == [5.0, 10.0]


@pytest.mark.virtual_time
async def test_a_slow_reader_does_not_wait_for_what_has_arrived(
    playing: Callable[..., None],
) -> None:
    playing(interaction())
    clock = asyncio.get_running_loop()
    async with client() as claude:
        stream = await claude.messages.create(  # type: ignore[call-overload]
            **QUESTION, stream=True
        )
        await asyncio.sleep(60)
        async for _ in stream:
            pass

    assert clock.time() == 65.0


@pytest.mark.virtual_time
async def test_a_whole_answer_arrives_when_it_was_complete(playing: Callable[..., None]) -> None:
    playing(interaction(streamed=False))

    async with client() as claude:
        await claude.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert asyncio.get_running_loop().time() == TOOK_S


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.RESET, anthropic.APIConnectionError),
        (Outcome.DROPPED, anthropic.APIConnectionError),
        (Outcome.TIMEOUT, anthropic.APITimeoutError),
    ],
)
@pytest.mark.virtual_time
async def test_a_failure_comes_when_it_came(
    playing: Callable[..., None], outcome: Outcome, error: type[Exception]
) -> None:
    playing(interaction(outcome, answered=False, streamed=False))

    async with client() as claude:
        with pytest.raises(error):
            await claude.messages.create(**QUESTION)  # type: ignore[call-overload]

    assert asyncio.get_running_loop().time() == TOOK_S


@pytest.mark.virtual_time
async def test_a_stream_that_broke_off_does_so_when_it_did(playing: Callable[..., None]) -> None:
    playing(interaction(Outcome.DROPPED))
    heard: list[float] = []

    with pytest.raises(httpx2.RemoteProtocolError):
        await listen(heard)

    assert heard[-1] == 35.0
    assert asyncio.get_running_loop().time() == TOOK_S


def test_a_synchronous_client_waits_for_what_is_recorded(
    playing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now_s = 1000.0

        def monotonic(self) -> float:
            return self.now_s

        def sleep(self, seconds: float) -> None:
            self.now_s += seconds

    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    playing(interaction())
    heard = []
    with httpx2.Client(transport=httpx2.HTTPTransport(verify=False)) as http:
        url, question = f"{ANYWHERE}/v1/messages", {**QUESTION, "stream": True}
        with http.stream("POST", url, json=question) as answer:
            heard = [clock.now_s - 1000 for _ in answer.iter_raw()]

    assert heard == [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]
    assert clock.now_s == 1000 + TOOK_S
