"""Clients that are not the SDK's: each records and plays through the same door."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import AGENT_HEADER, Lane
from pytest_mnemosyne.cassette import Cassette, CassetteMissError, Door, Outcome, RecordMode
from tests.cassette.door.loopback import PATIENCE_S, Asked, Loopback, Wire, echo, events
from tests.cassette.door.loopback import serving as serve

ANYWHERE = "http://127.0.0.1:9"
QUESTION: dict[str, object] = {
    "model": "claude-sonnet-5-5",
    "messages": [{"role": "user", "content": "hello"}],
}

Open = Callable[..., Cassette]
Post = Callable[[str, dict[str, object]], bytes]


def post_urllib(url: str, body: dict[str, object]) -> bytes:
    request = urllib.request.Request(
        f"{url}/v1/messages", data=json.dumps(body).encode(), headers={"x-api-key": "sk-test"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        found: bytes = answer.read()
        return found


def post_http_client(url: str, body: dict[str, object]) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    connection.request("POST", "/v1/messages", json.dumps(body), {AGENT_HEADER: "executor"})
    answer = connection.getresponse()
    try:
        return answer.read()
    finally:
        connection.close()


def post_requests(url: str, body: dict[str, object]) -> bytes:
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        answer = session.post(f"{url}/v1/messages", json=body, timeout=PATIENCE_S)
        found: bytes = answer.content
        return found


def post_httpx(url: str, body: dict[str, object]) -> bytes:
    httpx = pytest.importorskip("httpx")
    with httpx.Client(verify=False) as client:
        found: bytes = client.post(f"{url}/v1/messages", json=body).content
        return found


CLIENTS = pytest.mark.parametrize(
    "post",
    [
        pytest.param(post_urllib, id="urllib"),
        pytest.param(post_http_client, id="http.client"),
        pytest.param(post_requests, id="requests"),
        pytest.param(post_httpx, id="httpx"),
    ],
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(echo) as running:
        yield running


@CLIENTS
def test_what_was_recorded_plays(post: Post, server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD)
    live = post(server.url, QUESTION)
    recording.save()

    playing = opened(RecordMode.REPLAY)
    assert post(ANYWHERE, QUESTION) == live
    assert b"echo hello" in live
    assert (recording.recorded, playing.played, len(server.asked)) == (1, 1, 1)


@CLIENTS
def test_a_stream_plays_byte_for_byte(post: Post, server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD)
    live = post(server.url, {**QUESTION, "stream": True})
    recording.save()

    opened(RecordMode.REPLAY)
    assert post(ANYWHERE, {**QUESTION, "stream": True}) == live == b"".join(events("echo hello"))


@CLIENTS
def test_a_changed_prompt_is_a_miss(post: Post, server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD)
    post(server.url, QUESTION)
    recording.save()

    playing = opened(RecordMode.REPLAY)
    with pytest.raises(CassetteMissError):
        post(ANYWHERE, {**QUESTION, "model": "claude-opus-5-5"})
    assert "only the model differs from interaction" in playing.misses[0].words


@CLIENTS
def test_other_servers_of_this_machine_are_none_of_the_door_s_business(
    post: Post, server: Loopback, opened: Open
) -> None:
    pytest.importorskip("vcr")
    cassette = opened(RecordMode.REPLAY)
    elsewhere = f"{server.url}/other#"
    server.behave = lambda wire, asked: wire.answer(asked.path.encode())

    if post is post_http_client:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE_S)
        connection.request("GET", "/other")
        assert connection.getresponse().read() == b"/other"
        connection.close()
    else:
        assert post(elsewhere, QUESTION) == b"/other"
    assert cassette.turns == []


def test_the_lane_header_counts_and_stays_here(server: Loopback, opened: Open) -> None:
    cassette = opened(RecordMode.RECORD)
    post_http_client(server.url, QUESTION)

    assert cassette.turns[0].lane == Lane("executor")
    assert AGENT_HEADER not in server.asked[0].headers


def test_a_recorded_reset_plays_as_a_broken_connection(opened: Open) -> None:
    def reset(wire: Wire, asked: Asked) -> None:
        wire.reset()

    httpx2 = pytest.importorskip("httpx2")
    with serve(reset) as server:
        recording = opened(RecordMode.RECORD)
        with httpx2.Client() as client, pytest.raises(httpx2.TransportError):
            client.post(f"{server.url}/v1/messages", json=QUESTION)
        recording.save()

    assert recording.turns[0].outcome is Outcome.RESET
    opened(RecordMode.REPLAY)
    with pytest.raises(ConnectionResetError):
        post_http_client(ANYWHERE, QUESTION)


def test_a_client_that_cannot_be_sent_to_the_upstream_is_told_so(
    server: Loopback, door: Callable[..., Door]
) -> None:
    guard = door(RecordMode.RECORD, upstream=server.url)
    with (
        guard.playing(Cassette(None, mode=RecordMode.RECORD)),
        pytest.raises(UsageError, match="give this client the upstream as its base URL"),
    ):
        post_urllib("https://api.anthropic.com", QUESTION)
    assert server.asked == []


def lines_urllib(url: str) -> Iterator[bytes]:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        yield from answer


def lines_requests(url: str) -> Iterator[bytes]:
    requests = pytest.importorskip("requests")
    with requests.Session() as session, session.get(url, stream=True) as answer:
        for line in answer.iter_lines(chunk_size=1):
            yield line + b"\n"


def lines_httpx(url: str) -> Iterator[bytes]:
    httpx = pytest.importorskip("httpx")
    with httpx.Client(verify=False) as client, client.stream("GET", url) as answer:
        yield from answer.iter_raw()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(lines_urllib, id="urllib"),
        pytest.param(lines_requests, id="requests"),
        pytest.param(lines_httpx, id="httpx"),
    ],
)
def test_another_server_is_read_while_it_speaks(
    lines: Callable[[str], Iterator[bytes]], opened: Open
) -> None:
    heard = threading.Event()

    def speak(wire: Wire, asked: Asked) -> None:
        wire.begin_stream()
        wire.chunk(b"first\n")
        assert heard.wait(PATIENCE_S)
        wire.chunk(b"second\n")
        wire.end_stream()

    opened(RecordMode.REPLAY)
    with serve(speak) as server:
        answer = lines(f"{server.url}/watch")
        assert next(answer) == b"first\n"
        heard.set()
        assert list(answer) == [b"second\n"]


async def test_aiohttp_records_and_plays(server: Loopback, opened: Open) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def post(url: str) -> bytes:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/messages", json=QUESTION) as answer,
        ):
            found: bytes = await answer.read()
            return found

    recording = opened(RecordMode.RECORD)
    live = await post(server.url)
    recording.save()

    playing = opened(RecordMode.REPLAY)
    assert await post(ANYWHERE) == live
    with pytest.raises(CassetteMissError):
        await post(ANYWHERE)
    assert playing.played == 1
