"""A verify run: live answers held against the recorded ones, which the client gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

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


def test_overloads_of_equal_calls_are_each_tried_again(
    server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    cassette = opened(RecordMode.RECORD)
    ask(claude, "hello")
    ask(claude, "hello")
    cassette.save()
    server.behave = answering((OVERLOADED, 529), (OVERLOADED, 529), (message("fine now"), 200))
    cassette = opened(RecordMode.VERIFY)
    impatient = claude.with_options(max_retries=0)
    # As where two threads ask at the same time.
    for _ in range(2):
        with pytest.raises(anthropic.InternalServerError):
            ask(impatient, "hello")

    assert [ask(impatient, "hello") for _ in range(2)] == ["echo hello", "echo hello"]

    assert cassette.misses == []
    assert [turn.index for turn in cassette.turns if turn.source is Source.COMPARED] == [0, 1]


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


# --- ids that Claude mints ---------------------------------------------------------------


class Minting:
    """A server with ids of its own: others in each run, as the API's are."""

    def __init__(self) -> None:
        self.run = 1
        self.known: set[str] = set()

    def __call__(self, wire: Wire, asked: Asked) -> None:
        named = set(re.findall(rb"(?:msgbatch|msg|file)_[0-9a-z_]+", asked.body))
        named |= set(re.findall(rb"msgbatch_[0-9a-z_]+", asked.path.encode()))
        unknown = {each.decode() for each in named} - self.known
        if unknown:
            error = {"type": "not_found_error", "message": f"what is {sorted(unknown)}?"}
            wire.answer(json.dumps({"type": "error", "error": error}).encode(), 404)
        elif asked.path.endswith("/results"):
            lines = [{"custom_id": f"q{at}", "result": self._result(at)} for at in self._order()]
            wire.answer("".join(json.dumps(each) + "\n" for each in lines).encode())
        elif "/batches" in asked.path:
            batch = self._minted("msgbatch")
            url = f"http://{asked.headers['host']}/v1/messages/batches/{batch}/results"
            answer = {"id": batch, "type": "message_batch", "results_url": url, **STATE}
            wire.answer(json.dumps(answer).encode())
        else:
            wire.answer(message("yes", id=self._minted("msg")))

    def _minted(self, kind: str, number: int = 0) -> str:
        minted = f"{kind}_of_run_{self.run}_{number}"
        self.known.add(minted)
        return minted

    def _result(self, number: int) -> dict[str, object]:
        answer = json.loads(message("yes", id=self._minted("msg", number)))
        return {"type": "succeeded", "message": answer}

    def _order(self) -> list[int]:
        """The results of a batch come in any order."""
        return [1, 2] if self.run == 1 else [2, 1]

    def begin_another_run(self) -> None:
        self.run += 1
        self.known = set()


STATE = {
    "processing_status": "ended",
    "created_at": "2026-11-22T15:00:00Z",
    "expires_at": "2026-11-23T15:00:00Z",
    "ended_at": "2026-11-22T15:01:00Z",
    "archived_at": None,
    "cancel_initiated_at": None,
    "request_counts": {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0},
}


@pytest.fixture
def minting(server: Loopback) -> Minting:
    server.behave = Minting()
    return server.behave


def batch_and_go_on(client: anthropic.Anthropic) -> list[str]:
    """A batch, its results, and a request that names the message of each; their ids."""
    asked = [{"role": "user", "content": "hello"}]
    params: Any = {"model": MODEL, "max_tokens": 64, "messages": asked}
    batch = client.messages.batches.create(
        requests=[{"custom_id": f"q{at}", "params": params} for at in (1, 2)]
    )
    said = []
    for line in client.messages.batches.results(batch.id):
        assert line.result.type == "succeeded"
        said.append(line.result.message.id)
        thread = {"type": "continue", "previous_message_id": line.result.message.id}
        go_on: Any = {**params, "extra_body": {"thread": thread}}
        said.append(client.messages.create(**go_on).id)
    return [batch.id, *said]


def test_what_claude_has_minted_goes_out_under_the_id_that_the_live_run_has(
    minting: Minting, server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    cassette = opened(RecordMode.RECORD)
    then = batch_and_go_on(claude)
    cassette.save()
    minting.begin_another_run()
    cassette = opened(RecordMode.VERIFY)
    server.asked.clear()

    assert batch_and_go_on(claude) == then, "the client goes on with what was recorded"

    assert cassette.drift == []
    gone_out = b"\n".join(asked.path.encode() + asked.body for asked in server.asked)
    assert b"of_run_1" not in gone_out
    first, second = (json.loads(each.body) for each in server.asked if b"thread" in each.body)
    assert first["thread"]["previous_message_id"] == "msg_of_run_2_1"
    assert second["thread"]["previous_message_id"] == "msg_of_run_2_2"


async def test_so_it_does_for_clients_that_do_not_block_and_for_streams(
    minting: Minting, server: Loopback, opened: Open
) -> None:
    async def talk(client: anthropic.AsyncAnthropic) -> None:
        messages: Any = [{"role": "user", "content": "hello"}]
        async with client.messages.stream(model=MODEL, max_tokens=64, messages=messages) as stream:
            first = await stream.get_final_message()
        thread = {"type": "continue", "previous_message_id": first.id}
        await client.messages.create(
            model=MODEL, max_tokens=64, messages=messages, extra_body={"thread": thread}
        )

    def streaming(wire: Wire, asked: Asked) -> None:
        if b"thread" in asked.body:
            return minting(wire, asked)
        start, *rest = events("yes")
        wire.begin_stream()
        wire.chunk(start.replace(b"msg_1", minting._minted("msg").encode()))
        for event in rest:
            wire.chunk(event)
        return wire.end_stream()

    server.behave = streaming
    http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
    async with anthropic.AsyncAnthropic(
        api_key="sk-test", base_url=server.url, http_client=http
    ) as client:
        cassette = opened(RecordMode.RECORD)
        await talk(client)
        cassette.save()
        minting.begin_another_run()
        cassette = opened(RecordMode.VERIFY)

        await talk(client)

    assert cassette.drift == []
    assert b'"msg_of_run_2_0"' in server.asked[-1].body
    assert server.asked[-1].headers["content-length"] == str(len(server.asked[-1].body))


def test_an_id_that_the_live_run_has_none_for_is_named_where_the_answers_part(
    minting: Minting, server: Loopback, opened: Open, claude: anthropic.Anthropic
) -> None:
    cassette = opened(RecordMode.RECORD)
    batch = claude.messages.batches.create(requests=[])
    claude.messages.batches.retrieve(batch.id)
    cassette.save()
    minting.begin_another_run()
    cassette = opened(RecordMode.VERIFY)
    left: list[Callable[[Wire, Asked], None]] = [answering((b"{}", 200)), minting]
    server.behave = lambda wire, asked: left.pop(0)(wire, asked)

    claude.messages.batches.create(requests=[])
    claude.messages.batches.retrieve(batch.id)

    assert [line.strip() for line in cassette.drift[-1].lines(words=False)] == [
        f"2. GET /v1/messages/batches/{batch.id}",
        "error: [-none-] {+not_found_error+}",
        f"ids: [-{batch.id}-] was recorded, and the live run has none in its place",
    ]
