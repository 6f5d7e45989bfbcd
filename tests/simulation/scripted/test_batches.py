"""Batches of messages, asked by the SDK and by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta

import anthropic
import pytest
from anthropic.types.messages import MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request

from pytest_mnemosyne.simulation import (
    ClaudeRequest,
    ScriptedClaude,
    ScriptError,
    last_user_text_contains,
    tool_use,
)
from pytest_mnemosyne.simulation.loop import EPOCH
from pytest_mnemosyne.wire import JsonObject
from tests.simulation.scripted.asking import ask, body, post, send

_PATH = "/v1/messages/batches"


@pytest.fixture
def client(scripted: ScriptedClaude) -> Iterator[anthropic.Anthropic]:
    with scripted.sync_client(max_retries=0) as made:
        yield made


def requests(*said: str) -> list[Request]:
    return [
        {
            "custom_id": words,
            "params": {
                "model": "claude-sonnet-5-5",
                "max_tokens": 64,
                "messages": [{"role": "user", "content": words}],
            },
        }
        for words in said
    ]


def kinds(results: Iterator[MessageBatchIndividualResponse]) -> dict[str, str]:
    return {result.custom_id: result.result.type for result in results}


def test_each_request_of_a_batch_is_answered_by_the_script(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.when(last_user_text_contains("b")).reply("for b")
    scripted.reply("for a").fail(529)

    made = client.messages.batches.create(requests=requests("a", "b", "c"))
    ended = client.messages.batches.retrieve(made.id)
    results = {each.custom_id: each.result for each in client.messages.batches.results(made.id)}

    assert (made.processing_status, made.request_counts.processing) == ("in_progress", 3)
    assert made.expires_at - made.created_at == timedelta(days=1)
    assert (ended.processing_status, ended.request_counts.to_dict()) == (
        "ended",
        {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0},
    )
    assert results["a"].type == results["b"].type == "succeeded"
    assert results["a"].message.content[0].to_dict() == {"type": "text", "text": "for a"}
    assert results["b"].message.id == "msg_scripted_1"
    assert results["b"].message.usage.service_tier == "batch"
    assert results["c"].type == "errored"
    assert results["c"].error.error.type == "overloaded_error"
    assert [request.custom_id for request in scripted.requests] == ["a", "b", "c"]
    scripted.assert_all_played()


def test_the_beta_endpoints_are_the_same(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply(tool_use("ls", path="."))

    batches = client.beta.messages.batches
    made = batches.create(
        requests=[{"custom_id": "a", "params": requests("a")[0]["params"]}],  # type: ignore[typeddict-item]
        betas=["message-batches-2024-09-24"],
    )
    (result,) = batches.results(made.id)

    assert result.result.type == "succeeded"
    assert isinstance(result.result.message, anthropic.types.beta.BetaMessage)
    assert result.result.message.stop_reason == "tool_use"
    assert scripted.requests[0].beta


async def test_the_async_client_reads_results(scripted: ScriptedClaude) -> None:
    scripted.reply("x")

    async with scripted.client() as client:
        made = await client.messages.batches.create(requests=requests("a"))
        results = [each async for each in await client.messages.batches.results(made.id)]

    assert [each.result.type for each in results] == ["succeeded"]


def test_every_answer_is_one_that_the_types_of_the_sdk_know(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    from anthropic.types.messages import DeletedMessageBatch, MessageBatch

    scripted.reply("x", times=None)
    batches = client.messages.batches
    made = batches.create(requests=requests("a"))
    results = [each.to_dict() for each in batches.results(made.id)]
    retrieved = batches.retrieve(made.id)
    cancelled = batches.cancel(batches.create(requests=requests("a")).id)
    deleted = batches.delete(made.id)

    for answer in (made, retrieved, cancelled):
        MessageBatch.model_validate(answer.to_dict(mode="json"), extra="forbid")
    DeletedMessageBatch.model_validate(deleted.to_dict(), extra="forbid")
    for result in results:
        MessageBatchIndividualResponse.model_validate(result, extra="forbid")


def test_a_batch_can_take_several_polls(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.batch_pace(polls=3).reply("x")

    made = client.messages.batches.create(requests=requests("a"))
    polled = [client.messages.batches.retrieve(made.id).processing_status for _ in range(4)]

    assert polled == ["in_progress", "in_progress", "ended", "ended"]
    assert len(scripted.requests) == 1


@pytest.mark.virtual_time
async def test_a_batch_can_take_its_time() -> None:
    claude = ScriptedClaude().batch_pace(polls=None, after_s=600).reply("x")

    async with claude.client() as client:
        made = await client.messages.batches.create(requests=requests("a"))
        while (batch := await client.messages.batches.retrieve(made.id)).ended_at is None:
            await asyncio.sleep(60)

    assert batch.created_at == EPOCH
    assert batch.ended_at == EPOCH + timedelta(minutes=10)


@pytest.mark.virtual_time
async def test_dates_without_a_loop_are_no_virtual_ones() -> None:
    await asyncio.sleep(60)

    with ScriptedClaude().sync_client() as blocking:
        assert blocking.messages.batches.create(requests=requests("a")).created_at == EPOCH


@pytest.mark.virtual_time
async def test_dates_are_those_of_the_virtual_loop() -> None:
    await asyncio.sleep(60)

    async with ScriptedClaude().client() as client:
        made = await client.messages.batches.create(requests=requests("a"))

    assert made.created_at == EPOCH + timedelta(minutes=1)


@pytest.mark.virtual_time
async def test_what_is_not_processed_within_a_day_has_expired() -> None:
    claude = ScriptedClaude().batch_pace(polls=None).reply("never reached")

    async with claude.client() as client:
        made = await client.messages.batches.create(requests=requests("a", "b"))
        await asyncio.sleep(24 * 60 * 60)
        batch = await client.messages.batches.retrieve(made.id)
        results = [
            each.result.type async for each in await client.messages.batches.results(made.id)
        ]

    assert batch.request_counts.expired == 2
    assert results == ["expired", "expired"]
    assert len(claude.pending()) == 1


def test_a_single_request_can_expire(scripted: ScriptedClaude, client: anthropic.Anthropic) -> None:
    scripted.when(last_user_text_contains("slow")).expire()
    scripted.reply("x")

    made = client.messages.batches.create(requests=requests("slow", "quick"))

    results = kinds(iter(client.messages.batches.results(made.id)))
    assert results == {"slow": "expired", "quick": "succeeded"}


def test_a_request_of_its_own_cannot_expire(scripted: ScriptedClaude) -> None:
    scripted.expire()

    assert ask(scripted).status == 400
    assert "only a request of a batch can expire" in scripted.unscripted[0].reason


def test_a_cancelled_batch_plays_nothing(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply("never reached")

    made = client.messages.batches.create(requests=requests("a"))
    cancelled = client.messages.batches.cancel(made.id)
    results = kinds(iter(client.messages.batches.results(made.id)))

    assert cancelled.processing_status == "canceling"
    assert cancelled.cancel_initiated_at is not None
    assert results == {"a": "canceled"}
    assert scripted.requests == ()
    assert len(scripted.pending()) == 1


def test_what_a_batch_asks_and_the_script_has_not_is_noted(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.when(last_user_text_contains("known")).reply("x")

    made = client.messages.batches.create(requests=requests("known", "new"))
    results = kinds(iter(client.messages.batches.results(made.id)))

    assert results == {"known": "succeeded", "new": "errored"}
    (finding,) = scripted.unscripted
    assert str(finding).startswith("batch item 'new', claude-sonnet-5-5, turn 1")


def test_a_request_that_the_api_refuses_is_an_error_of_its_own(scripted: ScriptedClaude) -> None:
    scripted.reply("x")
    items = [
        {"custom_id": "bad", "params": body(max_tokens=0)},
        {"custom_id": "good", "params": body()},
    ]

    made = post(scripted, {"requests": items}, path=_PATH).body
    ended = send(scripted, "GET", f"{_PATH}/{made['id']}").body

    assert ended["request_counts"]["errored"] == ended["request_counts"]["succeeded"] == 1


def test_batches_are_listed_page_by_page_the_newest_first(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    made = [client.messages.batches.create(requests=requests("a")).id for _ in range(5)]

    page = client.messages.batches.list(limit=2)
    before = client.messages.batches.list(limit=2, before_id=made[0])

    assert [batch.id for batch in page.data] == [made[4], made[3]]
    assert [batch.id for batch in page] == made[::-1]
    assert [batch.id for batch in before.data] == [made[2], made[1]]
    assert all(batch.processing_status == "in_progress" for batch in page.data)


def test_a_batch_is_deleted_once_it_has_ended(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply("x")
    batches = client.messages.batches
    made = batches.create(requests=requests("a"))

    with pytest.raises(anthropic.BadRequestError, match="cannot be deleted while it is in_prog"):
        batches.delete(made.id)
    batches.retrieve(made.id)
    batches.delete(made.id)

    with pytest.raises(anthropic.NotFoundError):
        batches.retrieve(made.id)


def test_results_are_there_when_the_batch_has_ended(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.batch_pace(polls=None)
    made = client.messages.batches.create(requests=requests("a"))

    answered = send(scripted, "GET", f"{_PATH}/{made.id}/results")

    assert (answered.status, "has no results yet" in answered.problem) == (400, True)
    with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
        client.messages.batches.results(made.id)


def test_a_batch_that_has_ended_is_not_cancelled(
    scripted: ScriptedClaude, client: anthropic.Anthropic
) -> None:
    scripted.reply("x")
    made = client.messages.batches.create(requests=requests("a"))
    client.messages.batches.retrieve(made.id)

    with pytest.raises(anthropic.BadRequestError, match="has already ended"):
        client.messages.batches.cancel(made.id)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({}, "requests: Input should be a list", id="none"),
        pytest.param({"requests": []}, "at least one request", id="empty"),
        pytest.param({"requests": [7]}, "requests: Input should be a list", id="no-object"),
        pytest.param(
            {"requests": [{"params": {}}]}, "requests.0.custom_id: String should have", id="no-name"
        ),
        pytest.param(
            {"requests": [{"custom_id": "x" * 65, "params": {}}]}, "custom_id", id="long-name"
        ),
        pytest.param({"requests": [{"custom_id": "a"}]}, "0.params: Field required", id="params"),
        pytest.param(
            {"requests": [{"custom_id": "a", "params": {}}] * 2}, "more than once", id="twice"
        ),
    ],
)
def test_a_batch_that_the_api_refuses_is_refused(fields: JsonObject, problem: str) -> None:
    answered = post(ScriptedClaude(), fields, path=_PATH)

    assert answered.status == 400
    assert problem in answered.problem


async def slowly(request: ClaudeRequest) -> str:
    await asyncio.sleep(10)
    return request.text


@pytest.mark.virtual_time
async def test_a_poll_that_is_given_up_is_taken_up_by_the_next_one() -> None:
    claude = ScriptedClaude().answer(slowly)

    async with claude.client() as client:
        made = await client.messages.batches.create(requests=requests("a", "b"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(15):
                await client.messages.batches.retrieve(made.id)
        results = [each.custom_id async for each in await client.messages.batches.results(made.id)]

    assert results == ["a", "b"]


@pytest.mark.virtual_time
async def test_two_polls_at_once_play_a_batch_once() -> None:
    claude = ScriptedClaude().answer(slowly)

    async with claude.client() as client:
        made = await client.messages.batches.create(requests=requests("a"))
        first, second = await asyncio.gather(
            client.messages.batches.retrieve(made.id), client.messages.batches.retrieve(made.id)
        )

    assert {first.processing_status, second.processing_status} == {"ended", "in_progress"}
    assert len(claude.requests) == 1


def test_results_are_lines_of_json(scripted: ScriptedClaude) -> None:
    import httpx2

    scripted.reply("x", times=None)
    items = [{"custom_id": name, "params": body(name)} for name in "ab"]
    made = post(scripted, {"requests": items}, path=_PATH).body
    url = send(scripted, "GET", f"{_PATH}/{made['id']}").body["results_url"]

    with httpx2.Client(
        transport=scripted.sync_transport(), base_url="http://claude.invalid"
    ) as http:
        answer = http.get(url)

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-jsonl"
    assert [line["custom_id"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize("pace", [{"polls": 0}, {"after_s": -1}, {"after_s": float("nan")}])
def test_a_pace_that_is_none_is_refused(pace: dict[str, int]) -> None:
    with pytest.raises(ScriptError, match=r"polls is 1 or more|after_s is a number of seconds"):
        ScriptedClaude().batch_pace(**pace)
