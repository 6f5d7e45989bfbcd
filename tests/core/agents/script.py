"""A Claude that answers from a list, and a few words to write the list with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from pydantic import JsonValue

from mnemosyne_core.claude import Block, Prompt, Reply
from mnemosyne_core.work import Usage
from pytest_mnemosyne.wire import message_events

Answer = Reply | BaseException | Callable[[Prompt], Reply]


class ScriptedClient:
    """A `ClaudeClient` whose answers are written down beforehand."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.prompts: list[Prompt] = []
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def send(self, prompt: Prompt) -> Reply:
        self.prompts.append(prompt)
        await asyncio.sleep(0)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else answer(prompt)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        for event in events_of(await self.send(prompt)):
            yield event

    async def aclose(self) -> None:
        self.closed += 1


class HangingClient(ScriptedClient):
    """A Claude that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def send(self, prompt: Prompt) -> Reply:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


def reply(*blocks: Block, stop_reason: str = "end_turn", details: Block | None = None) -> Reply:
    return Reply(
        id="msg_1",
        model="claude-sonnet-5-5",
        content=blocks,
        stop_reason=stop_reason,
        stop_details=details,
        usage=Usage(input_tokens=10, output_tokens=3),
    )


def events_of(given: Reply) -> list[Block]:
    """The events that stream a reply."""
    message: Block = {
        "id": given.id,
        "type": "message",
        "role": "assistant",
        "model": given.model,
        "content": list(given.content),
        "stop_reason": given.stop_reason,
        "stop_details": given.stop_details,
        "usage": given.usage.model_dump(),
    }
    return list(message_events(message))


def said(words: str, stop_reason: str = "end_turn") -> Reply:
    return reply({"type": "text", "text": words}, stop_reason=stop_reason)


def use(name: str, call_id: str = "toolu_1", /, **arguments: JsonValue) -> Block:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def calling(*calls: Block) -> Reply:
    return reply(*calls, stop_reason="tool_use")


def results_in(prompt: Prompt) -> list[Block]:
    """The tool results in a prompt's last message."""
    content = prompt.messages[-1]["content"]
    assert isinstance(content, list)
    return [block for block in content if isinstance(block, dict)]


def result_text(prompt: Prompt) -> str:
    """The text of the only tool result in a prompt's last message."""
    (result,) = results_in(prompt)
    return str(result["content"])
