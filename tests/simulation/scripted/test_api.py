"""What the scripted Claude does on its own account, as the API would."""

from __future__ import annotations

import json

import pytest

from pytest_mnemosyne.simulation import ScriptedClaude, text, thinking, tool_use
from pytest_mnemosyne.simulation.scripted._checks import refusal
from pytest_mnemosyne.wire import JsonObject, assemble, decode, json_events, objects
from tests.simulation.scripted.asking import ask, body, post, send
from tests.wire.genuine import Exchange, exchanges


def call(tool_id: str) -> JsonObject:
    block = {"type": "tool_use", "id": tool_id, "name": "ls", "input": {}}
    return {"role": "assistant", "content": [block]}


def result(tool_id: str) -> JsonObject:
    block = {"type": "tool_result", "tool_use_id": tool_id, "content": "ok"}
    return {"role": "user", "content": [block]}


_HI = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"max_tokens": 1, "messages": [_HI]}, "model: Field required", id="model"),
        pytest.param(
            {"model": "m", "messages": [_HI]}, "max_tokens: Field required", id="max-tokens"
        ),
        pytest.param({"model": "m", "max_tokens": 1}, "messages: Field required", id="messages"),
        pytest.param(body(max_tokens=0), "max_tokens: Input should be", id="no-tokens"),
        pytest.param(body(max_tokens="9"), "max_tokens: Input should be a valid", id="text-tokens"),
        pytest.param(body(model=3), "model: Input should be a valid string", id="odd-model"),
        pytest.param(body(messages=[]), "at least one message is required", id="no-message"),
        pytest.param(body(messages="Hi"), "messages: Input should be a valid list", id="odd"),
        pytest.param(body(messages=[{"role": "user"}]), "messages.0.content: Field", id="content"),
        pytest.param(body(messages=[{"content": "x"}]), "messages.0.role: Field", id="role"),
        pytest.param(
            body(messages=[{"role": "user", "content": 3}]), "messages.0.content: Input", id="kind"
        ),
        pytest.param(
            body(messages=[{"role": "user", "content": [{"type": "text", "text": ""}]}]),
            "text content blocks must be non-empty",
            id="empty-text",
        ),
        pytest.param(
            body(messages=[_HI, call("toolu_1"), _HI]),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: toolu_1.",
            id="tool-without-result",
        ),
        pytest.param(
            body(messages=[_HI, call("toolu_1"), result("toolu_2")]),
            "messages.1: `tool_use` ids were found without",
            id="another-tools-result",
        ),
        pytest.param(
            body(messages=[_HI, result("toolu_1")]),
            "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
            id="result-without-tool",
        ),
    ],
)
def test_a_request_that_the_api_refuses_is_refused(fields: JsonObject, problem: str) -> None:
    claude = ScriptedClaude().reply("never reached")

    answered = post(claude, fields)

    assert (answered.status, answered.headers["x-should-retry"]) == (400, "false")
    assert answered.body["error"]["type"] == "invalid_request_error"
    assert problem in answered.problem
    assert claude.unscripted == ()
    assert len(claude.pending()) == 1


def test_a_conversation_with_tools_is_taken() -> None:
    claude = ScriptedClaude().reply("done")

    messages = [_HI, call("toolu_1"), result("toolu_1")]

    assert post(claude, body(messages=messages)).text == "done"


def test_genuine_requests_that_were_answered_are_taken() -> None:
    count = 0
    for exchange in exchanges():
        if exchange.status == 200 and "/v1/messages" in exchange.url and exchange.method == "POST":
            asked = json.loads(exchange.asked)
            if "messages" in asked:
                count += 1
                counting = "count_tokens" in exchange.url
                messages = objects(asked["messages"])
                assert refusal(asked, messages, counting=counting) is None, exchange.file
    assert count > 100


