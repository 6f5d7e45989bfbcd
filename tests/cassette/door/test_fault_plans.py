"""A fault plan in front of the cassette: what the client sees, what is played and recorded."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import Cassette, Door, Outcome, RecordMode, Source
from pytest_mnemosyne.simulation.faults import FaultPlan, RunningPlan
from pytest_mnemosyne.simulation.loop import VirtualLoop
from tests.cassette.door.loopback import PATIENCE_S, Loopback, echo, events
from tests.cassette.door.loopback import serving as serve

ANYWHERE = "http://127.0.0.1:9"
"""Nobody listens here: what comes from it was played or injected."""

QUESTION: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hello"}],
}
STREAMED = QUESTION | {"stream": True}
WHOLE_STREAM = b"".join(events("echo hello"))


@dataclass
class Opened:
    """A cassette that is playing behind a plan."""

    cassette: Cassette
    running: RunningPlan


Open = Callable[[RecordMode, str], Opened]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(echo) as running:
        yield running


@pytest.fixture
def opened(door: Callable[..., Door], tmp_path: Path) -> Iterator[Open]:
    """A factory of cassettes behind a plan; all share one file."""
    with ExitStack() as stack:

        def open_cassette(mode: RecordMode, plan: str) -> Opened:
            stack.close()
            installed = door(mode)
            installed.faults = RunningPlan(FaultPlan.parse(plan))
            cassette = Cassette(tmp_path / "calls.yaml", mode=mode)
            stack.enter_context(installed.playing(cassette))
            return Opened(cassette, installed.faults)

        yield open_cassette


def recorded(server: Loopback, opened: Open, *bodies: dict[str, Any]) -> None:
    """Record these questions without any fault."""
    recording = opened(RecordMode.RECORD, "").cassette
    for body in bodies:
        post(server.url, body)
    recording.save()


def post(url: str, body: dict[str, Any] = QUESTION) -> httpx2.Response:
    with httpx2.Client(verify=False) as client:
        return client.post(f"{url}/v1/messages", json=body)


async def post_async(url: str, body: dict[str, Any] = QUESTION) -> httpx2.Response:
    async with httpx2.AsyncClient(verify=False) as client:
        return await client.post(f"{url}/v1/messages", json=body)


def post_http_client(url: str, body: dict[str, Any] = QUESTION) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request("POST", "/v1/messages", json.dumps(body))
    try:
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# --- in place of an answer -----------------------------------------------------------------


def test_an_injected_error_consumes_no_recorded_answer(server: Loopback, opened: Open) -> None:
    recorded(server, opened, QUESTION)
    playing = opened(RecordMode.REPLAY, "status(429, retry_after=3)").cassette

    refused, answered = post(ANYWHERE), post(ANYWHERE)

    assert (refused.status_code, answered.status_code) == (429, 200)
    assert (playing.played, playing.unplayed()) == (1, [])
    injected, played = playing.turns
    assert (injected.source, injected.status, injected.fault) == (
        Source.INJECTED,
        429,
        "rate_limit_error",
    )
    assert list(injected.injected) == ["status(429, retry_after=3)"]
    assert (played.source, list(played.injected), played.fault) == (Source.PLAYED, [], None)


def test_an_injected_error_is_not_recorded(server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD, "status(529)").cassette

    statuses = [post(server.url).status_code for _ in range(2)]
    recording.save()

    assert statuses == [529, 200]
    assert len(server.asked) == 1
    assert [each.response and each.response.status for each in recording.interactions_to_write()]
    playing = opened(RecordMode.REPLAY, "").cassette
    assert post(ANYWHERE).status_code == 200
    assert playing.unplayed() == []


async def test_an_injected_error_meets_the_asynchronous_client_too(
    server: Loopback, opened: Open
) -> None:
    playing = opened(RecordMode.REPLAY, "status(529); connect_refused(call=2); stall(call=3)")

    status = (await post_async(ANYWHERE)).status_code
    with pytest.raises(httpx2.ConnectError):
        await post_async(ANYWHERE)
    with pytest.raises(httpx2.ReadTimeout):
        await post_async(ANYWHERE)

    assert status == 529
    turns = playing.cassette.turns
    assert [turn.outcome for turn in turns] == [Outcome.COMPLETE, Outcome.RESET, Outcome.TIMEOUT]
    assert [turn.fault for turn in turns] == ["overloaded_error", "reset", "timeout"]


def test_a_client_that_stops_waiting_for_a_stalled_answer_leaves_a_turn(opened: Open) -> None:
    playing = opened(RecordMode.REPLAY, "stall()").cassette

    async def ask() -> None:
        async with httpx2.AsyncClient(verify=False, timeout=None) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await client.post(f"{ANYWHERE}/v1/messages", json=QUESTION)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(ask())

    assert [turn.outcome for turn in playing.turns] == [Outcome.CANCELLED]


def test_the_retries_of_the_sdk_are_counted_as_calls_and_as_tries(
    server: Loopback, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    recorded(server, opened, QUESTION)
    playing = opened(RecordMode.REPLAY, "status(429, retry_after=9, count=2)").cassette

    with anthropic.Anthropic(api_key="k", base_url=ANYWHERE) as client:
        answer = client.messages.create(**QUESTION)

    assert answer.content[0].type == "text"
    assert [(turn.source, turn.tries) for turn in playing.turns] == [
        (Source.INJECTED, 1),
        (Source.INJECTED, 2),
        (Source.PLAYED, 3),
    ]


def test_a_fault_of_one_agent_leaves_the_others_alone(server: Loopback, opened: Open) -> None:
    recorded(server, opened, QUESTION)
    opened(RecordMode.REPLAY, "status(529, agent='executor')")

    outside = post(ANYWHERE).status_code
    with entered(Lane("executor")):
        inside = post(ANYWHERE).status_code

    assert (outside, inside) == (200, 529)


def test_a_request_that_is_sent_twice_plays_two_answers(server: Loopback, opened: Open) -> None:
    recorded(server, opened, QUESTION, QUESTION)
    playing = opened(RecordMode.REPLAY, "sent_twice()").cassette

    assert post(ANYWHERE).status_code == 200
    assert playing.played == 2
    assert [list(turn.injected) for turn in playing.turns] == [["sent_twice()"]] * 2


# --- on the way to the client -------------------------------------------------------------


def test_a_played_stream_is_bent_and_its_turn_says_so(server: Loopback, opened: Open) -> None:
    recorded(server, opened, STREAMED)
    playing = opened(RecordMode.REPLAY, "drop(stream_event=3)").cassette

    with pytest.raises(httpx2.RemoteProtocolError):
        post(ANYWHERE, STREAMED)

    (turn,) = playing.turns
    assert (turn.source, turn.outcome, turn.fault) == (Source.PLAYED, Outcome.COMPLETE, "drop")
    assert list(turn.injected) == ["drop(stream_event=3)"]


@pytest.mark.parametrize(
    "plan",
    [
        "drop(stream_event=3)",
        "reset(stream_event=3)",
        "stall(stream_event=3)",
        "cut(stream_event=3)",
        "error_event(stream_event=3)",
        "malformed('utf8', stream_event=3)",
        "refusal()",
    ],
)
def test_what_is_recorded_of_a_bent_stream_is_whole(
    server: Loopback, opened: Open, plan: str
) -> None:
    recording = opened(RecordMode.RECORD, plan).cassette
    with suppress(httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout):
        assert post(server.url, STREAMED).content != WHOLE_STREAM
    recording.save()

    playing = opened(RecordMode.REPLAY, "").cassette
    assert post(ANYWHERE, STREAMED).content == WHOLE_STREAM
    assert [turn.outcome for turn in playing.turns] == [Outcome.COMPLETE]
    assert [list(turn.injected) for turn in recording.turns] == [[str(FaultPlan.parse(plan))]]


async def test_so_is_what_is_recorded_of_an_asynchronous_one(
    server: Loopback, opened: Open
) -> None:
    recording = opened(RecordMode.RECORD, "drop(stream_event=3)").cassette
    with pytest.raises(httpx2.RemoteProtocolError):
        await post_async(server.url, STREAMED)
    recording.save()

    opened(RecordMode.REPLAY, "")
    assert (await post_async(ANYWHERE, STREAMED)).content == WHOLE_STREAM


@pytest.mark.parametrize("plan", ["short_body()", "max_tokens()"])
def test_so_is_what_is_recorded_of_an_answer_that_is_not_streamed(
    server: Loopback, opened: Open, plan: str
) -> None:
    recording = opened(RecordMode.RECORD, plan).cassette
    try:
        bent = post(server.url).json()
        assert bent["stop_reason"] == "max_tokens"
    except httpx2.RemoteProtocolError:
        assert plan == "short_body()"
    recording.save()

    opened(RecordMode.REPLAY, "")
    assert post(ANYWHERE).json()["content"][0]["text"] == "echo hello"


def test_a_fault_that_never_strikes_leaves_no_mark(server: Loopback, opened: Open) -> None:
    recorded(server, opened, STREAMED)
    playing = opened(RecordMode.REPLAY, "drop(stream_event=99); late(0, call=2)").cassette

    assert post(ANYWHERE, STREAMED).content == WHOLE_STREAM
    assert [list(turn.injected) for turn in playing.turns] == [[]]


# --- other clients ------------------------------------------------------------------------


def test_httpx_gets_errors_of_its_own(server: Loopback, opened: Open) -> None:
    httpx = pytest.importorskip("httpx")
    recorded(server, opened, STREAMED)
    opened(RecordMode.REPLAY, "reset(); drop(stream_event=3)")

    with httpx.Client(verify=False) as client:
        with pytest.raises(httpx.ReadError):
            client.post(f"{ANYWHERE}/v1/messages", json=STREAMED)
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{ANYWHERE}/v1/messages", json=STREAMED)


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        pytest.param("connect_refused()", ConnectionRefusedError, id="refused"),
        pytest.param("reset()", ConnectionResetError, id="reset"),
        pytest.param("drop()", ConnectionResetError, id="drop"),
        pytest.param("stall()", TimeoutError, id="stall"),
        pytest.param("connect_timeout()", TimeoutError, id="connect-timeout"),
        pytest.param("name_failure()", OSError, id="name"),
        pytest.param("tls_failure()", OSError, id="tls"),
    ],
)
def test_other_clients_get_the_errors_of_their_connections(
    server: Loopback, opened: Open, plan: str, error: type[OSError]
) -> None:
    recorded(server, opened, QUESTION)
    playing = opened(RecordMode.REPLAY, plan).cassette

    with pytest.raises(error):
        post_http_client(ANYWHERE)
    assert post_http_client(ANYWHERE)[0] == 200

    assert [turn.source for turn in playing.turns] == [Source.INJECTED, Source.PLAYED]


def test_other_clients_get_error_answers(opened: Open) -> None:
    playing = opened(RecordMode.REPLAY, "status(529)").cassette

    status, body = post_http_client(ANYWHERE)

    assert (status, json.loads(body)["error"]["type"]) == (529, "overloaded_error")
    assert [turn.status for turn in playing.turns] == [529]


@pytest.mark.parametrize(
    ("plan", "body"),
    [
        pytest.param("drop(stream_event=3)", STREAMED, id="stream"),
        pytest.param("refusal()", QUESTION, id="message"),
        pytest.param("late(1)", QUESTION, id="time"),
        pytest.param("sent_twice()", QUESTION, id="twice"),
    ],
)
def test_what_cannot_happen_to_another_client_is_an_error_that_says_so(
    opened: Open, plan: str, body: dict[str, Any]
) -> None:
    opened(RecordMode.REPLAY, plan)

    with pytest.raises(UsageError) as caught:
        post_http_client(ANYWHERE, body)

    assert "is sent by a client other than httpx2 and httpx" in str(caught.value)
    assert plan in str(caught.value)
