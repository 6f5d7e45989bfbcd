"""From events to a reply: what the SDK makes of them, and what it leaves out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from anthropic.lib.streaming._beta_messages import accumulate_event
from hypothesis import given

from mnemosyne_core.claude import Block, Reply, collect
from mnemosyne_core.errors import ClaudeStreamError
from mnemosyne_core.work import Usage
from pytest_mnemosyne.strategies import messages_answers
from pytest_mnemosyne.wire import JsonObject, decode, json_events, message_events
from tests.wire.genuine import exchanges

START: Block = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1},
    },
}
STOP: Block = {"type": "message_stop"}


def began(index: int, **block: Any) -> Block:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, kind: str, **fields: Any) -> Block:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def ended(stop_reason: str = "end_turn", **usage: Any) -> Block:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}


async def collected(*events: Block) -> Reply:
    async def stream() -> AsyncGenerator[Block, None]:
        for event in events:
            yield event

    async with aclosing(stream()) as given_events:
        return await collect(given_events)


@given(message=messages_answers())
async def test_a_streamed_message_is_the_message(message: JsonObject) -> None:
    reply = await collected(*message_events(message))

    assert list(reply.content) == message["content"]
    assert (reply.id, reply.model) == (message["id"], message["model"])
    assert reply.stop_reason == message["stop_reason"]
    assert reply.stop_details == message.get("stop_details")
    assert reply.usage.output_tokens == message["usage"]["output_tokens"]


async def test_genuine_streams_come_to_what_the_sdk_makes_of_them() -> None:
    streams = genuine_streams()
    assert len(streams) > 30
    for name, events in streams:
        snapshot: Any = None
        pieces: dict[int, bytes] = {}
        for event in events:
            snapshot = accumulate_event(
                event=event,  # type: ignore[arg-type]
                current_snapshot=snapshot,
                json_bufs=pieces,
                request_headers=httpx2.Headers(),
            )
        sdks = json.loads(snapshot.to_json(indent=None))

        reply = await collected(*events)

        assert (reply.id, reply.stop_reason) == (sdks["id"], sdks["stop_reason"]), name
        assert [*map(_told, reply.content)] == [*map(_told, sdks["content"])], name
        counted = {key: sdks["usage"].get(key) or 0 for key in Usage.model_fields}
        assert reply.usage == Usage(**counted), name


def genuine_streams() -> list[tuple[str, list[JsonObject]]]:
    """The recorded streams that are complete."""
    found = []
    for exchange in exchanges():
        if not exchange.is_stream or b"message_start" not in exchange.answered:
            continue
        events = [e for e in json_events(decode(exchange.answered).events) if e["type"] != "ping"]
        if events[-1]["type"] == "message_stop":
            found.append((exchange.file, events))
    return found


def _told(block: Any) -> Any:
    """A block without fields that hold nothing: the SDK adds some, and drops others."""
    return {key: value for key, value in block.items() if value not in (None, [])}


async def test_texts_thoughts_inputs_and_citations_are_put_together() -> None:
    reply = await collected(
        START,
        began(0, type="thinking", thinking="", signature=""),
        piece(0, "thinking_delta", thinking="Hm"),
        piece(0, "thinking_delta", thinking="m."),
        piece(0, "signature_delta", signature="signed"),
        began(1, type="text", text=""),
        piece(1, "citations_delta", citation={"cited_text": "a"}),
        piece(1, "text_delta", text="A, "),
        piece(1, "citations_delta", citation={"cited_text": "b"}),
        piece(1, "text_delta", text="b."),
        began(2, type="tool_use", id="toolu_1", name="look", input={}),
        piece(2, "input_json_delta", partial_json=""),
        piece(2, "input_json_delta", partial_json='{"place": "\\u'),
        piece(2, "input_json_delta", partial_json='00e9"}'),
        began(3, type="server_tool_use", id="srv_1", name="web_search", input={}),
        piece(3, "input_json_delta", partial_json='{"query": "x"}'),
        ended("tool_use", output_tokens=9),
        STOP,
    )

    assert list(reply.content) == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "signed"},
        {"type": "text", "text": "A, b.", "citations": [{"cited_text": "a"}, {"cited_text": "b"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"place": "\u00e9"}},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
    ]


async def test_what_nobody_knows_yet_is_kept() -> None:
    reply = await collected(
        START,
        {"type": "weather_report", "mood": "sunny"},
        began(0, type="hologram", depth=[1, 2.5, None]),
        piece(0, "hologram_delta", light="green"),
        ended("end_turn", output_tokens=1),
        {"type": "afterword"},
        STOP,
    )

    assert list(reply.content) == [{"type": "hologram", "depth": [1, 2.5, None], "light": "green"}]


async def test_counts_at_the_end_are_totals_and_unknown_ones_replace_nothing() -> None:
    last = ended("end_turn", output_tokens=40, input_tokens=8, cache_read_input_tokens=None)
    reply = await collected(START, ended("end_turn", output_tokens=20), last, STOP)

    assert reply.usage == Usage(input_tokens=8, cache_read_input_tokens=3, output_tokens=40)


@pytest.mark.parametrize("text", ['{"place": "', '["a"]'])
async def test_a_tool_is_not_called_with_half_an_input(text: str) -> None:
    call = began(0, type="tool_use", id="toolu_1", name="look", input={})
    cut = piece(0, "input_json_delta", partial_json=text)

    with pytest.raises(ClaudeStreamError, match="no JSON object"):
        await collected(START, call, cut, ended("tool_use"), STOP)

    # An answer that met a bound in the middle of an input is too long, and nothing else.
    reply = await collected(START, call, cut, ended("max_tokens"), STOP)
    assert (reply.stop_reason, reply.content[0]["input"]) == ("max_tokens", {})


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([], "after nothing", id="nothing"),
        pytest.param([START, began(0, type="text", text="")], "after 1 content", id="cut"),
        pytest.param([STOP], "came before message_start", id="only-the-end"),
        pytest.param([began(0, type="text")], "came before message_start", id="only-a-block"),
        pytest.param([ended()], "came before message_start", id="only-the-reason"),
        pytest.param([START, START], "second message", id="two-messages"),
        pytest.param(
            [START, piece(0, "text_delta", text="x")], "0, which never began", id="no-block"
        ),
        pytest.param([START, STOP], "no stop reason", id="no-reason"),
        pytest.param([START, ended(output_tokens=-1), STOP], "token counts", id="no-count"),
    ],
)
async def test_a_stream_that_makes_no_message_is_refused(events: list[Block], reason: str) -> None:
    with pytest.raises(ClaudeStreamError, match=reason):
        await collected(*events)


async def test_the_events_are_left_as_they_came() -> None:
    events = (START, began(0, type="text", text=""), piece(0, "text_delta", text="x"), ended())
    before = json.dumps(events)
    await collected(*events, STOP)
    assert json.dumps(events) == before
