"""Deadline: a bound on a whole call, with all that the other policies do for it.

A call whose time is up is cancelled, and to the policies further in that looks like the
caller's own cancellation. Which of the two it is they can ask (`is_past_deadline`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar

from mnemosyne_core.claude._values import Block, ClaudeClient, Prompt, Reply
from mnemosyne_core.claude.policies._policy import Policy, Told
from mnemosyne_core.claude.policies._settings import DeadlineSettings
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import ClaudeDeadlineError
from mnemosyne_core.events import ClaudeDeadlineExceeded

_bound: ContextVar[asyncio.Timeout | None] = ContextVar("mnemosyne_claude_deadline", default=None)
"""The time of the call that the running code makes, or of the step of a stream."""


def is_past_deadline() -> bool:
    """Whether the time is up of the call that the running code makes."""
    bound = _bound.get()
    return bound is not None and bound.expired()


class Deadline(Policy):
    """Abandons calls that take too long.

    A stream's time goes on while its reader does something else: it is the answer that has
    to be complete in time.
    """

    def __init__(
        self, inner: ClaudeClient, settings: DeadlineSettings, *, told: Told, clock: Clock
    ) -> None:
        """Bound the calls of `inner`."""
        super().__init__(inner)
        self._call_s = settings.call_s
        self._told = told
        self._clock = clock

    async def send(self, prompt: Prompt) -> Reply:
        """The answer, in time.

        Raises:
            ClaudeDeadlineError: It did not come in time.
        """
        async with self._bounded(self._call_s):
            return await self._inner.send(prompt)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """The answer's events, as long as they come in time.

        Raises:
            ClaudeDeadlineError: The stream did not end in time.
        """
        ends_s = self._clock.monotonic() + self._call_s
        async with aclosing(self._inner.stream(prompt)) as events:
            while True:
                # Bounded step by step: a bound around the `yield` would cancel the reader.
                left_s = ends_s - self._clock.monotonic()
                if left_s <= 0:
                    # Claude is not to blame for what the reader has taken.
                    raise self._late()
                async with self._bounded(left_s):
                    event = await anext(events, None)
                if event is None:
                    return
                yield event

    @asynccontextmanager
    async def _bounded(self, left_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(left_s) as bound:
                token = _bound.set(bound)
                try:
                    yield
                finally:
                    _bound.reset(token)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise self._late() from error

    def _late(self) -> ClaudeDeadlineError:
        self._told(ClaudeDeadlineExceeded(deadline_s=self._call_s))
        return ClaudeDeadlineError(deadline_s=self._call_s)
