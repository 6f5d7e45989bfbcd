"""Bugs of supervisors: who is alive, who is restarted, and when it is enough."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from mnemosyne_core.supervision import RestartIntensity, RestartWindow
from pytest_mnemosyne.simulation.schedules import Properties
from tests.simulation.bugs.bug import Bug, Obstacle, drawn, seeded, turns

# --- a child that outlives its supervisor ----------------------------------------------


class Nursery:
    """One child, which has ended when `stop` returns."""

    def __init__(self) -> None:
        self.child = asyncio.create_task(self._live())

    async def stop(self) -> None:
        self.child.cancel()
        await asyncio.wait([self.child])

    async def _live(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await turns(1)


class HastyNursery(Nursery):
    """Cancels its child, and waits a moment instead of for its end."""

    async def stop(self) -> None:
        self.child.cancel()
        await turns(3)


async def started_and_stopped(properties: Properties, make: Callable[[], Nursery]) -> None:
    nursery = make()
    await turns(1)
    await nursery.stop()
    assert nursery.child.done()


# --- restarts that are counted for ever ------------------------------------------------

INTENSITY: Final = RestartIntensity(max_restarts=3, period_s=60.0)


class EternalWindow(RestartWindow):
    """Counts restarts since the beginning instead of those of the last minute."""

    def __init__(self, intensity: RestartIntensity) -> None:
        super().__init__(intensity)
        self._intensity = intensity
        self._count = 0

    def record(self, now_s: float) -> bool:
        self._count += 1
        return self._count <= self._intensity.max_restarts


async def crashes_now_and_then(
    properties: Properties, make: Callable[[RestartIntensity], RestartWindow]
) -> None:
    window = make(INTENSITY)
    crashes: deque[float] = deque(maxlen=INTENSITY.max_restarts + 1)
    loop = asyncio.get_running_loop()
    for _ in range(6):
        await asyncio.sleep(drawn("seconds until the crash", 50))
        crashes.append(loop.time())
        if not window.record(loop.time()):
            assert len(crashes) == crashes.maxlen
            assert crashes[-1] - crashes[0] <= INTENSITY.period_s
            return


# --- a crash loop that never ends ------------------------------------------------------


class Patience:
    """Gives a child up after three crashes that come within a minute of each other."""

    calm_s: float = 60.0

    def __init__(self) -> None:
        self.gave_up = False
        self._crashes = 0
        self._last_s = 0.0

    def crashed(self, now_s: float) -> None:
        if now_s - self._last_s > self.calm_s:
            self._crashes = 0
        self._crashes += 1
        self._last_s = now_s
        self.gave_up = self._crashes > 3

    def started(self) -> None:
        """A start says nothing yet."""


class ForgivingPatience(Patience):
    """Forgets all crashes when the child has started again, however briefly it lives."""

    def started(self) -> None:
        self._crashes = 0


async def may_crash_in_a_loop(properties: Properties, make: Callable[[], Patience]) -> None:
    patience = make()
    loop = asyncio.get_running_loop()
    is_broken = drawn("whether the child is broken", 2) == 1
    properties.eventually(
        lambda: patience.gave_up or not is_broken, within=30, name="a crash loop ends"
    )
    while is_broken and not patience.gave_up:
        patience.started()
        await asyncio.sleep(1)
        patience.crashed(loop.time())


# --- an exit that comes late -----------------------------------------------------------


class Keeper:
    """Keeps one child alive; exits of children and orders to restart share its mailbox."""

    def __init__(self) -> None:
        self.alive: set[int] = {1}
        self._mail: asyncio.Queue[int | None] = asyncio.Queue()
        self._incarnation = 1

    def restart(self) -> None:
        self._mail.put_nowait(None)

    def crash(self) -> None:
        self.alive.discard(self._incarnation)
        self._mail.put_nowait(self._incarnation)

    async def handle_one(self) -> None:
        exited = await self._mail.get()
        if exited is None:
            self.alive.discard(self._incarnation)
        elif not self._is_present(exited):
            return
        self._incarnation += 1
        self.alive.add(self._incarnation)

    def _is_present(self, incarnation: int) -> bool:
        return incarnation == self._incarnation


class ConfusedKeeper(Keeper):
    """Takes the late exit of an earlier incarnation for that of the present one."""

    def _is_present(self, incarnation: int) -> bool:
        return True


async def restarted_and_crashed(properties: Properties, make: Callable[[], Keeper]) -> None:
    keeper = make()
    properties.always(lambda: len(keeper.alive) <= 1, "one incarnation lives at a time")

    async def keep() -> None:
        await keeper.handle_one()
        await keeper.handle_one()

    async def order() -> None:
        await turns(1)
        keeper.restart()

    async def crash() -> None:
        await turns(4)
        keeper.crash()

    await asyncio.gather(keep(), order(), crash())


# --- stopped in the wrong order --------------------------------------------------------


class Store:
    """Takes lines until it is closed."""

    def __init__(self) -> None:
        self.is_closed = False
        self.refused = 0

    async def write(self, line: str) -> None:
        await turns(1)
        self.refused += self.is_closed

    async def stop(self) -> None:
        await turns(1)
        self.is_closed = True


class Writer:
    """Writes lines to a store, the last ones when it stops."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: list[str] = []

    async def work(self) -> None:
        self._lines.append("line")
        await turns(2)
        await self._write()

    async def stop(self) -> None:
        await self._write()

    async def _write(self) -> None:
        while self._lines:
            await self._store.write(self._lines.pop())


