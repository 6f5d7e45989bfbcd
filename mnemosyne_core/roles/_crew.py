"""Which of several equal agents takes which item: first come, first served.

Agents are numbers here. Number 0 is there from the beginning; the others are started
when they are needed and kept. Each works on one item at a time.

================================  =====================================================
an item comes, and                then it
================================  =====================================================
an agent is free                  goes to it, to the one with the lowest number
all are at work                   waits, and another agent is started, if there may be
                                  one; it goes to whoever is free first
an agent refuses it               goes to another one, before items that came later
one refuses, others are at work   waits for those; nobody is started, for whatever the
                                  one lacks another would lack as well
all refuse                        is refused
================================  =====================================================

An agent that refuses is not asked again before something has changed (`look_again`). An
agent that could not be started is tried again for the next item.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mnemosyne_core.errors import AgentUnavailableError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An item without an agent."""

    agent: asyncio.Future[int]
    by: int | None
    """Sequence number of the event that led to it."""


class Crew:
    """Agents, who of them is free, and the items that wait for one."""

    def __init__(self, size: int, *, start: Callable[[int, int | None], None]) -> None:
        """A crew of which the agent 0 is there.

        Args:
            size: How many agents there may be, 1 or more.
            start: Begins to start the agent of a number, because of an event; the answer
                is `came` or `stayed_away`.
        """
        self._start = start
        self._absent = set(range(1, size))
        self._starting: set[int] = set()
        self._free = {0}
        self._at_work: set[int] = set()
        self._stayed_away: set[int] = set()
        """Those that could not be started, since the last item came."""
        self._refusals: dict[int, AgentUnavailableError] = {}
        self._tickets = itertools.count()
        self._waiting: dict[int, _Waiting] = {}
        """By ticket; the lowest came first."""

    async def employ(self, work: Callable[[int], Awaitable[T]], *, by: int | None) -> T:
        """Have an agent do `work`, which is called with its number, once one is free.

        Args:
            work: Does it; an `AgentUnavailableError` means that nothing was done, and that
                another agent may do it.
            by: Sequence number of the event that led to it.

        Raises:
            AgentUnavailableError: All agents refuse.
        """
        ticket = next(self._tickets)
        self._stayed_away.clear()
        while True:
            number = await self._take(ticket, by)
            try:
                return await work(number)
            except AgentUnavailableError as error:
                self._refusals[number] = error
            finally:
                self._give_back(number)

    def came(self, number: int) -> None:
        """An agent has started."""
        self._starting.remove(number)
        self._free.add(number)
        self._assign()

    def stayed_away(self, number: int) -> None:
        """An agent could not be started."""
        self._starting.remove(number)
        self._absent.add(number)
        self._stayed_away.add(number)
        self._assign()

    def look_again(self) -> None:
        """Something has changed about an agent: those that refused may not do so any more."""
        self._refusals.clear()
        self._assign()

    async def _take(self, ticket: int, by: int | None) -> int:
        agent: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = _Waiting(agent, by)
        self._assign()
        try:
            if not agent.done():
                # Nobody but the crew ends this future: it is not cancelled with its item.
                await asyncio.wait((agent,))
        except asyncio.CancelledError:
            self._waiting.pop(ticket, None)
            if agent.done() and agent.exception() is None:
                # Both came in one moment: an agent for the item, and the end of it.
                self._give_back(agent.result())
            raise
        return agent.result()

    def _give_back(self, number: int) -> None:
        self._at_work.remove(number)
        self._free.add(number)
        self._assign()

    def _assign(self) -> None:
        """Give out whoever is free, start who is needed, and refuse where nobody will come."""
        able = sorted(self._free - self._refusals.keys())
        for number, ticket in zip(able, sorted(self._waiting), strict=False):
            self._free.remove(number)
            self._at_work.add(number)
            self._waiting.pop(ticket).agent.set_result(number)
        if not self._refusals:
            self._start_more()
        if not self._at_work and not self._starting:
            while self._waiting:
                self._waiting.popitem()[1].agent.set_exception(self._refusal())

    def _start_more(self) -> None:
        needed = sorted(self._waiting)[len(self._starting) :]
        possible = sorted(self._absent - self._stayed_away)
        for number, ticket in zip(possible, needed, strict=False):
            self._absent.remove(number)
            self._starting.add(number)
            self._start(number, self._waiting[ticket].by)

    def _refusal(self) -> AgentUnavailableError:
        """What the first agent says, as an error of its own for each that hears it."""
        said = self._refusals[min(self._refusals)]
        return AgentUnavailableError(role=said.role, reason=said.reason, hint=said.hint)
