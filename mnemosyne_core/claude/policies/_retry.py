"""Retry: a call that failed for a passing reason is made again, if somebody has earned it.

=====================================  ===============================================
what failed                            made again
=====================================  ===============================================
408, 409, 429, 500 and above           yes, unless the API says no (`x-should-retry`)
anything the API says yes to           yes
no connection, or lost before answer   yes
a stream, before its first content     yes
a stream, after content                no: it was read, and is paid for
an answer that makes no sense          no: it is paid for
refused by a policy further in         no: the refusal says when to ask again
=====================================  ===============================================

`stamina` and `tenacity` measure their bounds on the machine's clock, draw jitter from
the global random numbers, know no shared budget and cannot look into a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random

from mnemosyne_core.claude._passing import is_passing
from mnemosyne_core.claude._values import Block, ClaudeClient, Prompt, Reply
from mnemosyne_core.claude.policies._policy import Policy, Told
from mnemosyne_core.claude.policies._settings import RetrySettings
from mnemosyne_core.errors import ClaudeError, ClaudeStatusError, ClaudeStreamError
from mnemosyne_core.events import ClaudeRetried, ClaudeRetryRefused
from mnemosyne_core.work import Failure

_CONTENT = frozenset({"content_block_start", "content_block_delta"})


class Retry(Policy):
    """Makes calls again, within the bounds of each and of all together."""

    def __init__(
        self, inner: ClaudeClient, settings: RetrySettings, *, told: Told, random: Random
    ) -> None:
        """Repeat the calls of `inner`, which must not do so by itself."""
        super().__init__(inner)
        self._settings = settings
        self._told = told
        self._random = random
        self._budget = RetryBudget(ratio=settings.budget_ratio, most=settings.budget_max)

    async def send(self, prompt: Prompt) -> Reply:
        """The answer, or the last error."""
        self._budget.earn()
        retries = 0
        while True:
            try:
                return await self._inner.send(prompt)
            except ClaudeError as error:
                if isinstance(error, ClaudeStreamError) or not _is_worth_it(error):
                    raise
                retries += 1
                if (wait_s := self._wait_s(retries, error)) is None:
                    raise
            await asyncio.sleep(wait_s)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """The answer's events; what comes before the first content is held back until then."""
        self._budget.earn()
        retries = 0
        while True:
            held: list[Block] = []
            has_content = False
            try:
                async with aclosing(self._inner.stream(prompt)) as events:
                    async for event in events:
                        has_content = has_content or event.get("type") in _CONTENT
                        held.append(event)
                        if has_content:
                            for ready in held:
                                yield ready
                            held.clear()
                break
            except ClaudeError as error:
                wait_s = None
                if not has_content and _is_worth_it(error):
                    retries += 1
                    wait_s = self._wait_s(retries, error)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)
        for event in held:
            yield event

    def _wait_s(self, retry: int, error: ClaudeError) -> float | None:
        """How long to wait before the `retry`-th retry; `None`: it is not made."""
        asked_s = error.retry_after_s if isinstance(error, ClaudeStatusError) else None
        reason = self._reason_against(retry, asked_s)
        if reason is not None:
            self._told(ClaudeRetryRefused(reason=reason, error=Failure.of(error)))
            return None
        wait_s = self._pause_s(retry)
        if asked_s is not None:
            wait_s = max(asked_s, wait_s)
        self._told(ClaudeRetried(retry=retry, wait_s=wait_s, error=Failure.of(error)))
        return wait_s

    def _reason_against(self, retry: int, asked_s: float | None) -> str | None:
        """Why a retry is not made; `None`: it is, and has been taken from the budget."""
        most, longest_s = self._settings.max_retries, self._settings.max_retry_after_s
        if retry > most:
            return f"it was made again {most} times"
        if asked_s is not None and asked_s > longest_s:
            return f"Claude asks to wait {asked_s:g} s, and {longest_s:g} s is the most"
        if not self._budget.spend():
            return "so many calls are made again that none is left for this one"
        return None

    def _pause_s(self, retry: int) -> float:
        settings = self._settings
        # The power of a high retry is no float any more.
        doubled = 2.0 ** min(retry - 1, 64)
        longest_s = min(settings.max_wait_s, settings.first_wait_s * doubled)
        return longest_s * (1 - settings.jitter * self._random.random())


class RetryBudget:
    """What the retries of all calls share: every call earns a part of one."""

    def __init__(self, *, ratio: float, most: int) -> None:
        """Begin with `most` retries, and never keep more."""
        self._ratio = ratio
        self._most = float(most)
        self._left = float(most)

    def earn(self) -> None:
        """Count a call."""
        self._left = min(self._most, self._left + self._ratio)

    def spend(self) -> bool:
        """Take one retry; says whether there was one."""
        # A sum of parts such as five times 0.2 may be a hair below the whole.
        if self._left < 1 - 1e-9:
            return False
        self._left = max(0.0, self._left - 1)
        return True


def _is_worth_it(error: ClaudeError) -> bool:
    if isinstance(error, ClaudeStatusError) and error.should_retry is not None:
        return error.should_retry
    return is_passing(error)
