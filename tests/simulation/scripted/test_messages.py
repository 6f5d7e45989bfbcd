"""Everything that a message can say, read by the SDK: whole, streamed, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import anthropic
import pytest
from anthropic.types import Message

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    server_tool_result,
    server_tool_use,
    text,
    tool_use,
)
from pytest_mnemosyne.wire import JsonObject
from tests.simulation.scripted.asking import ask

_QUESTION: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Hi"}]
_LS: anthropic.types.ToolParam = {
    "name": "ls",
    "input_schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "depth": {"type": "integer", "minimum": 1}},
        "required": ["path"],
    },
}
_CITATION = {
    "type": "char_location",
    "cited_text": "two moons",
    "document_index": 0,
    "document_title": "Mars",
    "file_id": None,
    "start_char_index": 0,
    "end_char_index": 9,
}
_FOUND = {
    "type": "web_search_result",
    "title": "Mars",
    "url": "https://example.com/mars",
    "encrypted_content": "opaque",
    "page_age": None,
}

Ask = Callable[[ScriptedClaude], Message]


def whole(claude: ScriptedClaude) -> Message:
    with claude.sync_client() as client:
        return client.messages.create(
            model="claude-sonnet-5-5", max_tokens=64, messages=_QUESTION, stop_sequences=["END"]
        )


def streamed(claude: ScriptedClaude) -> Message:
    with (
        claude.sync_client() as client,
        client.messages.stream(
            model="claude-sonnet-5-5", max_tokens=64, messages=_QUESTION, stop_sequences=["END"]
        ) as stream,
    ):
        return stream.get_final_message()


def whole_on_a_loop(claude: ScriptedClaude) -> Message:
    async def main() -> Message:
        async with claude.client() as client:
            return await client.messages.create(
                model="claude-sonnet-5-5", max_tokens=64, messages=_QUESTION, stop_sequences=["END"]
            )

    return asyncio.run(main())


def streamed_on_a_loop(claude: ScriptedClaude) -> Message:
    async def main() -> Message:
        async with (
            claude.client() as client,
            client.messages.stream(
                model="claude-sonnet-5-5", max_tokens=64, messages=_QUESTION, stop_sequences=["END"]
            ) as stream,
        ):
            return await stream.get_final_message()

    return asyncio.run(main())


in_every_way = pytest.mark.parametrize(
    "asked", [whole, streamed, whole_on_a_loop, streamed_on_a_loop]
)


@in_every_way
def test_a_refusal_says_why(asked: Ask) -> None:
    message = asked(ScriptedClaude().refuse(category="cyber", explanation="It could do harm."))

    assert (message.content, message.stop_reason) == ([], "refusal")
    assert message.stop_details is not None
    assert message.stop_details.category == "cyber"
    assert message.stop_details.explanation == "It could do harm."


@in_every_way
def test_a_refusal_can_come_in_the_middle_of_a_text(asked: Ask) -> None:
    message = asked(ScriptedClaude().refuse("First you"))

    assert message.content[0].to_dict()["text"] == "First you"
    assert message.stop_reason == "refusal"


@in_every_way
@pytest.mark.parametrize("reason", ["max_tokens", "pause_turn", "model_context_window_exceeded"])
def test_a_message_can_end_for_any_reason_that_the_sdk_knows(asked: Ask, reason: str) -> None:
    message = asked(ScriptedClaude().reply("So far", stop_reason=reason))

    assert message.stop_reason == reason


@in_every_way
def test_a_message_can_stop_at_a_sequence_of_the_request(asked: Ask) -> None:
    message = asked(ScriptedClaude().reply("Up to here", stop_sequence="END"))

    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@in_every_way
def test_a_message_can_be_empty_on_purpose(asked: Ask) -> None:
    message = asked(ScriptedClaude().reply(stop_reason="end_turn"))

    assert (message.content, message.stop_reason) == ([], "end_turn")
    assert message.usage.output_tokens == 1


@in_every_way
def test_tools_can_be_called_in_parallel(asked: Ask) -> None:
    message = asked(ScriptedClaude().reply(tool_use("ls", path="a"), tool_use("ls", path="b")))

    calls = [block.to_dict() for block in message.content]
    assert [call["input"] for call in calls] == [{"path": "a"}, {"path": "b"}]
    assert len({str(call["id"]) for call in calls}) == 2


@in_every_way
def test_a_text_says_where_it_is_from(asked: Ask) -> None:
    message = asked(ScriptedClaude().reply(text("It has two moons.", citations=[_CITATION])))

    (said,) = message.content
    assert isinstance(said, anthropic.types.TextBlock)
    assert said.citations is not None
    assert said.citations[0].to_dict() == _CITATION


@in_every_way
def test_a_tool_of_the_api_is_called_and_answered_in_one_message(asked: Ask) -> None:
    claude = ScriptedClaude().reply(
        server_tool_use("web_search", query="moons of Mars"),
        server_tool_result("web_search", [_FOUND]),
        "Two.",
    )

    call, result, _ = asked(claude).content

    assert isinstance(call, anthropic.types.ServerToolUseBlock)
    assert isinstance(result, anthropic.types.WebSearchToolResultBlock)
    assert call.input == {"query": "moons of Mars"}
    assert call.id == result.tool_use_id == "srvtoolu_scripted_1_1"
    assert isinstance(result.content, list)
    assert result.content[0].url == "https://example.com/mars"


@pytest.mark.parametrize("asked", [whole, whole_on_a_loop])
def test_a_broken_call_has_no_input_where_it_is_not_streamed(asked: Ask) -> None:
    message = asked(ScriptedClaude().reply(tool_use("ls", partial_json='{"path": ')))

    assert message.content[0].to_dict()["input"] == {}
    assert message.stop_reason == "tool_use"


def test_the_pieces_of_a_cut_call_are_sent_as_they_are() -> None:
    claude = ScriptedClaude().reply(
        tool_use("ls", partial_json='{"path": "a", "depth'), stop_reason="max_tokens"
    )

    with (
        claude.sync_client() as client,
        client.messages.stream(
            model="claude-sonnet-5-5", max_tokens=64, messages=_QUESTION
        ) as stream,
    ):
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()

    assert "".join(pieces) == '{"path": "a", "depth'
    assert message.content[0].to_dict()["input"] == {"path": "a"}
    assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize("asked", [streamed, streamed_on_a_loop])
def test_a_call_that_is_no_json_is_what_the_sdk_says_it_is(asked: Ask) -> None:
    claude = ScriptedClaude().reply(tool_use("ls", partial_json='{"path": nonsense}'))

    with pytest.raises(ValueError, match="Unable to parse tool parameter JSON from model"):
        asked(claude)


@pytest.fixture
def client(scripted: ScriptedClaude) -> Iterator[anthropic.Anthropic]:
    with scripted.sync_client() as made:
        yield made


def test_a_call_that_breaks_its_tools_schema_is_a_mistake_in_the_script() -> None:
    claude = ScriptedClaude().reply(tool_use("ls", depth=0))

    assert ask(claude, tools=[_LS]).status == 400

    reason = claude.unscripted[0].reason
    assert "the call of 'ls' does not follow the tool's schema" in reason
    assert "$: 'path' is required; $.depth: expected 1 or more, got 0" in reason
    assert "violates_schema=True" in reason


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(tool_use("ls", depth=0, violates_schema=True), id="on-purpose"),
        pytest.param(tool_use("rm", path=7), id="a-tool-that-nobody-offered"),
        pytest.param(tool_use("ls", partial_json="{"), id="broken-anyway"),
    ],
)
def test_a_call_may_be_wrong_where_that_is_meant(call: JsonObject) -> None:
    claude = ScriptedClaude().reply(call)

    assert ask(claude, tools=[_LS]).status == 200


def test_a_sequence_that_nobody_asked_to_stop_at_is_a_mistake_in_the_script() -> None:
    claude = ScriptedClaude().reply("x", stop_sequence="STOP")

    assert ask(claude, stop_sequences=["END"]).status == 400
    assert "'STOP' is none of ['END']" in claude.unscripted[0].reason


def test_beta_blocks_are_for_requests_that_ask_for_a_beta(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply({"type": "compaction", "content": "What came before.", "encrypted_content": "x"})

    message = client.beta.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Hi"}],
        betas=["compact-2026-01-12"],
    )

    assert message.content[0].type == "compaction"


def test_models_come_page_by_page(client: anthropic.Anthropic) -> None:
    page = client.models.list(limit=2)
    last = client.models.list(after_id="claude-sonnet-5-5")

    names = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"]
    assert [model.id for model in page.data] == names[:2]
    assert [model.id for model in page] == names
    assert ([model.id for model in last.data], last.has_more) == (names[2:], False)
    assert client.models.list(lifecycle=["retired"]).data == []
    assert len(client.models.list(lifecycle=["active", "retired"]).data) == 3


def test_a_model_that_is_not_there_is_not_found(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: gpt"):
        client.models.retrieve("gpt")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        pytest.param("limit=0", "limit: Input should be an integer between 1 and 1000", id="limit"),
        pytest.param("limit=x", "limit: Input should be an integer", id="no-number"),
        pytest.param("after_id=gpt", "after_id: no object has the id 'gpt'", id="after"),
        pytest.param("before_id=gpt", "before_id: no object has the id 'gpt'", id="before"),
    ],
)
def test_a_page_that_is_not_there_is_refused(query: str, problem: str) -> None:
    from tests.simulation.scripted.asking import send

    answered = send(ScriptedClaude(), "GET", f"/v1/models?{query}")

    assert answered.status == 400
    assert problem in answered.problem
