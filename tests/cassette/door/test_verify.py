"""A verify run: live answers held against the recorded ones, which the client gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial

import anthropic
import httpx2
import pytest
import requests

from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import Cassette, CassetteMissError, RecordMode, Source
from tests.cassette.door.loopback import Asked, Loopback, Wire, echo, events, message
from tests.cassette.door.loopback import serving as serve

MODEL = "claude-sonnet-5-5"
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a.py"}}

Open = Callable[..., Cassette]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(echo) as running:
        yield running


@pytest.fixture
def claude(server: Loopback) -> Iterator[anthropic.Anthropic]:
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    with anthropic.Anthropic(api_key="sk-test", base_url=server.url, http_client=http) as client:
        yield client


def ask(client: anthropic.Anthropic, text: str) -> str:
    answer = client.messages.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    block = answer.content[0]
    return block.text if block.type == "text" else block.type


def answering(*answers: tuple[bytes, int]) -> Callable[[Wire, Asked], None]:
    """A server that gives its answers one after the other, the last one for ever."""
    left = list(answers)

    def behave(wire: Wire, asked: Asked) -> None:
        body, status = left.pop(0) if len(left) > 1 else left[0]
        wire.answer(body, status, retry_after_ms="0")

    return behave


@pytest.fixture
def recorded(opened: Open, claude: anthropic.Anthropic) -> None:
    """One exchange: `hello`, and an echo of it."""
    cassette = opened(RecordMode.RECORD)
    with entered(Lane("executor")):
        ask(claude, "hello")
    cassette.save()


@pytest.mark.usefixtures("recorded")
def test_the_client_gets_the_recorded_answer_while_upstream_is_asked(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    server.behave = answering((message("something else"), 200))
    cassette = opened(RecordMode.VERIFY)

    with entered(Lane("executor")):
        assert ask(claude, "hello") == "echo hello"

    assert [asked.text for asked in server.asked] == ["hello", "hello"]
    assert [turn.source for turn in cassette.turns] == [Source.COMPARED]
    assert cassette.unplayed() == []


@pytest.mark.usefixtures("recorded")
def test_other_words_are_no_drift(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    server.behave = answering((message("something else"), 200))
    cassette = opened(RecordMode.VERIFY)

    with entered(Lane("executor")):
        ask(claude, "hello")

    assert cassette.drift == []


@pytest.mark.parametrize(
    ("live", "told"),
    [
        pytest.param(
            (message("", content=[TOOL], stop_reason="tool_use"), 200),
            [
                "stop reason: [-end_turn-] {+tool_use+}",
                "tools: [-none-] {+read_file+}",
            ],
            id="another-ending",
        ),
        pytest.param(
            (b'{"type":"error","error":{"type":"not_found_error","message":"model"}}', 404),
            ["error: [-none-] {+not_found_error+}"],
            id="an-error",
        ),
        pytest.param(
            (message("echo hello", mood="fine"), 200), ["shape: {+mood+} is new"], id="a-new-field"
        ),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_drift_is_noted_and_the_client_does_not_notice(
    server: Loopback,
    opened: Open,
    claude: anthropic.Anthropic,
    live: tuple[bytes, int],
    told: list[str],
) -> None:
    server.behave = answering(live)
    cassette = opened(RecordMode.VERIFY)

    with entered(Lane("executor")):
        assert ask(claude, "hello") == "echo hello"

    (drift,) = cassette.drift
    assert drift.agent == "executor"
    assert [line.strip() for line in drift.lines(words=False)] == [
        f'1. POST /v1/messages ({MODEL}, 1 message) "hello"',
        *told,
    ]


@pytest.mark.usefixtures("recorded")
def test_a_request_that_is_not_recorded_is_refused_and_not_forwarded(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    opened(RecordMode.VERIFY)

    with entered(Lane("executor")), pytest.raises(CassetteMissError):
        ask(claude, "hello, world")

    assert len(server.asked) == 1


@pytest.mark.usefixtures("recorded")
def test_an_overload_of_the_live_run_is_tried_again_by_the_client(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    server.behave = answering((OVERLOADED, 529), (message("fine now"), 200))
    cassette = opened(RecordMode.VERIFY)

    with entered(Lane("executor")):
        assert ask(claude, "hello") == "echo hello"

    assert cassette.drift == []
    assert [turn.source for turn in cassette.turns] == [Source.FORWARDED, Source.COMPARED]


def test_a_recorded_overload_is_played_without_asking(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    server.behave = answering((OVERLOADED, 529), (message("fine now"), 200))
    cassette = opened(RecordMode.RECORD)
    ask(claude, "hello")
    cassette.save()
    cassette = opened(RecordMode.VERIFY)

    assert ask(claude, "hello") == "fine now"

    assert [turn.source for turn in cassette.turns] == [Source.PLAYED, Source.COMPARED]
    assert len(server.asked) == 3


async def test_streams_are_compared_by_the_message_they_carry(
    server: Loopback, opened: Open
) -> None:
    def longer(wire: Wire, asked: Asked) -> None:
        wire.begin_stream()
        for event in events("quite another answer, and a longer one"):
            wire.chunk(event)
        wire.end_stream()

    http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
    async with anthropic.AsyncAnthropic(
        api_key="sk-test", base_url=server.url, http_client=http
    ) as client:
        stream = partial(
            client.messages.stream,
            model=MODEL,
            max_tokens=64,
            messages=[{"role": "user", "content": "hello"}],
        )
        cassette = opened(RecordMode.RECORD)
        async with stream() as answer:
            said = await answer.get_final_text()
        cassette.save()
        cassette = opened(RecordMode.VERIFY)
        server.behave = longer

        async with stream() as answer:
            assert await answer.get_final_text() == said

    assert len(server.asked) == 2
    assert cassette.drift == []


@pytest.mark.usefixtures("recorded")
def test_the_tokens_are_those_of_the_live_answer(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    live = message("hi", usage={"input_tokens": 1000, "output_tokens": 1})
    server.behave = answering((live, 200))
    cassette = opened(RecordMode.VERIFY)

    with entered(Lane("executor")):
        ask(claude, "hello")

    assert [turn.tokens.input for turn in cassette.turns] == [1000]


@pytest.mark.usefixtures("recorded")
def test_nothing_is_written(server: Loopback, opened: Open, claude: anthropic.Anthropic) -> None:
    cassette = opened(RecordMode.VERIFY)
    with entered(Lane("executor")):
        ask(claude, "hello")

    assert not cassette.save()
    assert cassette.recorded == 0


def test_a_client_whose_answer_cannot_be_kept_from_it_is_refused(
    server: Loopback, opened: Open
) -> None:
    body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
    post = partial(requests.post, f"{server.url}/v1/messages", data=json.dumps(body), timeout=5)
    cassette = opened(RecordMode.RECORD)
    post()
    cassette.save()
    opened(RecordMode.VERIFY)

    with pytest.raises(UsageError, match="cannot be verified"):
        post()
