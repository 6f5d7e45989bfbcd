"""A miss in process: at once, once, named, and absorbed by nothing that is an `except`."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import anthropic
import httpx2
import pytest

from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteMissError,
    Door,
    Interaction,
    Miss,
    RecordMode,
    Request,
    Response,
    Source,
    write,
)

MODEL = "claude-sonnet-5-5"
COMMAND = "pytest tests/test_x.py::test_y --mnemosyne-mode=record"


def recorded(text: str, lane: Lane | None = None) -> Interaction:
    body = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": text}]}
    return Interaction(
        request=Request(method="POST", url="/v1/messages", body=json.dumps(body).encode()),
        response=Response(status=200, headers=(("content-type", "application/json"),), body=b"{}"),
        lane=lane,
    )


@pytest.fixture
def told() -> list[Miss]:
    return []


@pytest.fixture
def cassette(tmp_path: Path, told: list[Miss]) -> Cassette:
    path = tmp_path / "calls.yaml"
    path.touch()
    file = CassetteFile(interactions=(recorded("Write a function", Lane("executor")),))
    return Cassette(
        path,
        mode=RecordMode.REPLAY,
        loader=lambda _: file,
        on_miss=told.append,
        command=lambda _: COMMAND,
    )


@pytest.fixture(autouse=True)
def played(door: Callable[..., Door], cassette: Cassette) -> Iterator[None]:
    with door(RecordMode.REPLAY).playing(cassette):
        yield


def sync_client() -> anthropic.Anthropic:
    http = httpx2.Client(transport=httpx2.HTTPTransport(verify=False))
    return anthropic.Anthropic(api_key="sk-test", http_client=http)


async def ask(text: str) -> object:
    http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False))
    # With the SDK's own retries: a miss must not reach them.
    async with anthropic.AsyncAnthropic(api_key="sk-test", http_client=http) as client:
        return await client.messages.create(
            model=MODEL, max_tokens=8, messages=[{"role": "user", "content": text}]
        )


async def test_a_changed_prompt_is_refused_after_one_try(cassette: Cassette) -> None:
    with entered(Lane("executor")), pytest.raises(CassetteMissError):
        await ask("Write a class")

    assert [(turn.tries, turn.source, turn.fault) for turn in cassette.turns] == [
        (1, Source.MISSED, "missed")
    ]


async def test_its_first_lines_say_who_what_why_and_how_to_record(cassette: Cassette) -> None:
    with entered(Lane("executor")), pytest.raises(CassetteMissError) as raised:
        await ask("Write a class")

    changed = 'only messages[0] (user) differs from interaction 1: "Write a [-function-]{+class+}"'
    assert str(raised.value).splitlines()[:5] == [
        "Claude was asked something that the cassette has no answer for",
        "  agent:   executor, attempt 1",
        f"  call:    POST /v1/messages ({MODEL}, 1 message)",
        f"  why:     {changed}",
        f"  record:  {COMMAND}",
    ]


async def test_except_exception_does_not_see_it(told: list[Miss]) -> None:
    async def stubborn() -> str:
        try:
            await ask("Write a class")
        except Exception:
            return "carried on"
        return "answered"

    with entered(Lane("executor")), pytest.raises(CassetteMissError):
        await stubborn()
    assert len(told) == 1


async def test_it_is_noted_and_told_before_it_is_raised(
    cassette: Cassette, told: list[Miss]
) -> None:
    with entered(Lane("executor")):
        (outcome,) = await asyncio.gather(ask("Write a class"), return_exceptions=True)

    assert isinstance(outcome, CassetteMissError)
    assert [outcome.miss] == cassette.misses == told


def test_a_client_in_a_thread_is_told_on(cassette: Cassette, told: list[Miss]) -> None:
    def work() -> None:
        with entered(Lane("executor")), suppress(BaseException), sync_client() as client:
            client.messages.create(
                model=MODEL, max_tokens=8, messages=[{"role": "user", "content": "Write a class"}]
            )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert [miss.agent for miss in told] == ["executor, attempt 1"]
    assert cassette.misses == told


@pytest.mark.parametrize(
    "lane",
    [
        pytest.param(Lane("executor", 2), id="another-attempt"),
        pytest.param(Lane("reviewer"), id="another-agent"),
        pytest.param(None, id="outside-any-agent"),
    ],
)
async def test_an_answer_of_another_lane_is_not_taken(lane: Lane | None, told: list[Miss]) -> None:
    with nullcontext() if lane is None else entered(lane), pytest.raises(CassetteMissError):
        await ask("Write a function")

    assert told[0].words == "it is recorded, but for executor, attempt 1"


async def test_a_second_call_beyond_the_recorded_one_says_that_it_was_played(
    told: list[Miss],
) -> None:
    with entered(Lane("executor")):
        await ask("Write a function")
        with pytest.raises(CassetteMissError):
            await ask("Write a function")

    assert told[0].words == ("the one answer recorded for exactly this request was already played")


async def test_without_a_file_the_miss_says_so(door: Callable[..., Door], tmp_path: Path) -> None:
    absent = Cassette(tmp_path / "absent.yaml", mode=RecordMode.REPLAY)
    with door(RecordMode.REPLAY).playing(absent), pytest.raises(CassetteMissError) as raised:
        await ask("anything")

    assert raised.value.miss.words == "there is no cassette yet"
    assert raised.value.miss.nearest is None


async def test_a_prompt_with_a_key_in_it_plays_although_the_file_does_not_hold_the_key(
    door: Callable[..., Door], tmp_path: Path
) -> None:
    prompt = "Use sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789 for the call"
    path = tmp_path / "secret.yaml"
    assert write(path, CassetteFile(interactions=(recorded(prompt),)))
    assert "sk-ant-api03" not in path.read_text()

    cassette = Cassette(path, mode=RecordMode.REPLAY)
    with door(RecordMode.REPLAY).playing(cassette):
        await ask(prompt)
        with pytest.raises(CassetteMissError) as raised:
            await ask(f"{prompt} now")

    assert "sk-ant-api03" not in str(raised.value)


async def test_the_error_crosses_a_process_boundary_with_its_facts() -> None:
    with entered(Lane("executor")), pytest.raises(CassetteMissError) as raised:
        await ask("Write a class")

    copied = pickle.loads(pickle.dumps(raised.value))
    assert str(copied) == str(raised.value)
    assert copied.miss == raised.value.miss


def test_a_client_that_reads_on_is_told_to_record_anew_whatever_its_test_is_called() -> None:
    test = "pytest 'test_x.py::test_y[by=record]'"
    cassette = Cassette(
        None, mode=RecordMode.REPLAY, command=lambda _: f"{test} --mnemosyne-mode=record"
    )

    error = cassette.overrun(Request(method="POST", url="/v1/messages"), None)

    assert error.miss.command == f"{test} --mnemosyne-mode=rerecord"
