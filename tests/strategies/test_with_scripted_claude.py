"""Requests and schemas: what a stand-in for the API says of them."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.simulation import ScriptedClaude
from pytest_mnemosyne.strategies import from_schema, json_schemas, messages_requests
from pytest_mnemosyne.wire import HttpAnswer, HttpRequest, JsonObject

some = settings(max_examples=30)


def answer(claude: ScriptedClaude, body: JsonObject) -> HttpAnswer:
    request = HttpRequest(method="POST", path="/v1/messages", body=json.dumps(body).encode())
    answered = asyncio.run(claude.handle(request))
    assert isinstance(answered, HttpAnswer)
    return answered


@some
@given(messages_requests())
def test_the_api_takes_a_request(body: JsonObject) -> None:
    answered = answer(ScriptedClaude().reply("Yes.", times=None), body)

    if body.get("thread", {}).get("type") == "continue":
        # Legal, but no thread of this server.
        assert b"thread_not_found" in answered.body
    else:
        assert answered.status == 200, answered.body


@some
@given(json_schemas(), st.data())
def test_what_follows_a_schema_passes_the_check_of_the_api(
    schema: JsonObject, data: st.DataObject
) -> None:
    value = data.draw(from_schema(schema))
    assert isinstance(value, dict)
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "?"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }

    answered = answer(ScriptedClaude().reply(json=value), body)

    assert answered.status == 200, answered.body
