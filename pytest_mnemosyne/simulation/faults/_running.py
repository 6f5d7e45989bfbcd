"""A plan being carried out: counts the calls to Claude and says what happens to each.

Pure bookkeeping: whoever stands in front of Claude asks it once per call, does what it
says, and tells it when a fault has really struck. A fault in the middle of a stream is
only ready when the call begins; should the stream end before it, then it was never met.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.simulation.draws import Draws, OfRunningLoop, Plain
from pytest_mnemosyne.simulation.faults._address import Address, Counted
from pytest_mnemosyne.simulation.faults._errors import FaultsNotMetError
from pytest_mnemosyne.simulation.faults._fault import Fault, Place
from pytest_mnemosyne.simulation.faults._plan import FaultPlan, PlannedFault
from pytest_mnemosyne.simulation.faults._provider import ProviderFault, Stage

_OUTCOMES = 1_000_000
"""How finely chance is drawn."""


def loop_time() -> float:
    """Seconds of the running loop's clock, or of the machine's where no loop runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault that has happened."""

    planned: PlannedFault
    call: int
    """Which call of the test it struck, from 1."""

    lane: Lane | None
    """Who made the call; `None` outside any agent."""

    at_s: float
    """Seconds since the plan's first call."""

    def __str__(self) -> str:
        who = "" if self.lane is None else f" of {self.lane.agent} (attempt {self.lane.attempt})"
        return f"call {self.call}{who}, {round(self.at_s, 3):g} s: {self.planned}"


class _Entry:
    """One fault of the plan, and whom it has struck how often."""

    def __init__(self, planned: PlannedFault) -> None:
        self.planned = planned
        self.strikes: Counter[Counted] = Counter()

    def is_spent(self, counted: Counted) -> bool:
        count = self.planned.address.count
        return count is not None and self.strikes[counted] >= count


class Armed:
    """A fault that is ready to strike one call."""

    def __init__(self, planned: PlannedFault, strike: Callable[[], bool]) -> None:
        """Made by the running plan."""
        self.planned = planned
        self._strike = strike
        self._has_struck = False

    @property
    def fault(self) -> Fault:
        """What goes wrong."""
        return self.planned.fault

    @property
    def address(self) -> Address:
        """Where it strikes."""
        return self.planned.address

    def strikes(self) -> bool:
        """Let it happen now; false where another call has used it up in the meantime.

        Asked again, it says the same, and counts once.
        """
        self._has_struck = self._has_struck or self._strike()
        return self._has_struck


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is ready for one call: at most one fault for each stage."""

    call: int
    """The call's number in the test, from 1."""

    armed: dict[Stage, Armed]
    draws: Draws
    """Where what a fault leaves to chance comes from."""

    def at(self, stage: Stage) -> Armed | None:
        """The fault that is ready at a stage."""
        return self.armed.get(stage)


class RunningPlan:
    """What a plan says of the provider, and how far it has come; safe in several threads."""

    def __init__(
        self,
        plan: FaultPlan | None = None,
        *,
        draws: Draws | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        """Take a plan; its time begins with the first call that it meets.

        Args:
            plan: The faults; more may be added later.
            draws: Where chance comes from. Absent: the running loop, where it searches;
                otherwise nothing that is left to chance happens.
            clock: Seconds, for time windows.
        """
        self._entries: list[_Entry] = []
        self._draws = draws or OfRunningLoop(Plain())
        self._clock = clock
        self._began_s: float | None = None
        self._numbers: Counter[Counted] = Counter()
        self._calls: Counter[str] = Counter()
        self._strikes: list[Strike] = []
        self._lock = Lock()
        self.add(plan or FaultPlan())

    def add(self, plan: FaultPlan) -> None:
        """Let the faults of a plan follow that concern the provider."""
        with self._lock:
            self._entries += map(_Entry, plan.at(Place.PROVIDER))

    @property
    def plan(self) -> FaultPlan:
        """The faults, met or not."""
        with self._lock:
            return FaultPlan(tuple(entry.planned for entry in self._entries))

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """What has happened, in order."""
        with self._lock:
            return tuple(self._strikes)

    def check_met(self) -> None:
        """Check that everything that is sure to be met was met.

        Raises:
            FaultsNotMetError: Something was not.
        """
        with self._lock:
            unmet = [
                str(entry.planned)
                for entry in self._entries
                if entry.planned.must_be_met and not entry.strikes
            ]
            calls = dict(self._calls)
        if unmet:
            raise FaultsNotMetError(unmet=tuple(unmet), calls=calls)

    def meet(
        self,
        *,
        lane: Lane | None,
        streamed: bool,
        on_strike: Callable[[Strike], None] | None = None,
    ) -> Meeting:
        """Count a call to Claude, and say what is ready for it.

        Args:
            lane: Who calls; `None` outside any agent.
            streamed: Whether a stream is asked for.
            on_strike: Told when a fault has struck this call, in the thread where it did.
        """
        agent, attempt = (lane.agent, lane.attempt) if lane is not None else (None, 1)
        with self._lock:
            number = self._count(agent, attempt)
            at_s = self._elapsed_s()
            armed: dict[Stage, Armed] = {}
            for entry in self._entries:
                address = entry.planned.address
                counted = address.counted(agent, attempt)
                # A long plan is mostly about other calls, so this comes first.
                if not address.concerns(
                    agent, attempt, number=self._numbers[counted], at_s=at_s
                ) or entry.is_spent(counted):
                    continue
                stage = _stage_for(entry.planned, streamed=streamed)
                if stage is not None and stage not in armed and self._happens(entry.planned):
                    armed[stage] = Armed(
                        entry.planned,
                        self._striker(entry, counted, number, lane, on_strike),
                    )
        return Meeting(number, armed, self._draws)

    def _count(self, agent: str | None, attempt: int) -> int:
        self._calls[agent or ""] += 1
        for counted in {(None, None), (agent, None), (None, attempt), (agent, attempt)}:
            self._numbers[counted] += 1
        return self._numbers[None, None]

    def _elapsed_s(self) -> float:
        now_s = self._clock()
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s

    def _happens(self, planned: PlannedFault) -> bool:
        chance = planned.address.chance
        if chance is None or chance == 1:
            return True
        # The plain choice, 0, is the last to be a hit: a tape that shrinks loses faults.
        return self._draws.draw(f"fault: {planned}", _OUTCOMES) >= (1 - chance) * _OUTCOMES

    def _striker(
        self,
        entry: _Entry,
        counted: Counted,
        number: int,
        lane: Lane | None,
        on_strike: Callable[[Strike], None] | None,
    ) -> Callable[[], bool]:
        def strike() -> bool:
            with self._lock:
                if entry.is_spent(counted):
                    return False
                entry.strikes[counted] += 1
                struck = Strike(
                    planned=entry.planned,
                    call=number,
                    lane=lane,
                    at_s=self._elapsed_s(),
                )
                self._strikes.append(struck)
            if on_strike is not None:
                on_strike(struck)
            return True

        return strike


def _stage_for(planned: PlannedFault, *, streamed: bool) -> Stage | None:
    """At which stage of a call to Claude it strikes; `None` where it cannot."""
    fault, address = planned.fault, planned.address
    assert isinstance(fault, ProviderFault)
    return fault.stage_at(address) if fault.happens_to(address, streamed=streamed) else None
