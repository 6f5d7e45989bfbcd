"""A recorder that keeps events in a list, and agents that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from mnemosyne_core import lane
from mnemosyne_core.bridge import BridgeSettings, ClaudeAgentBridge, TaskTransport
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.events import Event, Fact
from mnemosyne_core.work import AgentRole, Failure, WorkItem, WorkResult

ITEM = WorkItem(id="work-1", description="Create hello_world()")
QUICK = BridgeSettings(shutdown_s=2.0, cancel_s=1.0)
IMPATIENT = BridgeSettings(shutdown_s=0.02, cancel_s=0.02)
"""For agents that would not end in any time."""


class EventList:
    """A `Recorder` in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.on_event: Callable[[Event], object] = lambda event: None

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        seq = len(self.events) + 1
        at = datetime(2026, 11, 22, tzinfo=UTC)
        event = Event(seq=seq, at=at, agent=agent, attempt=attempt, by=by, fact=fact)
        self.events.append(event)
        self.on_event(event)
        return event

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def only(self, kind: str) -> Event:
        (event,) = [event for event in self.events if event.kind == kind]
        return event

    def cause_of(self, event: Event) -> str | None:
        return None if event.by is None else self.events[event.by - 1].kind


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def monotonic(self) -> float:
        return self.time_s

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.time_s)


Deed = Callable[[WorkItem], WorkResult]


def succeed(item: WorkItem) -> WorkResult:
    return WorkResult(item_id=item.id, success=True, data="done")


def fail(code: str, message: str = "no luck") -> Deed:
    return lambda item: WorkResult.failed(item, Failure(code=code, message=message))


def crash(item: WorkItem) -> WorkResult:
    raise RuntimeError("boom")


class DoingAgent:
    """Does one deed after the other; succeeds when there are none left."""

    role = AgentRole.EXECUTOR

    def __init__(self, deeds: Iterable[Deed] = ()) -> None:
        self.deeds = iter(deeds)
        self.started = 0
        self.stopped = 0
        self.lanes: list[lane.Lane | None] = []

    async def start_session(self) -> None:
        self.started += 1
        self.lanes.append(lane.current.get())

    async def stop_session(self) -> None:
        self.stopped += 1

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        self.lanes.append(lane.current.get())
        await asyncio.sleep(0)
        result = next(self.deeds, succeed)(item)
        return result.model_copy(update={"attempt": attempt})


class BusyAgent(DoingAgent):
    """Works until it is released or cancelled, and counts how much of it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.busy = asyncio.Event()
        self.at_work = 0
        self.most_at_work = 0

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        self.at_work += 1
        self.most_at_work = max(self.at_work, self.most_at_work)
        self.busy.set()
        try:
            await self.release.wait()
        finally:
            self.at_work -= 1
        return succeed(item)


class StubbornAgent(DoingAgent):
    """Does not hear of its cancellation until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        return succeed(item)


class Scene:
    """A bridge to agents that are handed out one after the other, and what it recorded."""

    def __init__(
        self,
        *agents: DoingAgent,
        settings: BridgeSettings = QUICK,
        on_loop_time: bool = False,
    ) -> None:
        self.agents = list(agents) or [DoingAgent()]
        self.handed_out = 0
        self.clock = HandClock()
        self.log = EventList()
        self.bridge = ClaudeAgentBridge(
            "executor",
            recorder=self.log,
            transport=TaskTransport(self._next_agent),
            clock=LoopClock() if on_loop_time else self.clock,
            settings=settings,
        )

    def _next_agent(self) -> DoingAgent:
        agent = self.agents[min(self.handed_out, len(self.agents) - 1)]
        self.handed_out += 1
        return agent
