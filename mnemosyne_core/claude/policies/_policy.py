"""What all policies have in common: a client inside, and somebody to tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from pydantic import JsonValue

from mnemosyne_core import lane
from mnemosyne_core.claude._collect import counts_after
from mnemosyne_core.claude._reply import usage_of
from mnemosyne_core.claude._values import Block, ClaudeClient, Prompt, Reply
from mnemosyne_core.errors import ClaudeStreamError
from mnemosyne_core.events import Fact, Recorder
from mnemosyne_core.work import Usage

NOBODY = "claude"
"""Path in events of a call that no agent makes."""


class Told:
    """Records facts about the call under way, for the agent that makes it."""

    def __init__(self, recorder: Recorder) -> None:
        """Record with `recorder`."""
        self._recorder = recorder

    def __call__(self, fact: Fact) -> None:
        """Record `fact` in the lane of the running code."""
        place = lane.current.get() or lane.Lane(NOBODY)
        self._recorder.record(fact, agent=place.agent, attempt=place.attempt)


class Policy(ABC):
    """A client that makes its calls through another one, on some condition."""

    def __init__(self, inner: ClaudeClient) -> None:
        """Stand in front of `inner`, and close it in the end."""
        self._inner = inner

    async def open(self) -> None:
        """Get the inner client ready."""
        await self._inner.open()

    @abstractmethod
    async def send(self, prompt: Prompt) -> Reply:
        """As the inner client does, on the policy's condition."""

    @abstractmethod
    def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """As the inner client does, on the policy's condition."""

    async def aclose(self) -> None:
        """Close the inner client."""
        await self._inner.aclose()


class Visit(Protocol):
    """One call that a policy has let in."""

    def answered(self) -> None:
        """Claude has begun to answer; not said of a call that fails before that."""
        ...

    def leave(self, usage: Usage, error: BaseException | None, /) -> None:
        """The call is over; said exactly once.

        Args:
            usage: What it used, as far as anybody knows; for a stream that broke, what
                had been counted by then.
            error: What it ended with: a `ClaudeError`, a cancellation, an `Abort`, or
                `GeneratorExit` for a stream that nobody wanted any more.
        """
        ...


class Gatekeeper(Policy):
    """A policy that decides before a call, and learns from how it ended."""

    @abstractmethod
    async def _enter(self, prompt: Prompt, /) -> Visit:
        """Let a call in, perhaps after a wait; raises a `ClaudeError` to refuse it."""

    async def send(self, prompt: Prompt) -> Reply:
        """Ask, once the call is let in."""
        visit = await self._enter(prompt)
        try:
            reply = await self._inner.send(prompt)
            visit.answered()
        except BaseException as error:
            visit.leave(Usage(), error)
            raise
        visit.leave(reply.usage, None)
        return reply

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """Ask, once the call is let in; it is over when the stream is."""
        visit = await self._enter(prompt)
        counts: JsonValue = None
        has_begun = False
        try:
            async with aclosing(self._inner.stream(prompt)) as events:
                async for event in events:
                    counts = counts_after(counts, event)
                    if not has_begun:
                        visit.answered()
                        has_begun = True
                    yield event
        except BaseException as error:
            visit.leave(_counted(counts), error)
            raise
        visit.leave(_counted(counts), None)


def _counted(counts: JsonValue) -> Usage:
    try:
        return usage_of(counts)
    except ClaudeStreamError:
        return Usage()
