"""Where and when a fault strikes.

What is left out is not asked about. Numbers count the calls of whoever the address
names: with an `agent`, those of each agent that it fits on its own; with an
`attempt`, those of the attempt on its own; with neither, all calls of the test.

==============  ============  ========================================================
call            count         which calls
==============  ============  ========================================================
absent          3             the first three to which it can happen
2               absent (1)    the second one, or none
2               3             of the second, third and fourth each to which it can
2               None          from the second on, every one to which it can
absent          None          every one to which it can
==============  ============  ========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypedDict

from pytest_mnemosyne.simulation.faults._checks import check_count, check_number, check_text
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError

Counted = tuple[str | None, int | None]
"""Whose calls are counted together: an agent's or everybody's, an attempt's or all."""


class Where(TypedDict, total=False):
    """An address in the words of a sentence; as the fields of `Address`, and `optional`."""

    agent: str | None
    attempt: int | None
    call: int | None
    stream_event: int | None
    count: int | None
    chance: float | None
    after_s: float
    before_s: float | None
    optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Which calls a fault concerns."""

    agent: str | None = None
    """An agent's path or a glob such as `executor/*`; absent: anybody, agent or not."""

    attempt: int | None = None
    """The agent's attempt, from 1; code without an agent is in its first."""

    call: int | None = None
    """The n-th call to Claude, from 1. Each HTTP request is one, so a retry counts."""

    stream_event: int | None = None
    """The n-th event of a streamed answer, from 1, pings counted."""

    count: int | None = 1
    """How often at most; from `call` on, how many calls in a row. `None` is any number."""

    chance: float | None = None
    """How likely each such call is to be struck, above 0 and up to 1."""

    after_s: float = 0.0
    """Not before so many seconds have passed since the plan's first call."""

    before_s: float | None = None
    """Only before so many seconds have passed since the plan's first call."""

    def __post_init__(self) -> None:
        for name in ("attempt", "call", "stream_event", "count"):
            value: int | None = getattr(self, name)
            if value is not None:
                check_count(name, value)
        if self.agent is not None:
            check_text("agent", self.agent)
        check_number("after_s", self.after_s, unit="seconds")
        if self.before_s is not None:
            check_number("before_s", self.before_s, unit="seconds")
            if self.before_s <= self.after_s:
                raise FaultPlanError(
                    f"before_s is later than after_s ({self.after_s!r}), got {self.before_s!r}; "
                    "no moment lies between them"
                )
        if self.chance is not None:
            check_number("chance", self.chance, unit="hits per call")
            if not 0 < self.chance <= 1:
                raise FaultPlanError(f"chance lies above 0 and up to 1, got {self.chance!r}")

    @property
    def is_certain(self) -> bool:
        """Whether a test that runs as its author thinks is sure to meet it."""
        return self.chance is None and self.after_s == 0 and self.before_s is None

    def counted(self, agent: str | None, attempt: int) -> Counted:
        """With which other calls a call of this agent and attempt is counted here."""
        return (
            agent if self.agent is not None else None,
            attempt if self.attempt is not None else None,
        )

    def concerns(self, agent: str | None, attempt: int, *, number: int, at_s: float) -> bool:
        """Whether a call is meant, apart from chance and from what was struck before.

        Args:
            agent: Who calls; `None` outside any agent.
            attempt: The caller's attempt.
            number: The place of this call among those it is counted with, from 1.
            at_s: Seconds since the plan's first call.
        """
        return (
            self._is_in_row(number)
            and self._fits(agent)
            and self.attempt in (None, attempt)
            and self.after_s <= at_s
            and (self.before_s is None or at_s < self.before_s)
        )

    def _fits(self, agent: str | None) -> bool:
        if self.agent is None:
            return True
        return agent is not None and (agent == self.agent or fnmatchcase(agent, self.agent))

    def _is_in_row(self, number: int) -> bool:
        if self.call is None:
            return True
        return self.call <= number and (self.count is None or number < self.call + self.count)


ANYWHERE = Address()
"""The first call to which it can happen, whoever makes it."""
