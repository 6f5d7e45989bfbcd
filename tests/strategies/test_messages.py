"""Requests and answers: what the SDK's types say of them, and whether they fit each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

import anthropic
import httpx2
import pytest
from anthropic.types import ContentBlock, Message, StopReason
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from pytest_mnemosyne.strategies import (
    error_answers,
    messages_answers,
    messages_requests,
)
from pytest_mnemosyne.wire import ERROR_KINDS, HttpAnswer, JsonObject, header
from tests.strategies.finding import check_reach, seen, simplest

some = settings(max_examples=25)

REQUEST_TYPE: TypeAdapter[object] = TypeAdapter(MessageCreateParamsNonStreaming)


def plain(value: object) -> object:
    """What the SDK's types made of a body, iterators read to their end."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value


def unknown_fields(value: object) -> list[str]:
    """The fields of a message that the SDK's types do not know."""
    if isinstance(value, list):
        return [name for each in value for name in unknown_fields(each)]
    if not isinstance(value, BaseModel):
        return []
    named = [name for each in type(value).model_fields for name in unknown_fields(each)]
    inner = [name for each in dict(value).values() for name in unknown_fields(each)]
    return [*(value.model_extra or ()), *named, *inner]


# --- requests --------------------------------------------------------------------------


@some
@given(messages_requests(stream=False))
def test_the_types_of_the_sdk_know_every_field_of_a_request(body: JsonObject) -> None:
    # The type of a tool knows little of the language in which its schema is written.
    tools = [tool | {"input_schema": {"type": "object"}} for tool in body.get("tools", ())]
    asked = body | ({"tools": tools} if tools else {})

    # What a type does not know is left out of what it makes.
    assert plain(REQUEST_TYPE.validate_python(asked)) == asked


@some
@given(messages_requests())
def test_only_tools_of_the_request_are_called_and_with_what_they_take(body: JsonObject) -> None:
    tools = {tool["name"]: tool["input_schema"] for tool in body.get("tools", ())}

    for message in body["messages"]:
        for block in message["content"]:
            if isinstance(block, dict) and block["type"] == "tool_use":
                schema = tools[block["name"]]
                assert set(schema["required"]) <= set(block["input"]) <= set(schema["properties"])


@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_is_asked_for_as_wanted(stream: bool) -> None:
    bodies = seen(messages_requests(stream=stream), examples=20)

    assert {body.get("stream", False) for body in bodies} == {stream}


@pytest.mark.slow
def test_requests_use_all_that_they_may() -> None:
    def features(body: JsonObject) -> Iterator[object]:
        yield from body
        yield len(body["messages"])
        blocks = (block for message in body["messages"] for block in message["content"])
        yield from (f"{block['type']} block" for block in blocks if isinstance(block, dict))

    check_reach(
        messages_requests(),
        {
            *("model", "max_tokens", "messages", "tools", "tool_choice", "thinking", "thread"),
            *("stream", "system", "stop_sequences", "metadata", "service_tier", "output_config"),
            *("text block", "image block", "document block", "search_result block"),
            *("thinking block", "redacted_thinking block", "tool_use block", "tool_result block"),
            *(1, 3, 5),
        },
        features,
    )


def test_the_simplest_request_is_one_short_question() -> None:
    assert simplest(messages_requests()) == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "0"}],
    }


# --- answers ---------------------------------------------------------------------------


@settings(max_examples=50)
@given(messages_answers())
def test_the_sdk_reads_an_answer_and_knows_every_field(body: JsonObject) -> None:
    message = Message.model_validate(body)

    assert unknown_fields(message) == []
    assert json.loads(message.to_json(indent=None)) == body


@pytest.mark.slow
def test_there_are_answers_with_every_block_and_every_stop_reason() -> None:
    kinds = get_args(get_args(ContentBlock)[0])
    blocks = {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}

    check_reach(
        messages_answers(), blocks, lambda answer: [block["type"] for block in answer["content"]]
    )
    check_reach(messages_answers(), get_args(StopReason), lambda answer: [answer["stop_reason"]])


@settings(max_examples=50)
@given(messages_answers())
def test_the_parts_of_an_answer_fit_each_other(body: JsonObject) -> None:
    kinds = [block["type"] for block in body["content"]]
    ids = [block["id"] for block in body["content"] if "id" in block]
    results = [block["tool_use_id"] for block in body["content"] if "tool_use_id" in block]

    assert ("tool_use" in kinds) is (body["stop_reason"] == "tool_use")
    assert (body["stop_sequence"] is not None) is (body["stop_reason"] == "stop_sequence")
    assert body["stop_details"] is None or body["stop_reason"] == "refusal"
    assert len(set(ids)) == len(ids)
    assert set(results) <= set(ids)


@some
@given(messages_requests(), st.data())
def test_an_answer_to_a_request_is_one_that_it_can_have(
    request: JsonObject, data: st.DataObject
) -> None:
    answer = data.draw(messages_answers(for_request=request))

    choice = request.get("tool_choice", {"type": "auto"})
    tools = {tool["name"]: tool["input_schema"] for tool in request.get("tools", ())}
    called = [block["name"] for block in answer["content"] if block["type"] == "tool_use"]
    assert unknown_fields(Message.model_validate(answer)) == []
    assert answer["model"] == request["model"]
    assert answer["usage"]["output_tokens"] <= request["max_tokens"]
    assert answer["stop_sequence"] in (None, *request.get("stop_sequences", ()))
    assert set(called) <= set(tools)
    assert called or choice["type"] in ("auto", "none")
    assert not called or choice["type"] != "none"
    assert set(called) <= {choice.get("name", name) for name in called}
    assert len(called) <= 1 or not choice.get("disable_parallel_tool_use")
    if request.get("thinking", {"type": "disabled"})["type"] == "disabled":
        assert not any("thinking" in block["type"] for block in answer["content"])


def test_an_answer_follows_the_schema_of_the_request() -> None:
    schema = {
        "type": "object",
        "properties": {"moons": {"type": "integer"}},
        "required": ["moons"],
        "additionalProperties": False,
    }
    request = {
        "model": "claude-haiku-5-5",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "How many?"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }

    assert simplest(messages_answers(for_request=request))["content"] == [
        {"type": "text", "text": '{"moons":0}'}
    ]


def test_the_simplest_answer_says_nothing_and_ends() -> None:
    assert simplest(messages_answers()) == {
        "id": "msg_0",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


# --- errors ----------------------------------------------------------------------------


@some
@given(error_answers())
def test_the_sdk_raises_the_error_that_was_answered(answer: HttpAnswer) -> None:
    def respond(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            answer.status, headers=list(answer.headers), stream=httpx2.ByteStream(answer.body)
        )

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http)
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.models.retrieve("m")

    assert caught.value.status_code == answer.status
    assert caught.value.body == json.loads(answer.body)
    assert caught.value.request_id == header(answer.headers, "request-id")


@pytest.mark.slow
def test_errors_have_every_status_and_pauses_of_both_spellings() -> None:
    def features(answer: HttpAnswer) -> Iterator[object]:
        yield from (name for name, _ in answer.headers if name.startswith("retry"))
        yield answer.status if answer.status in ERROR_KINDS else "another status"

    check_reach(
        error_answers(),
        {*ERROR_KINDS, "another status", "retry-after", "retry-after-ms"},
        features,
    )
    assert simplest(error_answers()).status == 400
