"""Where and when a fault strikes.

What is left out is not asked about. Numbers count the occasions (calls to Claude,
messages handled, starts, ...) of whoever the address names: with an `agent`, those of each
agent that it fits on its own; with an `attempt`, those of the attempt on its own; with a
`message`, those of that type on their own; with a `sender`, those that it sends; with
none of them, all of the test.

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

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import TypedDict, cast

from pytest_mnemosyne.simulation.faults._checks import check_count, check_number, check_text
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError

Counted = tuple[str | None, int | None, str | None, str | None]
"""What is counted together: an agent's or everybody's, an attempt's or all, with one type
of message or with any, from one sender or from all."""


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


class WhereWithMessage(Where, total=False):
    """The same for what happens to a message."""

    message: str | None


class WhereOnTheWay(WhereWithMessage, total=False):
    """The same for what happens to a message on its way."""

    sender: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An occasion on which something may go wrong, as far as addresses ask about it."""

    agent: str | None
    """Whose it is; `None` outside any agent."""

    attempt: int = 1
    message: str | None = None
    sender: str | None = None

    def counted(self) -> set[Counted]:
        """All that it counts for."""
        names = (self.agent, self.attempt, self.message, self.sender)
        return set(cast("Iterable[Counted]", product(*((None, name) for name in names))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Which calls, or other occasions, a fault concerns."""

    agent: str | None = None
    """An agent's path or a glob such as `executor/*`; absent: anybody, agent or not."""

    attempt: int | None = None
    """The agent's attempt, from 1; code without an agent is in its first. An actor's attempt
    is its incarnation."""

    message: str | None = None
    """The name of a message's type, or a glob; of an event's kind. Absent: any."""

    sender: str | None = None
    """The path of the actor that sends the message, or a glob; absent: anybody, actor or not."""

    call: int | None = None
    """The n-th call to Claude, from 1. Each HTTP request is one, so a retry counts. Where
    the fault is none of Claude's, the n-th of what it happens on, such as a message."""

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
        for name in ("agent", "message", "sender"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
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

    def counted(self, moment: Moment) -> Counted:
        """With which others a moment is counted here."""
        return (
            moment.agent if self.agent is not None else None,
            moment.attempt if self.attempt is not None else None,
            moment.message if self.message is not None else None,
            moment.sender if self.sender is not None else None,
        )

    def concerns(self, moment: Moment, *, number: int, at_s: float) -> bool:
        """Whether a moment is meant, apart from chance and from what was struck before.

        Args:
            moment: Whose it is.
            number: Its place among those it is counted with, from 1.
            at_s: Seconds since the plan's first call.
        """
        return (
            self._is_in_row(number)
            and self.fits(moment)
            and self.after_s <= at_s
            and (self.before_s is None or at_s < self.before_s)
        )

    def fits(self, moment: Moment) -> bool:
        """Whether it names whoever's moment this is, whenever it comes."""
        return (
            _fits(self.agent, moment.agent)
            and self.attempt in (None, moment.attempt)
            and _fits(self.message, moment.message)
            and _fits(self.sender, moment.sender)
        )

    def _is_in_row(self, number: int) -> bool:
        if self.call is None:
            return True
        return self.call <= number and (self.count is None or number < self.call + self.count)


def _fits(pattern: str | None, name: str | None) -> bool:
    if pattern is None:
        return True
    return name is not None and (name == pattern or fnmatchcase(name, pattern))


ANYWHERE = Address()
"""The first call to which it can happen, whoever makes it."""
