from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.wire import (
    PING,
    Assembled,
    JsonObject,
    MessageShapeError,
    SseEvent,
    assemble,
    decode,
    encode,
    json_events,
    message_events,
    sse_of,
)
from tests.wire.genuine import exchanges


def message(*content: JsonObject, **fields: object) -> JsonObject:
    usage = {"input_tokens": 12, "cache_read_input_tokens": 0, "output_tokens": 7}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        **fields,
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
_BLOCKS = st.one_of(
    st.builds(lambda said: {"type": "text", "text": said}, st.text()),
    st.builds(lambda said: {"type": "thinking", "thinking": said, "signature": "s"}, st.text()),
    st.builds(
        lambda given: {"type": "tool_use", "id": "toolu_1", "name": "t", "input": given},
        st.dictionaries(st.text(max_size=6), _JSON),
    ),
    st.just({"type": "redacted_thinking", "data": "opaque"}),
    st.just({"type": "compaction", "content": "what came before"}),
    st.just({"type": "text", "text": "so", "citations": [{"type": "char_location"}]}),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(_BLOCKS))
def test_a_message_comes_out_of_its_stream_as_it_went_in(content: list[JsonObject]) -> None:
    whole = message(*content, stop_details=None)

    assert assemble(message_events(whole)) == Assembled(message=whole, complete=True)


def test_the_events_of_a_stream_come_in_the_order_of_the_api() -> None:
    events = message_events(
        message({"type": "text", "text": "Hi"}, {"type": "tool_use", "input": {"a": 1}})
    )

    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_a_long_text_is_cut_where_a_word_begins() -> None:
    said = "several words that together are far longer than one piece may be"

    events = message_events(message({"type": "text", "text": said}))

    pieces = [event["delta"]["text"] for event in events if "index" in event and "delta" in event]
    assert len(pieces) > 2
    assert all(piece.startswith(" ") for piece in pieces[1:])
    assert "".join(pieces) == said


def test_the_start_of_a_stream_knows_neither_content_nor_end() -> None:
    start, *_, delta, _ = message_events(message({"type": "text", "text": "Hi"}))

    assert start["message"]["content"] == []
    assert start["message"]["stop_reason"] is None
    assert start["message"]["usage"]["output_tokens"] == 1
    assert delta["delta"]["stop_reason"] == "end_turn"
    assert delta["usage"]["output_tokens"] == 7


def test_a_cut_stream_is_as_much_of_the_message_as_came() -> None:
    events = message_events(message({"type": "text", "text": "Hi"}))

    found = assemble(events[:-2])

    assert not found.complete
    assert found.message is not None
    assert found.message["content"] == [{"type": "text", "text": "Hi"}]
    assert found.message["stop_reason"] is None


def test_a_tool_input_that_was_cut_stays_the_text_that_it_is() -> None:
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {"path": "a/b", "text": "x" * 40}}
    events = message_events(message(block))

    found = assemble(events[:4])

    assert found.message is not None
    assert found.message["content"][0]["input"] == {}
    assert found.message["content"][0]["partial_json"].startswith('{"path"')


@pytest.mark.parametrize("text", ['{"path": nonsense}', '{"path": "a', "[1]", "7"])
def test_an_input_that_is_no_json_object_comes_out_of_its_stream_as_it_went_in(text: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "n", "input": {}, "partial_json": text}
    whole = message(call)

    events = message_events(whole)

    assert assemble(events) == Assembled(message=whole, complete=True)
    assert "partial_json" not in events[1]["content_block"]


def test_an_error_event_ends_a_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    events = message_events(message({"type": "text", "text": "Hi"}))

    found = assemble((*events[:3], error, *events[3:]))

    assert found.error == error
    assert not found.complete


def test_nothing_is_no_message() -> None:
    assert assemble(()) == Assembled(message=None, complete=False)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([{"type": "content_block_stop", "index": 0}], id="no-start"),
        pytest.param(
            [
                {"type": "message_start", "message": {"content": [], "usage": {}}},
                {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta"}},
            ],
            id="a-block-that-never-began",
        ),
    ],
)
def test_events_that_make_no_message_are_refused(events: list[JsonObject]) -> None:
    with pytest.raises(MessageShapeError, match="not in the shape of the Messages API"):
        assemble(events)


@pytest.mark.parametrize(
    "body", [{"type": "error"}, {"type": "message", "content": "text"}, {"type": "message"}]
)
def test_what_is_no_message_has_no_events(body: JsonObject) -> None:
    with pytest.raises(MessageShapeError, match="a message with a list as its content"):
        message_events(body)


def test_an_event_is_spelled_as_the_api_spells_it() -> None:
    assert sse_of({"type": "message_stop"}).encode() == (
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    assert PING.encode() == b'event: ping\ndata: {"type": "ping"}\n\n'


def test_data_that_is_no_json_is_refused_with_the_event_that_holds_it() -> None:
    with pytest.raises(MessageShapeError, match="event 'message_start' is no JSON"):
        json_events([SseEvent("message_start", "{oops")])


def test_genuine_messages_come_out_of_a_stream_as_they_were() -> None:
    count = 0
    for exchange in exchanges():
        if exchange.status == 200 and exchange.answered.lstrip().startswith(b"{"):
            body = json.loads(exchange.answered)
            if body.get("type") == "message":
                count += 1
                stream = encode(sse_of(event) for event in message_events(body))
                found = assemble(json_events(decode(stream).events))
                assert found == Assembled(message=body, complete=True), exchange.file
    assert count > 70


def test_genuine_streams_have_the_events_of_ours() -> None:
    """Whatever the texts are cut into, order and fields of the events are the API's."""
    count = 0
    for exchange in exchanges():
        if not exchange.is_stream or b"message_start" not in exchange.answered:
            continue
        genuine = [
            event
            for event in json_events(decode(exchange.answered).events)
            if event["type"] != "ping"
        ]
        found = assemble(genuine)
        assert found.message is not None
        if not found.complete:
            continue
        count += 1
        ours = message_events(found.message)
        assert _outline(ours) == _outline(genuine), exchange.file
        # The oldest streams repeat only the count of the output.
        assert _final_counts(genuine) <= _final_counts(ours), exchange.file
    assert count > 30


def _outline(events: list[JsonObject] | tuple[JsonObject, ...]) -> list[object]:
    """Events with the names of their fields, equal deltas in a row as one."""
    outline: list[object] = []
    for event in events:
        about = event.get("delta") or event.get("content_block") or event.get("message") or {}
        step = (event["type"], event.get("index"), about.get("type"), sorted(about))
        if not outline or outline[-1] != step:
            outline.append(step)
    return outline


def _final_counts(events: list[JsonObject] | tuple[JsonObject, ...]) -> set[str]:
    return {name for event in events if event["type"] == "message_delta" for name in event["usage"]}
