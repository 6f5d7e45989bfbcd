"""The search for an order that fails, and its smallest form.

It is a function of runs: whoever calls it says what a run is (a test with its fixtures,
a program, an example of hypothesis), and gets back what was found. The same test and
the same settings make the same search.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.loop import Divergence
from pytest_mnemosyne.simulation.schedules._policies import Pct, Random, Replay
from pytest_mnemosyne.simulation.schedules._schedule import Policy, Schedule
from pytest_mnemosyne.simulation.schedules._shrink import Shrinker
from pytest_mnemosyne.simulation.schedules._tape import Tape

SHRINK_BUDGET = 200
"""How many runs go into shrinking unless told otherwise."""

_MOST_OPTIONS = 1_000
"""A choice among more than this many is of a number, and `exhaustive` leaves it plain."""


class PolicyName(StrEnum):
    """How the orders of a search are chosen."""

    RANDOM = "random"
    PCT = "pct"
    EXHAUSTIVE = "exhaustive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to search."""

    runs: int = 100
    """How many orders are tried, the plain one among them."""

    policy: PolicyName = PolicyName.RANDOM
    seed: int = 0
    """Other seeds are other searches; `exhaustive` has none."""

    shrink_budget: int = SHRINK_BUDGET
    """How many runs go into shrinking; 0 leaves a failure as it was found."""

    def __post_init__(self) -> None:
        for name, least in (("runs", 1), ("seed", 0), ("shrink_budget", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(
                    f"the {name} of a search are a whole number from {least} on, got {value!r}"
                )


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run went."""

    schedule: Schedule
    failure: str | None = None
    """In which way it failed, so that two runs can be compared; `None` if it passed."""


Runner = Callable[[Schedule], Ran]
"""Makes one run under a schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An order that fails."""

    ran: Ran
    """The smallest run that was found."""

    tape: Tape
    number: int
    """The run of the search that failed first, from 0; 0 is the plain one."""

    first_tape: Tape
    """What that run's tape was before it was shrunk."""

    shrink_runs: int
    comes_again: bool
    """Whether replaying the tape failed again, in the same way."""

    divergence: Divergence | None
    """Where it parts from the plain run, if that passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a search came to."""

    runs: int
    found: Found | None
    unstable: Divergence | None = None
    """Where two plain runs differ: something besides the schedule decides, and then nothing
    that was found can be relied on to come again."""

    exhausted: bool = False
    """Whether `exhaustive` went through all orders that there are."""


def search(run: Runner, plan: Plan, *, on_run: Callable[[Ran], bool] | None = None) -> Report:
    """Try orders until one fails, and shrink that one.

    The plain run is made twice, to see whether equal schedules make equal runs.

    Args:
        run: Makes one run.
        plan: How many, and which.
        on_run: Told about every run before the first that fails; true ends the search.
    """
    plain = run(Schedule(Replay(Tape())))
    if plain.failure is not None:
        return Report(runs=1, found=_unshrunk(plain))
    if on_run is not None and on_run(plain):
        return Report(runs=1, found=None)
    again = run(Schedule(Replay(Tape())))
    unstable = plain.schedule.trace.divergence(again.schedule.trace)
    if unstable is not None or again.failure is not None:
        found = None if again.failure is None else _unshrunk(again, plain=plain)
        return Report(runs=2, found=found, unstable=unstable)
    orders = Orders(plan, plain)
    number = 0
    for number, schedule in enumerate(orders, start=1):
        if number >= plan.runs:
            return Report(runs=number, found=None)
        ran = run(schedule)
        if ran.failure is not None:
            return Report(runs=number + 1, found=_shrunk(run, ran, number, plain, plan))
        orders.learn(ran)
        if on_run is not None and on_run(ran):
            break
    return Report(runs=number + 1, found=None, exhausted=orders.is_exhausted)


class Orders:
    """The schedules of a search, one after the other."""

    def __init__(self, plan: Plan, plain: Ran) -> None:
        self._plan = plan
        self._steps = len(plain.schedule.choices)
        self._waiting: deque[Tape] = deque()
        self.is_exhausted = False
        if plan.policy is PolicyName.EXHAUSTIVE:
            self.learn(plain)

    def __iter__(self) -> Iterator[Schedule]:
        for number in itertools.count(1):
            policy = self._policy(number)
            if policy is None:
                self.is_exhausted = True
                return
            yield Schedule(policy)

    def _policy(self, number: int) -> Policy | None:
        # Not the sum of the two: neighbouring seeds would make nearly the same search.
        seed = f"{self._plan.seed}/{number}"
        match self._plan.policy:
            case PolicyName.RANDOM:
                return Random(seed)
            case PolicyName.PCT:
                return Pct(seed, steps=self._steps)
            case PolicyName.EXHAUSTIVE:
                return Replay(self._waiting.popleft()) if self._waiting else None

    def learn(self, ran: Ran) -> None:
        """Note which orders differ from that of a run in one choice that comes later."""
        if self._plan.policy is not PolicyName.EXHAUSTIVE:
            return
        tape = ran.schedule.tape
        after = max(tape, default=-1)
        for place, choice in enumerate(ran.schedule.choices):
            # More than there are runs for need not be remembered.
            if len(self._waiting) > self._plan.runs:
                return
            if place > after and choice.options <= _MOST_OPTIONS:
                self._waiting.extend(
                    Tape({**tape, place: other}) for other in range(1, choice.options)
                )


def _shrunk(run: Runner, ran: Ran, number: int, plain: Ran, plan: Plan) -> Found:
    def still_fails(tape: Tape) -> Tape | None:
        tried = run(Schedule(Replay(tape)))
        return tried.schedule.tape if tried.failure == ran.failure else None

    shrinker = Shrinker(still_fails, budget=plan.shrink_budget)
    first = ran.schedule.tape
    # The run that is reported is one that was replayed from its tape.
    replayed = run(Schedule(Replay(shrinker.shrink(first))))
    comes_again = replayed.failure == ran.failure
    shown = replayed if comes_again else ran
    return Found(
        ran=shown,
        tape=shown.schedule.tape,
        number=number,
        first_tape=first,
        shrink_runs=shrinker.runs,
        comes_again=comes_again,
        divergence=plain.schedule.trace.divergence(shown.schedule.trace),
    )


def _unshrunk(ran: Ran, *, plain: Ran | None = None) -> Found:
    """A plain run that failed: there is nothing to shrink."""
    tape = ran.schedule.tape
    return Found(
        ran=ran,
        tape=tape,
        number=0,
        first_tape=tape,
        shrink_runs=0,
        comes_again=plain is None,
        divergence=None if plain is None else plain.schedule.trace.divergence(ran.schedule.trace),
    )
