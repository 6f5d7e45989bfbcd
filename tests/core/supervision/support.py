"""What these tests share: a recorder in memory, actors that do as told, counted time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mnemosyne_core.events import (
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Fact,
    LeakEnded,
    RestartDelayed,
)
from mnemosyne_core.supervision import Actor, ChildSpec, Context, Exit, Restart, Shutdown

WHEN = datetime(2026, 11, 22, tzinfo=UTC)


class MemoryRecorder:
    """Keeps events, and lets a test wait for one instead of sleeping."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        event = Event(
            seq=len(self.events) + 1, at=WHEN, agent=agent, attempt=attempt, by=by, fact=fact
        )
        self.events.append(event)
        self._changed.set()
        return event

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    @property
    def story(self) -> list[str]:
        """The events as words: `started a#1`, `ended a (crash)`."""
        return [words_of(event) for event in self.events]

    async def wait_for(self, words: str, *, times: int = 1) -> None:
        async with asyncio.timeout(5):
            while self.story.count(words) < times:
                self._changed.clear()
                await self._changed.wait()


def words_of(event: Event) -> str:
    match event.fact:
        case ChildStarted(incarnation=incarnation):
            return f"started {event.agent}#{incarnation}"
        case ChildTerminated(incarnation=incarnation, reason=reason):
            return f"ended {event.agent}#{incarnation} ({reason})"
        case ChildStartFailed(reason=reason):
            return f"failed to start {event.agent} ({reason})"
        case ChildIgnored(reason=reason):
            return f"ignored {event.agent} ({reason})"
        case ChildShutdownFailed(reason=reason):
            return f"stopped badly {event.agent} ({reason})"
        case ChildLeaked():
            return f"leaked {event.agent}"
        case LeakEnded(incarnation=incarnation):
            return f"leak ended {event.agent}#{incarnation}"
        case RestartDelayed(delay_s=delay_s):
            return f"delayed {event.agent} by {delay_s:g} s"
        case _:
            return f"{event.kind} {event.agent}"


class FakeClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return WHEN


class Boom(Exception):  # noqa: N818 - it stands in every story told by these tests
    """What the actors here crash with."""


@dataclass
class Crash:
    error: BaseException = field(default_factory=lambda: Boom("boom"))


@dataclass
class Echo:
    value: object


class Quit:
    """Asks an actor to end normally."""


@dataclass
class Run:
    """Runs a piece of the test inside the actor."""

    action: Callable[[Context], Coroutine[object, object, object]]


class Puppet(Actor):
    """Does what its messages say and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.stopped_for: Exit | None = None

    async def receive(self, message: object, context: Context) -> object:
        self.seen.append(message)
        match message:
            case Crash(error=error):
                raise error
            case Echo(value=value):
                return value
            case Quit():
                context.stop()
                return None
            case Run(action=action):
                return await action(context)
            case _:
                return None

    async def stopping(self, reason: Exit) -> None:
        self.stopped_for = reason


def child(
    child_id: str,
    start: Callable[[], Actor] = Puppet,
    *,
    restart: Restart = Restart.PERMANENT,
    shutdown: float | Shutdown | None = None,
    significant: bool = False,
) -> ChildSpec:
    return ChildSpec(
        id=child_id, start=start, restart=restart, shutdown=shutdown, significant=significant
    )


class Gate:
    """Something to wait at; passes everybody once open."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._open.wait()
