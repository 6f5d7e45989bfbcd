"""A plan being carried out: counts what happens, and says what goes wrong with it.

Pure bookkeeping: whoever stands at a place of faults (in front of Claude, around an actor)
asks it once per occasion, does what it says, and tells it when a fault has really struck.
A fault in the middle of a stream is only ready when the call begins; should the stream
end before it, then it was never met.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.simulation.draws import Draws, OfRunningLoop, Plain
from pytest_mnemosyne.simulation.faults._address import Address, Counted, Moment
from pytest_mnemosyne.simulation.faults._errors import FaultsNotMetError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion
from pytest_mnemosyne.simulation.faults._plan import FaultPlan, PlannedFault
from pytest_mnemosyne.simulation.faults._provider import ProviderFault, Stage

_ALL: Counted = (None, None, None, None)

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
    """Which call of the test it struck, from 1; or which message, start, ..."""

    lane: Lane | None
    """Whose call it was; `None` outside any agent. An actor's attempt is its incarnation."""

    at_s: float
    """Seconds since the plan's first call."""

    occasion: Occasion = Occasion.CALL
    """What is counted by `call`."""

    def __str__(self) -> str:
        who = "" if self.lane is None else f" of {self.lane.agent} (attempt {self.lane.attempt})"
        return f"{self.occasion} {self.call}{who}, {round(self.at_s, 3):g} s: {self.planned}"


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
    """What a plan says, and how far it has come; safe in several threads."""

    def __init__(
        self,
        plan: FaultPlan | None = None,
        *,
        draws: Draws | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        """Take a plan; its time begins with the first occasion that it meets.

        Args:
            plan: The faults; more may be added later.
            draws: Where chance comes from. Absent: the running loop, where it searches;
                otherwise nothing that is left to chance happens.
            clock: Seconds, for time windows.
        """
        self.draws = draws or OfRunningLoop(Plain())
        """Where what a fault leaves to chance comes from."""
        self._entries: list[_Entry] = []
        self._clock = clock
        self._began_s: float | None = None
        self._numbers: Counter[tuple[Occasion, Counted]] = Counter()
        self._seen: dict[Occasion, Counter[str]] = {}
        self._strikes: list[Strike] = []
        self._listeners: list[Callable[[], None]] = []
        self._lock = Lock()
        self.add(plan or FaultPlan())

    def add(self, plan: FaultPlan) -> None:
        """Let the faults of a plan follow."""
        with self._lock:
            self._entries += map(_Entry, plan)
        for look_again in self._listeners:
            look_again()

    def on_add(self, look_again: Callable[[], None]) -> None:
        """Have `look_again` called after faults were added: some may strike whoever only waits."""
        self._listeners.append(look_again)

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
                entry.planned
                for entry in self._entries
                if entry.planned.must_be_met and not entry.strikes
            ]
            missed = {each.fault.occasion for each in unmet}
            seen = {
                each.value: self._seen.get(each, Counter()) for each in Occasion if each in missed
            }
        if unmet:
            raise FaultsNotMetError(unmet=tuple(map(str, unmet)), seen=seen)

    # --- calls to Claude -------------------------------------------------------------------

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
        moment = (
            Moment(agent=None) if lane is None else Moment(agent=lane.agent, attempt=lane.attempt)
        )
        armed: dict[Stage, Armed] = {}

        def has_room(planned: PlannedFault) -> bool:
            stage = _stage_for(planned, streamed=streamed)
            return stage is not None and stage not in armed

        with self._lock:
            number = self._count(Occasion.CALL, moment)
            for entry in self._fitting(Occasion.CALL, moment, has_room):
                stage = _stage_for(entry.planned, streamed=streamed)
                assert stage is not None
                armed[stage] = self._arm(entry, Occasion.CALL, moment, number, lane, on_strike)
        return Meeting(number, armed, self.draws)

    # --- anything else ---------------------------------------------------------------------

    def reach(
        self,
        occasion: Occasion,
        moment: Moment,
        *,
        can_strike: Callable[[Fault], bool] = lambda _: True,
        again: bool = False,
    ) -> Armed | None:
        """Count an occasion, and say what goes wrong with it: the first fault that fits.

        Args:
            occasion: What happens.
            moment: Whose it is.
            can_strike: Which faults can happen here, as far as the address does not say it.
            again: Whether it has been counted: it is the same one, only later.
        """
        lane = None if moment.agent is None else Lane(moment.agent, moment.attempt)
        with self._lock:
            number = self._numbers[occasion, _ALL] if again else self._count(occasion, moment)
            for entry in self._fitting(occasion, moment, lambda each: can_strike(each.fault)):
                return self._arm(entry, occasion, moment, number, lane, None)
        return None

    def has(self, *occasions: Occasion) -> bool:
        """Whether anything is planned for one of these occasions."""
        with self._lock:
            return any(entry.planned.fault.occasion in occasions for entry in self._entries)

    def ahead(self, occasion: Occasion, moment: Moment) -> list[tuple[Fault, float]]:
        """What may still strike on an occasion of this kind, and in how many seconds from now.

        For occasions that whoever asks can bring about: a moment that comes by waiting.
        """
        with self._lock:
            now_s = self._elapsed_s()
            return [
                (entry.planned.fault, max(0.0, address.after_s - now_s))
                for entry in self._entries
                if entry.planned.fault.occasion is occasion
                and (address := entry.planned.address).fits(moment)
                and not entry.is_spent(address.counted(moment))
                and (address.before_s is None or now_s < address.before_s)
            ]

    # --- bookkeeping, under the lock -------------------------------------------------------

    def _count(self, occasion: Occasion, moment: Moment) -> int:
        """Count it for all that ask about it; its place among all of its kind."""
        self._seen.setdefault(occasion, Counter())[moment.agent or ""] += 1
        for counted in moment.counted():
            self._numbers[occasion, counted] += 1
        return self._numbers[occasion, _ALL]

    def _fitting(
        self, occasion: Occasion, moment: Moment, can_strike: Callable[[PlannedFault], bool]
    ) -> Iterator[_Entry]:
        at_s = self._elapsed_s()
        for entry in self._entries:
            planned = entry.planned
            if planned.fault.occasion is not occasion:
                continue
            counted = planned.address.counted(moment)
            # A long plan is mostly about other moments, so this comes first.
            if not planned.address.concerns(
                moment, number=self._numbers[occasion, counted], at_s=at_s
            ) or entry.is_spent(counted):
                continue
            if can_strike(planned) and self._happens(planned):
                yield entry

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
        return self.draws.draw(f"fault: {planned}", _OUTCOMES) >= (1 - chance) * _OUTCOMES

    def _arm(
        self,
        entry: _Entry,
        occasion: Occasion,
        moment: Moment,
        number: int,
        lane: Lane | None,
        on_strike: Callable[[Strike], None] | None,
    ) -> Armed:
        counted = entry.planned.address.counted(moment)

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
                    occasion=occasion,
                )
                self._strikes.append(struck)
            if on_strike is not None:
                on_strike(struck)
            return True

        return Armed(entry.planned, strike)


def _stage_for(planned: PlannedFault, *, streamed: bool) -> Stage | None:
    """At which stage of a call to Claude it strikes; `None` where it cannot."""
    fault, address = planned.fault, planned.address
    assert isinstance(fault, ProviderFault)
    return fault.stage_at(address) if fault.happens_to(address, streamed=streamed) else None