@pytest.mark.parametrize(
    "raw",
    [pytest.param(b"{", id="cut"), pytest.param(b"[]", id="a-list"), pytest.param(b"", id="empty")],
)
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    answered = post(ScriptedClaude(), raw)

    assert answered.status == 400
    assert "The request body is not" in answered.problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", "/prefix/v1/messages", 400, id="below-a-prefix"),
        pytest.param("GET", "/v1/messages", 404, id="wrong-method"),
        pytest.param("POST", "/v1/complete", 404, id="not-served"),
        pytest.param("HEAD", "/", 404, id="liveness"),
        pytest.param("GET", "/v1/models", 200, id="models"),
        pytest.param("GET", "/v1/models/claude-opus-5-5", 200, id="model"),
        pytest.param("GET", "/v1/models/gpt", 404, id="unknown-model"),
        pytest.param("GET", "/v1/models/a/b", 404, id="nothing-below-a-model"),
        pytest.param("POST", "/v1/messages/count_tokens", 400, id="counting-nothing"),
        pytest.param("GET", "/v1/messages/batches", 200, id="batches"),
        pytest.param("GET", "/v1/messages/batches/b/c/d", 404, id="nothing-below-results"),
        pytest.param("PUT", "/v1/messages/batches", 404, id="no-such-method"),
    ],
)
def test_other_paths_are_answered_as_by_the_api(method: str, path: str, status: int) -> None:
    answer = send(ScriptedClaude(), method, path, content=b"{}")

    assert answer.status == status
    assert (answer.body == {}) is (method == "HEAD")


def test_the_stop_reason_follows_from_the_blocks() -> None:
    claude = ScriptedClaude()
    claude.reply("text").reply("text", tool_use("ls")).reply("cut", stop_reason="max_tokens")

    reasons = [ask(claude).body["stop_reason"] for _ in range(3)]

    assert reasons == ["end_turn", "tool_use", "max_tokens"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_message_is_the_same_whether_it_is_streamed_or_not(stream: bool) -> None:
    claude = ScriptedClaude().reply(
        thinking("a long thought that takes several pieces"),
        text("and words, ünïcode and a line\nending"),
        tool_use("write_file", path="a.py", content="x = 1\n"),
        tool_use("list_files"),
        usage={"cache_read_input_tokens": 90},
    )

    answered = ask(claude, stream=stream)

    kind = answered.headers["content-type"].partition(";")[0]
    assert kind == ("text/event-stream" if stream else "application/json")
    assert [block["type"] for block in answered.body["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert answered.body["content"][2]["input"] == {"path": "a.py", "content": "x = 1\n"}
    assert answered.body["content"][3]["input"] == {}
    assert answered.body["usage"]["cache_read_input_tokens"] == 90
    assert answered.body["usage"]["output_tokens"] > 20


def test_counts_are_the_same_in_every_run_and_agree_with_the_counting_endpoint() -> None:
    fields = body("a prompt of some length", system="and a system prompt")
    claude = ScriptedClaude().reply("x", times=None)

    usage = [post(claude, fields).body["usage"] for _ in range(2)]
    counted = post(claude, fields, path="/v1/messages/count_tokens").body

    assert usage[0] == usage[1]
    assert counted == {"input_tokens": usage[0]["input_tokens"]}
    # Four bytes of compact JSON are one token: 97 of them.
    assert counted == {"input_tokens": 25}
    assert len(claude.requests) == 2


def test_more_is_asked_is_more_tokens() -> None:
    claude = ScriptedClaude().reply("x", times=None)

    short, long = (ask(claude, "x" * size).body["usage"] for size in (10, 4010))

    assert long["input_tokens"] - short["input_tokens"] == 1000


_SCHEMA = {
    "type": "object",
    "properties": {"passed": {"type": "boolean"}, "score": {"type": "number"}},
    "required": ["passed"],
    "additionalProperties": False,
}
_ASKS_FOR_JSON: JsonObject = {
    "output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}
}


def test_structured_output_is_json_in_a_text_block() -> None:
    claude = ScriptedClaude().reply(json={"passed": True, "score": 0.5})

    assert ask(claude, **_ASKS_FOR_JSON).text == '{"passed":true,"score":0.5}'


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param({"score": 1}, "'passed' is required", id="missing"),
        pytest.param({"passed": 1}, '$.passed: expected "boolean", got 1', id="kind"),
        pytest.param({"passed": True, "why": ""}, "'why' is not in the schema", id="unknown"),
    ],
)
def test_structured_output_that_breaks_the_requests_schema_is_a_mistake_in_the_script(
    value: JsonObject, problem: str
) -> None:
    claude = ScriptedClaude().reply(json=value)

    assert ask(claude, **_ASKS_FOR_JSON).status == 400

    assert problem in claude.unscripted[0].reason


def test_without_a_schema_any_json_will_do() -> None:
    claude = ScriptedClaude().reply(json=[1, "two"])

    assert ask(claude).text == '[1,"two"]'


def test_an_error_is_given_as_scripted() -> None:
    claude = ScriptedClaude().fail(429, retry_after=1.5, message="slow down").reply("now")

    answered = ask(claude)

    assert answered.status == 429
    assert answered.body == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down"},
        "request_id": "req_scripted_1",
    }
    assert answered.headers["retry-after-ms"] == "1500"
    assert ask(claude).text == "now"


