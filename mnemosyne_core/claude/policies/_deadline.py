"""Deadline: a bound on a whole call, with all that the other policies do for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from mnemosyne_core.claude._values import Block, ClaudeClient, Prompt, Reply
from mnemosyne_core.claude.policies._policy import Policy, Told
from mnemosyne_core.claude.policies._settings import DeadlineSettings
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import ClaudeDeadlineError
from mnemosyne_core.events import ClaudeDeadlineExceeded


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
        try:
            async with asyncio.timeout(self._call_s) as bound:
                return await self._inner.send(prompt)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise self._late() from error

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """The answer's events, as long as they come in time.

        Raises:
            ClaudeDeadlineError: The stream did not end in time.
        """
        ends_s = self._clock.monotonic() + self._call_s
        async with aclosing(self._inner.stream(prompt)) as events:
            while True:
                # Bounded step by step: a bound around the `yield` would cancel the reader.
                try:
                    async with asyncio.timeout(ends_s - self._clock.monotonic()) as bound:
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    if not bound.expired():
                        raise
                    raise self._late() from error
                yield event

    def _late(self) -> ClaudeDeadlineError:
        self._told(ClaudeDeadlineExceeded(deadline_s=self._call_s))
        return ClaudeDeadlineError(deadline_s=self._call_s)
