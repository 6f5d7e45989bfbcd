"""What was recorded through the door plays through the door, for the SDK's clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import anthropic
import httpx2
import pytest

from mnemosyne_core.lane import AGENT_HEADER, ATTEMPT_HEADER, Lane, entered
from pytest_mnemosyne.cassette import Cassette, CassetteMissError, Outcome, RecordMode, Source
from tests.cassette.door.loopback import (
    PATIENCE_S,
    Asked,
    Loopback,
    Wire,
    echo,
    events,
    message,
    silent,
    stall,
)
from tests.cassette.door.loopback import serving as serve

MODEL = "claude-sonnet-5-5"
ANYWHERE = "http://127.0.0.1:9"
"""Nobody listens here: what is replayed from it was not fetched from it."""

Open = Callable[..., Cassette]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(echo) as running:
        yield running


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[[str], anthropic.AsyncAnthropic]]:
    clients = []

    def make(url: str, **more: object) -> anthropic.AsyncAnthropic:
        http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
        client = anthropic.AsyncAnthropic(
            api_key="sk-test",
            base_url=url,
            http_client=http,
            max_retries=0,
            **more,  # type: ignore[arg-type]
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


async def ask(client: anthropic.AsyncAnthropic, text: str) -> str:
    answer = await client.messages.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    block = answer.content[0]
    assert block.type == "text"
    return block.text


async def stream(client: anthropic.AsyncAnthropic, text: str) -> list[str]:
    async with client.messages.stream(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    ) as answer:
        return [piece async for piece in answer.text_stream]


def ask_sync(client: anthropic.Anthropic, text: str) -> str:
    answer = client.messages.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    block = answer.content[0]
    assert block.type == "text"
    return block.text


async def test_a_recorded_answer_plays_without_the_server(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    recording = opened(RecordMode.RECORD)
    assert await ask(client_of(server.url), "hello") == "echo hello"
    assert recording.save()

    playing = opened(RecordMode.REPLAY)
    assert await ask(client_of(ANYWHERE), "hello") == "echo hello"
    assert len(server.asked) == 1
    assert (recording.recorded, playing.played, playing.unplayed()) == (1, 1, [])


async def test_a_recorded_stream_plays_in_its_chunks(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    recording = opened(RecordMode.RECORD)
    heard = await stream(client_of(server.url), "one two three")
    recording.save()

    opened(RecordMode.REPLAY)
    assert await stream(client_of(ANYWHERE), "one two three") == heard
    assert "".join(heard) == "echoonetwothree"


def test_the_synchronous_client_records_and_plays(server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD)
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    with anthropic.Anthropic(api_key="sk-test", base_url=server.url, http_client=http) as client:
        assert ask_sync(client, "hello") == "echo hello"
        with client.messages.stream(
            model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "a b"}]
        ) as answer:
            heard = list(answer.text_stream)
        recording.save()

        opened(RecordMode.REPLAY)
        assert ask_sync(client, "hello") == "echo hello"
        with client.messages.stream(
            model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "a b"}]
        ) as answer:
            assert list(answer.text_stream) == heard
    assert len(server.asked) == 2


async def test_a_second_run_in_record_mode_asks_for_what_is_new_alone(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    first = opened(RecordMode.RECORD)
    await ask(client_of(server.url), "old")
    first.save()

    second = opened(RecordMode.RECORD)
    await ask(client_of(server.url), "old")
    await ask(client_of(server.url), "new")

    assert [asked.text for asked in server.asked] == ["old", "new"]
    assert [turn.source for turn in second.turns] == [Source.PLAYED, Source.RECORDED]
    assert len(second.interactions_to_write()) == 2


async def test_a_rerecording_keeps_nothing_of_what_was_there(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    first = opened(RecordMode.RECORD)
    await ask(client_of(server.url), "old")
    first.save()

    second = opened(RecordMode.RERECORD)
    await ask(client_of(server.url), "new")

    assert [b"new" in each.request.body for each in second.interactions_to_write()] == [True]


async def test_live_mode_forwards_and_keeps_nothing(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    cassette = opened(RecordMode.LIVE)
    await ask(client_of(server.url), "hello")

    assert not cassette.save()
    assert not cassette.exists
    assert [turn.source for turn in cassette.turns] == [Source.FORWARDED]


async def test_requests_to_the_api_are_forwarded_to_the_upstream(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    recording = opened(RecordMode.RECORD, upstream=f"{server.url}/below")
    api = client_of("https://api.anthropic.com")
    assert await ask(api, "hello") == "echo hello"
    recording.save()

    assert server.asked[0].path == "/below/v1/messages"
    assert server.asked[0].headers["host"] == server.url.removeprefix("http://")
    opened(RecordMode.REPLAY)
    assert await ask(api, "hello") == "echo hello"


async def test_a_chunk_reaches_the_client_before_the_server_sends_the_next(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    heard = threading.Event()

    def hesitate(wire: Wire, asked: Asked) -> None:
        wire.begin_stream()
        pieces = events("first second")
        for piece in pieces[:3]:
            wire.chunk(piece)
        assert heard.wait(PATIENCE_S)
        for piece in pieces[3:]:
            wire.chunk(piece)
        wire.end_stream()

    with serve(hesitate) as server:
        cassette = opened(RecordMode.RECORD)
        async with client_of(server.url).messages.stream(
            model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "q"}]
        ) as answer:
            words = []
            async for piece in answer.text_stream:
                words.append(piece)
                heard.set()

    assert words == ["first", "second"]
    (interaction,) = cassette.interactions_to_write()
    assert interaction.response is not None
    times = [chunk.at_s for chunk in interaction.response.chunks]
    assert len(times) > 1
    assert times == sorted(times)
    assert interaction.took_s >= times[-1] > 0


async def test_what_is_compressed_on_the_wire_is_stored_readable(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    plain = message("squeezed " * 20)

    def squeeze(wire: Wire, asked: Asked) -> None:
        wire.answer(gzip.compress(plain), content_encoding="gzip")

    with serve(squeeze) as server:
        recording = opened(RecordMode.RECORD)
        text = await ask(client_of(server.url), "q")
        recording.save()

    (interaction,) = recording.interactions_to_write()
    assert interaction.response is not None
    assert interaction.response.body == plain
    opened(RecordMode.REPLAY)
    assert await ask(client_of(ANYWHERE), "q") == text


async def test_concurrent_calls_get_their_own_answers(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    texts = [f"question {number}" for number in range(20)]
    recording = opened(RecordMode.RECORD)
    await asyncio.gather(*(ask(client_of(server.url), text) for text in texts))
    recording.save()

    opened(RecordMode.REPLAY)
    client = client_of(ANYWHERE)
    answers = await asyncio.gather(*(ask(client, text) for text in reversed(texts)))
    assert answers == [f"echo {text}" for text in reversed(texts)]


async def test_identical_calls_are_answered_in_recorded_order(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    numbers = iter(range(3))
    with serve(lambda wire, _: wire.answer(message(f"answer {next(numbers)}"))) as server:
        recording = opened(RecordMode.RECORD)
        for _ in range(3):
            await ask(client_of(server.url), "again")
        recording.save()

    opened(RecordMode.REPLAY)
    client = client_of(ANYWHERE)
    assert [await ask(client, "again") for _ in range(3)] == ["answer 0", "answer 1", "answer 2"]


async def test_each_agent_gets_its_own_answers_to_the_same_question(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    lanes = [Lane("reviewer"), Lane("executor", 2), Lane("executor")]
    numbers = iter(range(3))
    with serve(lambda wire, _: wire.answer(message(f"answer {next(numbers)}"))) as server:
        recording = opened(RecordMode.RECORD)
        for lane in lanes:
            with entered(lane):
                await ask(client_of(server.url), "same")
        recording.save()

    opened(RecordMode.REPLAY)
    client = client_of(ANYWHERE)
    heard = {}
    for lane in reversed(lanes):
        with entered(lane):
            heard[lane] = await ask(client, "same")
    assert heard == {lane: f"answer {number}" for number, lane in enumerate(lanes)}
    assert [i.lane for i in recording.interactions_to_write()] == sorted(
        lanes, key=lambda lane: (lane.agent, lane.attempt)
    )


async def test_lane_headers_name_the_agent_and_never_leave_the_process(
    server: Loopback, opened: Open, client_of: Callable[..., anthropic.AsyncAnthropic]
) -> None:
    cassette = opened(RecordMode.RECORD)
    headers = {AGENT_HEADER: "executor/sub-1", ATTEMPT_HEADER: "3"}
    await ask(client_of(server.url, default_headers=headers), "hello")

    assert cassette.turns[0].lane == Lane("executor/sub-1", 3)
    assert not server.asked[0].headers.keys() & {AGENT_HEADER, ATTEMPT_HEADER}
    assert not dict(cassette.turns[0].request.headers).keys() & {AGENT_HEADER, ATTEMPT_HEADER}


def test_threads_play_one_cassette(server: Loopback, opened: Open) -> None:
    recording = opened(RecordMode.RECORD)
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    texts = [f"question {number}" for number in range(12)]
    with anthropic.Anthropic(api_key="sk-test", base_url=server.url, http_client=http) as client:

        def ask_all() -> list[str]:
            answers: dict[str, str] = {}
            threads = [
                threading.Thread(
                    target=lambda text=text: answers.update({text: ask_sync(client, text)})
                )
                for text in texts
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
            return [answers[text] for text in texts]

        live = ask_all()
        recording.save()
        playing = opened(RecordMode.REPLAY)
        assert ask_all() == live == [f"echo {text}" for text in texts]
    assert sorted(turn.number for turn in playing.turns) == list(range(1, 13))


async def test_a_turn_tells_the_same_in_recording_and_in_replay(
    server: Loopback, opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    async def turns(cassette: Cassette, url: str) -> list[tuple[object, ...]]:
        with entered(Lane("executor", 2)):
            await ask(client_of(url), "hello")
            await stream(client_of(url), "hello")
        return [
            (
                t.agent,
                t.attempt,
                t.tries,
                t.status,
                t.fault,
                t.outcome,
                t.model,
                t.streamed,
                t.tokens,
            )
            for t in cassette.turns
        ]

    recording = opened(RecordMode.RECORD)
    told = await turns(recording, server.url)
    recording.save()
    playing = opened(RecordMode.REPLAY)

    assert await turns(playing, ANYWHERE) == told
    plain, streamed = playing.turns
    assert (plain.agent, plain.attempt, plain.status, plain.fault) == ("executor", 2, 200, None)
    assert (plain.tokens.input, plain.tokens.output) == (7, 5)
    assert streamed.tokens == plain.tokens
    assert (plain.index, streamed.index) == (0, 1)
    assert [t.took_s for t in playing.turns] == pytest.approx(
        [t.took_s for t in recording.turns], abs=1e-3
    )


async def test_retries_are_turns_of_their_own_with_their_fault(opened: Open) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    answers = iter([(json.dumps(error).encode(), 529), (message("at last"), 200)])

    def struggle(wire: Wire, asked: Asked) -> None:
        body, status = next(answers)
        wire.answer(body, status, retry_after_ms="1")

    with serve(struggle) as server:
        recording = opened(RecordMode.RECORD)
        http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
        async with anthropic.AsyncAnthropic(
            api_key="sk-test", base_url=server.url, http_client=http
        ) as client:
            assert await ask(client, "hello") == "at last"
            recording.save()
            playing = opened(RecordMode.REPLAY)
            assert await ask(client, "hello") == "at last"

    told = [(t.tries, t.status, t.fault) for t in playing.turns]
    assert told == [(1, 529, "overloaded_error"), (2, 200, None)]


# --- how exchanges end -----------------------------------------------------------------


async def test_a_stream_that_nobody_reads_on_is_recorded_as_cancelled(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    async def first_word(url: str) -> str:
        async with client_of(url).messages.stream(
            model=MODEL, max_tokens=64, messages=[{"role": "user", "content": "q"}]
        ) as answer:
            async for piece in answer.text_stream:
                return piece
        return ""

    with serve(stall) as server:
        recording = opened(RecordMode.RECORD)
        assert await first_word(server.url) == "half"
        recording.save()

    assert [each.outcome for each in recording.interactions_to_write()] == [Outcome.CANCELLED]
    opened(RecordMode.REPLAY)
    assert await first_word(ANYWHERE) == "half"


async def test_a_call_cancelled_while_it_waits_plays_as_one_to_cancel(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    async def give_up(url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(client_of(url), "q")

    with serve(silent) as server:
        recording = opened(RecordMode.RECORD)
        await give_up(server.url)
        recording.save()

    (interaction,) = recording.interactions_to_write()
    assert (interaction.outcome, interaction.response) == (Outcome.CANCELLED, None)
    opened(RecordMode.REPLAY)
    await give_up(ANYWHERE)


def test_a_client_that_reads_on_where_the_recorded_one_stopped_is_a_miss(opened: Open) -> None:
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    question = {"model": MODEL, "max_tokens": 64, "stream": True, "messages": []}
    with serve(stall) as server, http:
        recording = opened(RecordMode.RECORD)
        with http.stream("POST", f"{server.url}/v1/messages", json=question) as answer:
            next(answer.iter_raw())
        recording.save()

        playing = opened(RecordMode.REPLAY)
        with (
            pytest.raises(CassetteMissError, match="cancelled here, and now it reads on"),
            http.stream("POST", f"{ANYWHERE}/v1/messages", json=question) as answer,
        ):
            for _ in answer.iter_raw():
                pass
    assert len(playing.misses) == 1


async def test_an_answer_still_open_when_the_cassette_is_written_is_kept_as_far_as_it_came(
    opened: Open, client_of: Callable[[str], anthropic.AsyncAnthropic]
) -> None:
    with serve(stall) as server:
        cassette = opened(RecordMode.RECORD)
        raw = await client_of(server.url).messages.create(
            model=MODEL, max_tokens=64, stream=True, messages=[{"role": "user", "content": "q"}]
        )
        await anext(aiter(raw))
        (interaction,) = cassette.interactions_to_write()
        await raw.close()

    assert interaction.outcome is Outcome.CANCELLED
    assert cassette.interactions_to_write() == (interaction,)


def test_a_stream_read_up_to_its_last_event_is_complete(opened: Open) -> None:
    def linger(wire: Wire, asked: Asked) -> None:
        wire.begin_stream()
        for piece in events("all said"):
            wire.chunk(piece)
        wire.stand_still()

    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    with serve(linger) as server, http:
        cassette = opened(RecordMode.RECORD)
        with http.stream("POST", f"{server.url}/v1/messages", json={"stream": True}) as answer:
            for piece in answer.iter_raw():
                if b"message_stop" in piece:
                    break

    assert [each.outcome for each in cassette.interactions_to_write()] == [Outcome.COMPLETE]
