"""The desk where the requests of an agent's process are put to Claude.

The process has no key, no policies and no door to a cassette; all of these are here. Each
of its requests is a task in the lane of the agent and its attempt, and in the context of
whoever gave it the work. So it cannot be told from a request of an agent that lives here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from mnemosyne_core import lane
from mnemosyne_core.bridge._crossing import ErrorData
from mnemosyne_core.bridge._holding import Standstill
from mnemosyne_core.bridge._messages import (
    Answered,
    Ask,
    Asked,
    Message,
    Refused,
    StreamEnded,
    StreamEvent,
)
from mnemosyne_core.claude import AnthropicClient, ClaudeClient, Prompt, Reply
from mnemosyne_core.errors import Abort, EnvelopeError
from mnemosyne_core.work import problems_of

WINDOW: Final = 16
"""How many events of a stream may be under way to the process."""

PROMPT: Final = TypeAdapter(Prompt)
REPLY: Final = TypeAdapter(Reply)

Send = Callable[[Message, bytes], None]
OnAbort = Callable[[int | None, Abort], None]
"""Called with the number of the work that asked, and what the asking ended with."""


@dataclass(slots=True, kw_only=True)
class Errand:
    """On whose behalf the process asks: a piece of work, or its start."""

    seq: int | None
    standstill: Standstill
    """Interrupted while it is Claude that is waited for, not the process."""

    context: Context = field(default_factory=copy_context)


@dataclass(slots=True)
class _Request:
    task: asyncio.Task[None]
    seq: int | None
    room: asyncio.Semaphore


class ClaudeDesk:
    """Puts the requests of one process to Claude."""

    def __init__(
        self, path: str, client: ClaudeClient | None, *, send: Send, on_abort: OnAbort
    ) -> None:
        """A desk without requests.

        Args:
            path: The agent's path.
            client: Claude; absent: the SDK with the environment's key, opened at the first
                request and closed with the desk.
            send: Sends an answer to the process.
            on_abort: Hears of an `Abort`.
        """
        self._path = path
        self._is_ours = client is None
        self._client = client
        self._send = send
        self._on_abort = on_abort
        self._requests: dict[int, _Request] = {}

    def ask(self, ask: Ask, body: bytes, errand: Errand) -> None:
        """Put a request, in a task of its own."""
        room = asyncio.Semaphore(WINDOW)
        task = asyncio.get_running_loop().create_task(
            self._serve(ask, body, errand, room),
            name=f"{self._path}: request {ask.ask} to Claude",
            context=errand.context.copy(),
        )
        self._requests[ask.ask] = _Request(task, errand.seq, room)
        task.add_done_callback(lambda _: self._requests.pop(ask.ask, None))

    def make_room(self, number: int, count: int) -> None:
        """The process has used events of a stream."""
        request = self._requests.get(number)
        if request is not None:
            for _ in range(min(count, WINDOW)):
                request.room.release()

    def abandon(self, number: int) -> None:
        """The process does not want the answer any more."""
        request = self._requests.get(number)
        if request is not None:
            request.task.cancel()

    def abandon_work(self, seq: int) -> None:
        """Nobody wants the answers any more that belong to a piece of work."""
        for request in tuple(self._requests.values()):
            if request.seq == seq:
                request.task.cancel()

    async def close(self, within_s: float) -> bool:
        """Abandon everything and close the client, if it is ours; whether all has ended."""
        tasks = [request.task for request in self._requests.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        client, self._client = self._client, None
        if self._is_ours and client is not None:
            await client.aclose()
        return all(task.done() for task in tasks)

    # --- one request -------------------------------------------------------------------

    async def _serve(self, ask: Ask, body: bytes, errand: Errand, room: asyncio.Semaphore) -> None:
        with lane.entered(lane.Lane(self._path, ask.attempt)):
            try:
                if self._client is None:
                    self._client = AnthropicClient()
                match ask.what:
                    case Asked.OPEN:
                        with errand.standstill.interrupted():
                            await self._client.open()
                        self._send(Answered(ask=ask.ask), b"")
                    case Asked.SEND:
                        with errand.standstill.interrupted():
                            reply = await self._client.send(_prompt(body))
                        self._send(Answered(ask=ask.ask), REPLY.dump_json(reply))
                    case Asked.STREAM:
                        await self._stream(self._client, ask.ask, _prompt(body), errand, room)
            except Abort as error:
                self._on_abort(errand.seq, error)
                self._refuse(ask, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the process gets to hear it
                self._refuse(ask, error)

    async def _stream(
        self,
        client: ClaudeClient,
        number: int,
        prompt: Prompt,
        errand: Errand,
        room: asyncio.Semaphore,
    ) -> None:
        async with aclosing(client.stream(prompt)) as events:
            while True:
                # The time of Claude is ours; the time that the process needs is its own.
                with errand.standstill.interrupted():
                    event = await anext(events, None)
                if event is None:
                    break
                await room.acquire()
                self._send(StreamEvent(ask=number), to_json(event))
        self._send(StreamEnded(ask=number), b"")

    def _refuse(self, ask: Ask, error: BaseException) -> None:
        self._send(Refused(ask=ask.ask, error=ErrorData.of(error)), b"")


def _prompt(body: bytes) -> Prompt:
    try:
        return PROMPT.validate_json(body)
    except ValidationError as error:
        raise EnvelopeError(problems=problems_of(error)) from error
