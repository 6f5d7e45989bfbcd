from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import httpx2
from anthropic.types import MessageParam
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.strategies import StreamedMessage, messages_answers, sse_streams
from pytest_mnemosyne.wire import (
    Assembled,
    JsonObject,
    SseDecoder,
    assemble,
    decode,
    encode,
    json_events,
    message_events,
    sse_of,
)
from tests.strategies.finding import check_reach, simplest

some = settings(max_examples=25)


@some
@given(messages_answers())
def test_a_message_comes_out_of_its_events_as_it_went_in(message: JsonObject) -> None:
    assert assemble(message_events(message)) == Assembled(message=message, complete=True)


@some
@given(sse_streams())
def test_however_a_stream_is_cut_it_carries_its_message(streamed: StreamedMessage) -> None:
    decoder = SseDecoder()
    events = [event for chunk in streamed.chunks for event in decoder.feed(chunk)]

    assert decoder.close() == ()
    found = assemble(json_events(events))
    assert found == Assembled(message=streamed.message, complete=True)


@some
@given(sse_streams())
def test_a_stream_is_encoded_as_it_was_decoded(streamed: StreamedMessage) -> None:
    assert encode(decode(streamed.body)) == streamed.body


@settings(max_examples=30)
@given(sse_streams())
def test_the_sdk_reads_the_message_out_of_any_stream(streamed: StreamedMessage) -> None:
    def respond(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=iter(streamed.chunks))

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http)
        question: MessageParam = {"role": "user", "content": "?"}
        with client.messages.stream(model="m", max_tokens=1, messages=[question]) as stream:
            message = stream.get_final_message()

    content = json.loads(message.to_json(indent=None))["content"]
    assert content == streamed.message["content"]
    assert message.stop_reason == streamed.message["stop_reason"]
    assert message.usage.output_tokens == streamed.message["usage"]["output_tokens"]


def test_streams_differ_in_all_that_they_may() -> None:
    signs = {
        "ping": b"event: ping\n",
        "comment": b"\n: still here\n",
        "carriage returns": b"event: message_stop\r\n",
        "padding": b" }\n",
    }

    def features(streamed: StreamedMessage) -> Iterator[str]:
        yield from (name for name, sign in signs.items() if sign in streamed.body)
        if _cuts_a_character(streamed):
            yield "cut in a character"
        if any(chunk.endswith(b"\r") for chunk in streamed.chunks):
            yield "cut in a line ending"

    wanted = {*signs, "cut in a character", "cut in a line ending"}
    check_reach(sse_streams(), wanted, features)


def _cuts_a_character(streamed: StreamedMessage) -> bool:
    # The byte after a cut goes on with the character before it.
    return any(chunk[0] & 0b1100_0000 == 0b1000_0000 for chunk in streamed.chunks)


@some
@given(
    messages_answers().flatmap(lambda message: st.tuples(st.just(message), sse_streams(message)))
)
def test_a_stream_can_be_made_of_a_message(case: tuple[JsonObject, StreamedMessage]) -> None:
    message, streamed = case

    assert streamed.message is message


def test_a_stream_shrinks_to_the_events_in_one_chunk() -> None:
    message = simplest(messages_answers(), lambda each: bool(each["content"]))

    streamed = simplest(sse_streams(message))

    assert streamed.chunks == (encode(sse_of(event) for event in message_events(message)),)
