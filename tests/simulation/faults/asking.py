"""Asking Claude through a transport with faults, and what the caller sees of it."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import anthropic
import httpx2
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message

from pytest_mnemosyne.simulation.faults import (
    FaultPlan,
    FaultySyncTransport,
    FaultyTransport,
    RunningPlan,
)
from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.wire import JsonObject, encode, message_events, sse_of

PATIENCE = httpx2.Timeout(60.0, connect=5.0)
TEXT = "Paris is the capital of France, as far as anybody knows."

ANSWER: JsonObject = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 14},
}
"""Eight events when it is streamed; the text comes in the third, fourth and fifth."""

TOOL_CALL: JsonObject = ANSWER | {
    "content": [
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    ],
    "stop_reason": "tool_use",
}

QUESTION: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "The capital of France?"}],
}


class Claude:
    """Answers everything with one message, and counts how often it was asked."""

    def __init__(self, message: JsonObject = ANSWER) -> None:
        self.message = message
        self.asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if json.loads(request.content).get("stream"):
            return httpx2.Response(
                200,
                headers={"content-type": "text/event-stream"},
                content=encode(sse_of(event) for event in message_events(self.message)),
            )
        return httpx2.Response(200, json=self.message)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a caller of the SDK sees of one question."""

    outcome: str
    requests: int
    """HTTP requests that the client made."""

    asked: int
    """How often Claude was asked."""

    seconds: float

    unmet: bool
    """Whether the plan had something that never happened."""


@dataclass
class Counted:
    """A transport's method that counts its calls."""

    method: Callable[..., Any]
    calls: int = 0

    def __call__(self, request: httpx2.Request) -> Any:
        self.calls += 1
        return self.method(request)


def see(plan: FaultPlan, *, stream: bool, message: JsonObject = ANSWER) -> Seen:
    """Ask through the synchronous client; sleeping costs nothing and is added up."""
    claude, running, slept = Claude(message), RunningPlan(plan), [0.0]
    transport = FaultySyncTransport(httpx2.MockTransport(claude), running)
    counted = Counted(transport.handle_request)
    transport.handle_request = counted  # type: ignore[method-assign]
    with (
        mock.patch.object(time, "sleep", lambda s: slept.append(s)),
        _without_jitter(),
        httpx2.Client(transport=transport) as http,
    ):
        outcome = _outcome(Anthropic(api_key="k", http_client=http, timeout=PATIENCE), stream)
    return _seen(outcome, counted, claude, sum(slept), running)


def see_async(plan: FaultPlan, *, stream: bool, message: JsonObject = ANSWER) -> Seen:
    """Ask through the asynchronous client, on a loop of virtual time."""

    async def ask() -> Seen:
        claude, running = Claude(message), RunningPlan(plan)
        transport = FaultyTransport(httpx2.MockTransport(claude), running)
        counted = Counted(transport.handle_async_request)
        transport.handle_async_request = counted  # type: ignore[method-assign]
        async with httpx2.AsyncClient(transport=transport) as http:
            client = AsyncAnthropic(api_key="k", http_client=http, timeout=PATIENCE)
            client._platform = "Unknown"  # or else a thread finds it out
            with _without_jitter():
                outcome = await _outcome_async(client, stream)
        now_s = asyncio.get_running_loop().time()
        return _seen(outcome, counted, claude, now_s, running)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(ask())


def _without_jitter() -> Any:
    return mock.patch("anthropic._base_client.random", return_value=0.0)


def _seen(
    outcome: str, counted: Counted, claude: Claude, seconds: float, running: RunningPlan
) -> Seen:
    return Seen(
        outcome=outcome,
        requests=counted.calls,
        asked=claude.asked,
        seconds=round(seconds, 3),
        unmet=not running.strikes,
    )


def _outcome(client: Anthropic, stream: bool) -> str:
    so_far: list[Message] = []
    try:
        if not stream:
            return told(client.messages.create(**QUESTION))
        with client.messages.stream(**QUESTION) as events:
            for _ in events:
                so_far[:] = [copy.deepcopy(events.current_message_snapshot)]
            return told(events.get_final_message())
    except Exception as error:
        return failed(error, so_far)


async def _outcome_async(client: AsyncAnthropic, stream: bool) -> str:
    so_far: list[Message] = []
    try:
        if not stream:
            return told(await client.messages.create(**QUESTION))
        async with client.messages.stream(**QUESTION) as events:
            async for _ in events:
                so_far[:] = [copy.deepcopy(events.current_message_snapshot)]
            return told(await events.get_final_message())
    except Exception as error:
        return failed(error, so_far)


def told(message: Message) -> str:
    """A message in the words of the table."""
    stop = f"`{message.stop_reason}`"
    match message.content:
        case []:
            return f"{stop}, no content"
        case [block] if block.type == "text" and block.text == TEXT:
            return "the answer" if message.stop_reason == "end_turn" else f"{stop}, the whole text"
        case [block] if block.type == "text":
            return f"{stop}, {len(block.text)} of {len(TEXT)} characters"
        case [block] if block.type == "tool_use":
            return f"{stop}, input `{block.input}`"
        case other:
            raise AssertionError(f"no words for {other}")


def failed(error: Exception, so_far: list[Message]) -> str:
    """An exception in the words of the table."""
    words = f"`{_class(error)}`"
    if isinstance(error, anthropic.APIStatusError) and error.status_code == 200:
        words += f" ({error.type}, status 200)"
    if error.__cause__ is not None:
        words += f" from `{_class(error.__cause__)}`"
    if so_far and so_far[0].content and so_far[0].content[0].type == "text":
        words += f" after {len(so_far[0].content[0].text)} characters"
    return words


def _class(error: BaseException) -> str:
    module = type(error).__module__.partition(".")[0]
    return type(error).__name__ if module == "builtins" else f"{module}.{type(error).__name__}"
