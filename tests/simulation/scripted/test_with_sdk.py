"""The scripted Claude over real HTTP, asked by the real SDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import anthropic
import httpx2
import pytest
from pydantic import BaseModel

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    last_user_text_contains,
    text,
    thinking,
    tool_use,
)

_MODEL = "claude-sonnet-5-5"


@pytest.fixture
def client(scripted: ScriptedClaude) -> Iterator[anthropic.Anthropic]:
    # A TLS context costs 20 ms a client, and loopback speaks plain HTTP.
    http_client = httpx2.Client(verify=False, trust_env=False)
    with anthropic.Anthropic(
        api_key="k", base_url=scripted.url, max_retries=0, http_client=http_client
    ) as made:
        yield made


@pytest.fixture
async def async_client(scripted: ScriptedClaude) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http_client = httpx2.AsyncClient(verify=False, trust_env=False)
    async with anthropic.AsyncAnthropic(
        api_key="k", base_url=scripted.url, max_retries=0, http_client=http_client
    ) as made:
        yield made


def ask(client: anthropic.Anthropic, said: str = "Hi") -> anthropic.types.Message:
    return client.messages.create(
        model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": said}]
    )


def test_a_message_is_read_by_the_sdk(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply(text("I will write it."), tool_use("write_file", path="a", content="b"))

    message = ask(client)

    said, call = message.content
    assert isinstance(said, anthropic.types.TextBlock)
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert (said.text, call.name) == ("I will write it.", "write_file")
    assert call.input == {"path": "a", "content": "b"}
    assert (message.model, message.stop_reason) == (_MODEL, "tool_use")
    assert message._request_id == "req_scripted_1"


def test_a_stream_is_read_by_the_sdk(scripted: ScriptedClaude, client: anthropic.Anthropic) -> None:
    scripted.reply(thinking("Hm."), "A text of more than one piece, to be sure", tool_use("ls"))

    with client.messages.stream(
        model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_message()

    assert events.count("text") > 1
    assert {"thinking", "signature", "input_json"} <= set(events)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens > 1


async def test_the_async_client_reads_messages_and_streams(
    scripted: ScriptedClaude, async_client: anthropic.AsyncAnthropic
) -> None:
    scripted.reply("whole").reply("in pieces")

    message = await async_client.messages.create(
        model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
    )
    async with async_client.messages.stream(
        model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        streamed = "".join([piece async for piece in stream.text_stream])

    assert message.content[0].model_dump()["text"] == "whole"
    assert streamed == "in pieces"


async def test_concurrent_calls_get_their_own_answers(
    scripted: ScriptedClaude, async_client: anthropic.AsyncAnthropic
) -> None:
    import asyncio

    names = [f"agent-{number}." for number in range(10)]
    for name in names:
        scripted.when(last_user_text_contains(name)).reply(f"for {name}")

    messages = await asyncio.gather(
        *(
            async_client.messages.create(
                model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": name}]
            )
            for name in reversed(names)
        )
    )

    said = [message.content[0].model_dump()["text"] for message in messages]
    assert said == [f"for {name}" for name in reversed(names)]
    scripted.assert_all_played()


class Verdict(BaseModel):
    passed: bool
    issues: list[str]


def test_structured_output_is_parsed_by_the_sdk(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply(json={"passed": False, "issues": ["no tests"]})

    message = client.messages.parse(
        model=_MODEL,
        max_tokens=64,
        messages=[{"role": "user", "content": "Review"}],
        output_format=Verdict,
    )

    assert message.parsed_output == Verdict(passed=False, issues=["no tests"])
    assert scripted.requests[0].schema is not None


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.OverloadedError),
    ],
)
def test_a_failure_is_the_sdks_own_error(
    scripted: ScriptedClaude,
    client: anthropic.Anthropic,
    status: int,
    raised: type[anthropic.APIStatusError],
) -> None:
    scripted.fail(status, message="as scripted")

    with pytest.raises(raised) as caught:
        ask(client)

    assert caught.value.api_message == "as scripted"
    assert caught.value.request_id == "req_scripted_1"


def test_the_sdk_tries_again_where_it_is_invited_to(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.fail(529, retry_after=0.001).fail(429, retry_after=0.001).reply("at last")

    message = ask(client.with_options(max_retries=2))

    assert message.content[0].model_dump()["text"] == "at last"
    assert len(scripted.requests) == 3


def test_an_unscripted_request_is_not_tried_again(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    with pytest.raises(anthropic.BadRequestError, match="no step of the script"):
        ask(client.with_options(max_retries=2), "Nobody thought of this")

    assert len(scripted.unscripted) == 1


def test_models_and_counts_are_read_by_the_sdk(client: anthropic.Anthropic) -> None:
    models = [model.id for model in client.models.list()]
    counted = client.messages.count_tokens(
        model=_MODEL, messages=[{"role": "user", "content": "Hi"}]
    )

    assert _MODEL in models
    assert client.models.retrieve(_MODEL).display_name == "Claude Sonnet 5.5"
    assert counted.input_tokens > 0


def test_every_event_of_a_stream_is_of_a_type_that_the_sdk_knows(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    from anthropic.types import RawMessageStreamEvent
    from pydantic import TypeAdapter

    scripted.reply(thinking("Hm."), "Text", tool_use("ls", path="."))

    stream = client.messages.create(
        model=_MODEL, max_tokens=64, messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    events = list(stream)

    known: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    for event in events:
        again = known.validate_python(event.to_dict())
        assert again == event
        assert not again.model_extra
    assert events[-1].type == "message_stop"


def test_a_script_can_be_written_without_importing_the_sdk() -> None:
    code = (
        "import sys; from pytest_mnemosyne.simulation import ScriptedClaude; "
        "ScriptedClaude().reply('x'); "
        "print(sorted({'anthropic', 'pydantic', 'httpx2', 'uvicorn', 'vcr'} & set(sys.modules)))"
    )

    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert seen.stdout.strip() == "[]"


def test_the_server_starts_when_its_address_is_asked_for_and_can_be_stopped_twice() -> None:
    claude = ScriptedClaude()

    first = claude.url
    again = claude.serve().url
    claude.stop()
    claude.stop()

    assert first == again
