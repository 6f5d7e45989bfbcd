"""Blows to agents' processes at chosen moments, and a clock that outlasts those that stand still.

A moment is a message: the n-th of its kind that goes to an agent's processes, or comes from
them. So it is the same in every run, however quick the machine is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_mnemosyne.simulation.faults import (
    Address,
    FaultPlan,
    HalfMessage,
    Moment,
    PlannedFailpoints,
    PlannedFault,
    ProcessExit,
    ProcessFault,
    ProcessKilled,
    ProcessStopped,
)
from pytest_mnemosyne.simulation.faults._faulty_process import FaultyProcess
from pytest_mnemosyne.simulation.loop import VirtualClock

SENT = ("work", "answered", "event", "ended", "stop", "hello", "start", "ping", "cancel")
RECEIVED = ("ask", "result", "ready", "hello", "more", "beat", "abandon", "cancelled", "stopped")
"""Kinds of messages, usual ones first."""

MANY = ("event", "ask")
"""Of these there are many."""

A_WHILE_S, STALE_S, EVER_S = 20.0, 100.0, 1e6
"""How long a process stands still: unnoticed, noticed, until it is replaced."""

STEP_S = 1.0
"""By how much the time is moved at once while somebody stands still."""


def blows(*agents: str) -> SearchStrategy[FaultPlan]:
    """Plans of one blow or several to the processes of these agents."""
    blow = st.sampled_from(agents).flatmap(
        lambda agent: st.one_of(
            _at_message(agent, SENT, _faults("sent")),
            _at_message(agent, RECEIVED, _faults("received")),
            _at_message(agent, RECEIVED, st.just(HalfMessage())),
            st.builds(_planned, _faults("start"), st.just(agent), st.integers(1, 3)),
        )
    )
    return st.lists(blow, min_size=1, max_size=6).map(lambda found: FaultPlan(tuple(found)))


def _at_message(
    agent: str, kinds: Sequence[str], faults: SearchStrategy[ProcessFault]
) -> SearchStrategy[PlannedFault]:
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            _planned,
            faults,
            st.just(agent),
            st.integers(1, 20 if kind in MANY else 3),
            st.just(kind),
        )
    )


def _faults(at: str) -> SearchStrategy[ProcessFault]:
    standstills = st.sampled_from((EVER_S, A_WHILE_S, STALE_S))
    return st.one_of(
        st.just(ProcessKilled(at=at)),
        # One exit code, because a process can be told only one.
        st.just(ProcessExit(3, at=at)),
        standstills.map(lambda for_s: ProcessStopped(for_s, at=at)),
    )


def _planned(
    fault: ProcessFault, agent: str, call: int, message: str | None = None
) -> PlannedFault:
    return PlannedFault(fault, Address(agent=agent, call=call, message=message), optional=True)


class Blows(PlannedFailpoints):
    """A plan of blows; the time goes on while a process that it has stopped stands still.

    Whoever waits for such a process holds the time, so it has to be moved; but not before
    everybody else has done what they are doing, which takes real time.
    """

    def __init__(self, plan: FaultPlan, clock: VirtualClock) -> None:
        super().__init__(plan)
        self.clock = clock
        self.pids: list[int] = []
        """Of all processes that there have been."""
        self._started: Counter[str] = Counter()
        self._until_s: dict[WatchedProcess, float] = {}
        """Until when those stand still who do."""
        self._outlasting: dict[WatchedProcess, asyncio.Task[None]] = {}

    def process(self, path: str) -> WatchedProcess:
        self._started[path] += 1
        return WatchedProcess(self, Moment(agent=path, attempt=self._started[path]))

    def stand_still(self, process: WatchedProcess, for_s: float) -> None:
        """Outlast a process that was stopped; the first signal to go on has it go on."""
        until_s = self.clock.monotonic() + for_s
        self._until_s[process] = min(until_s, self._until_s.get(process, until_s))
        if process not in self._outlasting:
            task = asyncio.create_task(self._outlast(process), name=f"outlast {process.path}")
            self._outlasting[process] = task

    def ended(self, process: WatchedProcess) -> None:
        """A process has ended, perhaps while it stood still."""
        self._until_s.pop(process, None)
        if (task := self._outlasting.pop(process, None)) is not None:
            task.cancel()

    async def _outlast(self, process: WatchedProcess) -> None:
        while (left_s := self._until_s[process] - self.clock.monotonic()) > 0:
            await self.clock.run_until(self._only_they_hold, within=left_s)
            await self.clock.advance(STEP_S)
        del self._until_s[process], self._outlasting[process]

    def _only_they_hold(self) -> bool:
        paths = {process.path for process in self._until_s}
        return all(paths & set(label.split()) for label in self.clock.loop.holds())


class WatchedProcess(FaultyProcess):
    """A process of which it is known whether it lives, and whether it stands still."""

    def __init__(self, blows: Blows, moment: Moment) -> None:
        super().__init__(blows.running, moment)
        assert moment.agent is not None, "a process is some agent's"
        self.path = moment.agent
        self._blows = blows
        self._seen = 0

    def started(self, pid: int) -> None:
        self._blows.pids.append(pid)
        self._seen = len(self._blows.strikes)
        super().started(pid)
        self._look()

    def sent(self, content: bytes) -> bytes:
        written = super().sent(content)
        self._look()
        return written

    def received(self, content: bytes) -> bytes:
        read = super().received(content)
        self._look()
        return read

    def ended(self) -> None:
        super().ended()
        self._blows.ended(self)

    def _look(self) -> None:
        strikes = self._blows.strikes
        for strike in strikes[self._seen :]:
            fault = strike.planned.fault
            is_mine = strike.lane is not None and strike.lane.agent == self.path
            if is_mine and isinstance(fault, ProcessStopped):
                self._blows.stand_still(self, fault.for_s)
        self._seen = len(strikes)
