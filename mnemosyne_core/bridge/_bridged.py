"""Claude as an agent in another process sees it: every request crosses the bridge."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from typing import Final, cast

from pydantic_core import from_json

from mnemosyne_core import lane
from mnemosyne_core.bridge._desk import PROMPT, REPLY, WINDOW
from mnemosyne_core.bridge._messages import (
    Abandon,
    Answered,
    Ask,
    Asked,
    Message,
    More,
    Refused,
    StreamEnded,
    StreamEvent,
)
from mnemosyne_core.claude import Block, Prompt, Reply

current_work: ContextVar[int | None] = ContextVar("mnemosyne_current_work", default=None)
"""Number of the work that the running code belongs to."""

_HALF: Final = WINDOW // 2

Send = Callable[[Message, bytes], None]
Arrived = Answered | StreamEvent | StreamEnded | Refused


class BridgedClaude:
    """A `ClaudeClient` that has its requests put by the other end of the bridge."""

    def __init__(self, send: Send) -> None:
        """A client without requests.

        Args:
            send: Sends a message to the other end.
        """
        self._send = send
        self._numbers = itertools.count(1)
        self._arrived: dict[int, asyncio.Queue[tuple[Arrived, bytes]]] = {}

    def on_message(self, message: Arrived, body: bytes) -> None:
        """Take what has come for one of the requests."""
        waiting = self._arrived.get(message.ask)
        if waiting is not None:
            waiting.put_nowait((message, body))

    async def open(self) -> None:
        """Have the other end get ready; raises what that raises."""
        await self._answer(Asked.OPEN, b"")

    async def send(self, prompt: Prompt) -> Reply:
        """Claude's complete answer; raises what the other end's client raises."""
        return REPLY.validate_json(await self._answer(Asked.SEND, PROMPT.dump_json(prompt)))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """The answer's events as they come; raises what the other end's client raises."""
        number = self._ask(Asked.STREAM, PROMPT.dump_json(prompt))
        used = 0
        ended = False
        try:
            while True:
                message, body = await self._arrived[number].get()
                ended = not isinstance(message, StreamEvent)
                if ended:
                    _raise_refusal(message)
                    return
                yield cast("Block", from_json(body))
                used += 1
                if used == _HALF:
                    self._send(More(ask=number, count=used), b"")
                    used = 0
        finally:
            self._end(number, abandoned=not ended)

    async def aclose(self) -> None:
        """Nothing is held here."""

    async def _answer(self, what: Asked, body: bytes) -> bytes:
        number = self._ask(what, body)
        answered = False
        try:
            message, answer = await self._arrived[number].get()
            answered = True
        finally:
            self._end(number, abandoned=not answered)
        _raise_refusal(message)
        return answer

    def _ask(self, what: Asked, body: bytes) -> int:
        number = next(self._numbers)
        here = lane.current.get()
        ask = Ask(
            ask=number,
            what=what,
            seq=current_work.get(),
            attempt=1 if here is None else here.attempt,
        )
        self._arrived[number] = asyncio.Queue()
        try:
            self._send(ask, body)
        except BaseException:
            del self._arrived[number]
            raise
        return number

    def _end(self, number: int, *, abandoned: bool) -> None:
        del self._arrived[number]
        if abandoned:
            self._send(Abandon(ask=number), b"")


def _raise_refusal(message: Arrived) -> None:
    if isinstance(message, Refused):
        raise message.error.to_exception()