Stoppable = Store | Writer


def in_reverse(started: Sequence[Stoppable]) -> Sequence[Stoppable]:
    return started[::-1]


def as_started(started: Sequence[Stoppable]) -> Sequence[Stoppable]:
    """Stops children in the order in which they were started: first what others rely on."""
    return started


async def stopped_while_at_work(
    properties: Properties, order: Callable[[Sequence[Stoppable]], Sequence[Stoppable]]
) -> None:
    store = Store()
    writer = Writer(store)
    at_work = asyncio.create_task(writer.work())
    await turns(6)
    at_work.cancel()
    for child in order([store, writer]):
        await child.stop()
    assert not store.refused


# --- a timer that nobody cancels -------------------------------------------------------

PATIENCE_S: Final = 10.0


class Warden:
    """Kills a child that lives for longer than its patience."""

    def __init__(self) -> None:
        self.killed_after_s: float | None = None
        self._born_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._born_s = loop.time()
        self._timer = loop.call_later(PATIENCE_S, self._kill)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _kill(self) -> None:
        self.killed_after_s = asyncio.get_running_loop().time() - self._born_s


class AbsentMindedWarden(Warden):
    """Leaves the timer of a child that has ended; it rings for the next incarnation."""

    def end(self) -> None:
        pass


async def two_lives(properties: Properties, make: Callable[[], Warden]) -> None:
    warden = make()
    properties.always(
        lambda: warden.killed_after_s is None or warden.killed_after_s >= PATIENCE_S,
        "everybody has their time",
    )
    for most_s in (5, 8):
        warden.begin()
        await asyncio.sleep(1 + drawn("seconds of work", most_s))
        warden.end()


# --- misses that are not in a row ------------------------------------------------------


class Watch:
    """Gives up on a worker that has missed three checks in a row."""

    def __init__(self) -> None:
        self.gave_up = False
        self._has_beaten = False
        self._misses = 0

    def beat(self) -> None:
        self._has_beaten = True

    def check(self) -> None:
        self._misses = self._count(missed=not self._has_beaten)
        self._has_beaten = False
        self.gave_up = self.gave_up or self._misses >= 3

    def _count(self, *, missed: bool) -> int:
        return self._misses + 1 if missed else 0


class GrudgingWatch(Watch):
    """Adds up missed checks, however many heartbeats came in between."""

    def _count(self, *, missed: bool) -> int:
        return self._misses + missed


async def a_heart_beats(properties: Properties, make: Callable[[], Watch]) -> None:
    watch = make()
    silent = longest = 0
    properties.always(lambda: not watch.gave_up or longest >= 3, "three misses in a row")

    async def beat() -> None:
        nonlocal silent
        for _ in range(8):
            watch.beat()
            silent = -1
            await turns(1)

    async def check() -> None:
        nonlocal silent, longest
        for _ in range(8):
            silent += 1
            longest = max(longest, silent)
            watch.check()
            await turns(1)

    await asyncio.gather(beat(), check())


# --- health that one success restores --------------------------------------------------


class Health:
    """Degraded by three errors within a minute."""

    def __init__(self) -> None:
        self.is_degraded = False
        self._errors: list[float] = []

    def failed(self, now_s: float) -> None:
        self._errors = [*(each for each in self._errors if each >= now_s - 60.0), now_s]
        self.is_degraded = len(self._errors) >= 3

    def succeeded(self) -> None:
        """One success heals nobody: the errors age."""


class RosyHealth(Health):
    """Forgets all errors at the first item that goes well."""

    def succeeded(self) -> None:
        self._errors = []


async def every_other_call_fails(properties: Properties, make: Callable[[], Health]) -> None:
    health = make()
    failures = 0
    properties.always(lambda: failures < 3 or health.is_degraded, "three errors degrade")
    for second in range(6):
        await asyncio.sleep(1)
        if drawn("whether the call fails", 2):
            failures += 1
            health.failed(second)
        else:
            health.succeeded()


BUGS: Final[tuple[Bug, ...]] = (
    seeded(
        "no join on stop",
        started_and_stopped,
        right=Nursery,
        wrong=HastyNursery,
        fails_with=AssertionError,
    ),
    seeded(
        "restarts counted for ever",
        crashes_now_and_then,
        right=RestartWindow,
        wrong=EternalWindow,
        fails_with=AssertionError,
        exhaustive=Obstacle.TIMES,
    ),
    seeded(
        "crash loop forgiven",
        may_crash_in_a_loop,
        right=Patience,
        wrong=ForgivingPatience,
    ),
    seeded("late exit", restarted_and_crashed, right=Keeper, wrong=ConfusedKeeper),
    seeded(
        "stopped as started",
        stopped_while_at_work,
        right=in_reverse,
        wrong=as_started,
        fails_with=AssertionError,
    ),
    seeded(
        "timer of an earlier life",
        two_lives,
        right=Warden,
        wrong=AbsentMindedWarden,
    ),
    seeded(
        "misses added up",
        a_heart_beats,
        right=Watch,
        wrong=GrudgingWatch,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "health reset by success",
        every_other_call_fails,
        right=Health,
        wrong=RosyHealth,
    ),
)
