"""A Claude that takes its time and fails as it is told, and what calls of it come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from mnemosyne_core.claude import Block, ClaudeClient, Prompt, Reply, collect
from mnemosyne_core.errors import ClaudeConnectionError, ClaudeStatusError
from mnemosyne_core.work import Usage
from tests.core.agents.script import events_of, said

MODEL = "claude-sonnet-5-5"
HELLO = said("Hello.")
LOST = ClaudeConnectionError(reason="connection reset")


def prompt(text: str = "Hello", *, model: str = MODEL, max_tokens: int = 10) -> Prompt:
    message: Block = {"role": "user", "content": text}
    return Prompt(model=model, max_tokens=max_tokens, messages=(message,))


def status(
    code: int, error_type: str = "api_error", *, retry_after_s: float | None = None
) -> ClaudeStatusError:
    return ClaudeStatusError(
        status=code, error_type=error_type, message="because", retry_after_s=retry_after_s
    )


def used(input_tokens: int, output_tokens: int = 0) -> Reply:
    """A reply that has used so much."""
    return Reply(
        id="msg_1",
        model=MODEL,
        content=({"type": "text", "text": "Hello."},),
        stop_reason="end_turn",
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
    )


@dataclass(frozen=True)
class Broken:
    """A stream that breaks after some of its events."""

    after: int
    error: BaseException
    reply: Reply = HELLO


Answer = Reply | BaseException | Broken


class FakeClaude:
    """Answers from a list, again and again with the last of it."""

    def __init__(self, *answers: Answer, took_s: float = 0.0, step_s: float = 0.0) -> None:
        """Begin to answer after `took_s`; each event of a stream takes `step_s`."""
        self._answers = list(answers) or [HELLO]
        self.took_s = took_s
        self._step_s = step_s
        self.prompts: list[Prompt] = []
        self.asked_at: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.abandoned = 0
        self.opened = 0
        self.closed = 0

    def answer_from_now_on(self, *answers: Answer) -> None:
        self._answers = list(answers)

    async def open(self) -> None:
        self.opened += 1

    async def send(self, prompt: Prompt) -> Reply:
        answer = self._begin(prompt)
        try:
            await asyncio.sleep(self.took_s)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.at_once -= 1
        if isinstance(answer, Broken):
            raise answer.error
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        answer = self._begin(prompt)
        try:
            await asyncio.sleep(self.took_s)
            if isinstance(answer, BaseException):
                raise answer
            reply = answer.reply if isinstance(answer, Broken) else answer
            given = answer.after if isinstance(answer, Broken) else None
            for event in events_of(reply)[:given]:
                await asyncio.sleep(self._step_s)
                yield event
            if isinstance(answer, Broken):
                raise answer.error
        except (asyncio.CancelledError, GeneratorExit):
            self.abandoned += 1
            raise
        finally:
            self.at_once -= 1

    async def aclose(self) -> None:
        self.closed += 1

    def _begin(self, prompt: Prompt) -> Answer:
        self.prompts.append(prompt)
        self.asked_at.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def streamed(client: ClaudeClient, asked: Prompt) -> Reply:
    async with aclosing(client.stream(asked)) as events:
        return await collect(events)


async def call(client: ClaudeClient, asked: Prompt, *, stream: bool) -> Reply:
    return await (streamed(client, asked) if stream else client.send(asked))


async def all_of(client: ClaudeClient, prompts: Sequence[Prompt]) -> list[Reply | BaseException]:
    """What calls made at the same time come to."""
    return await asyncio.gather(*map(client.send, prompts), return_exceptions=True)