def test_a_thread_goes_on_from_the_message_that_it_names() -> None:
    claude = ScriptedClaude().reply(tool_use("ls"))
    claude.when(lambda request: "one.py" in request.text).reply("There is one file")

    first = ask(claude, "List", thread={"type": "create"})
    thread = {"type": "continue", "previous_message_id": first.body["id"]}
    messages = [result(first.body["content"][0]["id"])]
    messages[0]["content"][0]["content"] = "one.py"
    second = post(claude, body(messages=messages, thread=thread))

    assert second.text == "There is one file"
    assert claude.requests[1].first_user_text == "List"
    assert claude.requests[1].turn == 2


def test_a_thread_that_is_not_there_is_an_error_with_its_code() -> None:
    claude = ScriptedClaude().reply("never reached")

    answered = ask(claude, thread={"type": "continue", "previous_message_id": "msg_gone"})

    assert answered.status == 404
    assert answered.body["error"]["details"] == {"error_code": "thread_not_found"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_has_the_fields_and_headers_of_genuine_ones(stream: bool) -> None:
    genuine = [
        exchange
        for exchange in exchanges()
        if exchange.status == 200 and exchange.is_stream is stream and _is_message(exchange)
    ]
    bodies = [_message_in(exchange) for exchange in genuine]

    ours = ask(ScriptedClaude().reply("Hi"), stream=stream)

    assert len(genuine) > 30
    for mine, theirs in ((ours.body, bodies), (ours.body["usage"], [b["usage"] for b in bodies])):
        assert set.intersection(*map(set, theirs)) <= set(mine) <= set().union(*theirs)
    # Some recorders keep few headers; where the request's id is kept, all others are as well.
    kept = [exchange.headers for exchange in genuine if "request-id" in exchange.headers]
    assert len(kept) > 20
    for headers in kept:
        # Theirs come in chunks, whose length nobody says.
        assert set(ours.headers) - {"content-length"} <= set(headers)
        assert headers["content-type"] == ours.headers["content-type"]
        assert headers.get("cache-control") == ours.headers.get("cache-control")


def _is_message(exchange: Exchange) -> bool:
    said = exchange.answered
    return b"message_start" in said if exchange.is_stream else b'"role"' in said


def _message_in(exchange: Exchange) -> JsonObject:
    if not exchange.is_stream:
        found: JsonObject = json.loads(exchange.answered)
        return found
    message = assemble(json_events(decode(exchange.answered).events)).message
    assert message is not None
    return message
