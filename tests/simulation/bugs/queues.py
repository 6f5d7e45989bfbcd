"""Bugs of queues and of the work that goes through them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from mnemosyne_core.errors import IllegalWorkStateError, StaleClaimError
from mnemosyne_core.work import WorkItem, WorkQueue
from pytest_mnemosyne.simulation.loop import StallError
from pytest_mnemosyne.simulation.schedules import Properties
from tests.simulation.bugs.bug import Bug, Obstacle, drawn, seeded, turns

# --- lost wake-up ----------------------------------------------------------------------


class Inbox:
    """Items for one reader."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._filled = asyncio.Event()

    def put(self, item: str) -> None:
        self.items.append(item)
        self._filled.set()

    async def get(self) -> str:
        while not self.items:
            self._filled.clear()
            await self._filled.wait()
        return self.items.pop(0)


class DrowsyInbox(Inbox):
    """Finds itself empty, and begins to wait an await later."""

    async def get(self) -> str:
        while not self.items:
            await turns(1)
            self._filled.clear()
            await self._filled.wait()
        return self.items.pop(0)


async def one_item_is_put(properties: Properties, make: Callable[[], Inbox]) -> None:
    inbox = make()

    async def put() -> None:
        await turns(3)
        inbox.put("item")

    await asyncio.gather(inbox.get(), put())


# --- a cancelled getter ----------------------------------------------------------------


class HandOff:
    """Puts each item into the hands of whoever has waited longest."""

    def __init__(self) -> None:
        self._items: deque[str] = deque()
        self._getters: deque[asyncio.Future[str]] = deque()

    def put(self, item: str) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(item)
                return
        self._items.append(item)

    async def get(self) -> str:
        if self._items:
            return self._items.popleft()
        getter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            return await getter
        except asyncio.CancelledError:
            if getter.done() and not getter.cancelled():
                self._give_back(getter.result())
            raise

    def _give_back(self, item: str) -> None:
        self.put(item)


class SwallowingHandOff(HandOff):
    """Loses the item that a getter had in hand when it was cancelled."""

    def _give_back(self, item: str) -> None:
        pass


async def a_reader_leaves(properties: Properties, make: Callable[[], HandOff]) -> None:
    hand_off = make()
    seen: list[str] = []

    async def read() -> None:
        while True:
            seen.append(await hand_off.get())

    leaving = asyncio.create_task(read())

    async def put() -> None:
        await turns(1)
        hand_off.put("one")
        await turns(2)
        hand_off.put("two")

    async def leave() -> None:
        await turns(6)
        leaving.cancel()

    await asyncio.gather(put(), leave(), leaving, return_exceptions=True)
    staying = asyncio.create_task(read())
    await asyncio.sleep(1)
    staying.cancel()
    assert sorted(seen) == ["one", "two"]


# --- completed twice -------------------------------------------------------------------


class LenientQueue(WorkQueue):
    """Lets whoever comes complete an item, whichever attempt they were at."""

    def complete(self, item_id: str, *, attempt: int) -> tuple[str, ...]:
        for claim in self.claims():
            if claim.item.id == item_id:
                attempt = claim.attempt
        return super().complete(item_id, attempt=attempt)


async def a_slow_worker_comes_back(properties: Properties, make: Callable[[], WorkQueue]) -> None:
    queue = make()
    queue.add([WorkItem(id="item", description="do it")])
    results: list[int] = []
    latest = 0

    async def work(worker: str, took: int) -> None:
        nonlocal latest
        claim = queue.claim(now_s=0.0, worker=worker, lease_s=60.0)
        if claim is None:
            return
        latest = claim.attempt
        await turns(took)
        with contextlib.suppress(StaleClaimError, IllegalWorkStateError):
            queue.complete("item", attempt=claim.attempt)
            results.append(claim.attempt)

    async def give_up_on_the_first() -> None:
        await turns(4)
        for claim in queue.claims():
            queue.release("item", attempt=claim.attempt)
            await work("second", 2)

    await asyncio.gather(work("first", 3), give_up_on_the_first())
    assert results == [latest]


# --- a lease that nobody renews --------------------------------------------------------

LEASE_S: Final = 10.0


async def renew_while_working(queue: WorkQueue, attempt: int, work_s: float) -> None:
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + work_s
    while (left_s := ends_s - loop.time()) > 0:
        queue.extend("item", attempt=attempt, now_s=loop.time(), lease_s=LEASE_S)
        await asyncio.sleep(min(left_s, LEASE_S / 2))


async def just_work(queue: WorkQueue, attempt: int, work_s: float) -> None:
    """Works for longer than the lease lasts, and does not renew it."""
    await asyncio.sleep(work_s)


async def leases_are_watched(
    properties: Properties,
    work: Callable[[WorkQueue, int, float], Awaitable[None]],
) -> None:
    queue = WorkQueue()
    queue.add([WorkItem(id="item", description="do it")])
    loop = asyncio.get_running_loop()
    at_work = 0
    properties.always(lambda: at_work <= 1, "one works on an item at a time")

    async def worker(name: str) -> None:
        nonlocal at_work
        while len(queue):
            claim = queue.claim(now_s=loop.time(), worker=name, lease_s=LEASE_S)
            if claim is not None:
                at_work += 1
                await work(queue, claim.attempt, 1 + drawn("seconds of work", 20))
                at_work -= 1
                with contextlib.suppress(StaleClaimError):
                    queue.complete("item", attempt=claim.attempt)
            await asyncio.sleep(1)

    async def watch() -> None:
        while len(queue):
            for claim in queue.expired(loop.time()):
                queue.release("item", attempt=claim.attempt)
            await asyncio.sleep(1)

    await asyncio.gather(worker("one"), worker("two"), watch())


# --- a dependency that was forgotten ---------------------------------------------------


class Board:
    """Items that wait for others to be done."""

    def __init__(self) -> None:
        self._done: deque[str] = deque(maxlen=self._kept())
        self._waiting: dict[str, asyncio.Event] = {}

    def done(self, name: str) -> None:
        self._done.append(name)
        if name in self._waiting:
            self._waiting.pop(name).set()

    async def wait_for(self, name: str) -> None:
        if name not in self._done:
            await self._waiting.setdefault(name, asyncio.Event()).wait()

    def _kept(self) -> int | None:
        return None


class ForgetfulBoard(Board):
    """Remembers the last two items that were done, and blocks what depends on older ones."""

    def _kept(self) -> int | None:
        return 2


async def a_dependent_comes_late(properties: Properties, make: Callable[[], Board]) -> None:
    board = make()

    async def finish(name: str, late: int) -> None:
        await turns(late)
        board.done(name)

    async def depend(late: int) -> None:
        await turns(late)
        await board.wait_for("first")

    await asyncio.gather(finish("first", 0), depend(3), finish("second", 5), finish("third", 5))


# --- a cycle that comes in two halves --------------------------------------------------


class Graph:
    """Who waits for whom, without circles."""

    def __init__(self) -> None:
        self.edges: set[tuple[str, str]] = set()

    async def link(self, item: str, dependency: str) -> None:
        await self._store()
        if not self._reaches(dependency, item):
            self.edges.add((item, dependency))

    async def _store(self) -> None:
        await turns(2)

    def _reaches(self, start: str, goal: str) -> bool:
        after = [target for source, target in self.edges if source == start]
        return start == goal or any(self._reaches(each, goal) for each in after)


class GullibleGraph(Graph):
    """Looks for circles before the await that stores an edge."""

    async def link(self, item: str, dependency: str) -> None:
        if not self._reaches(dependency, item):
            await self._store()
            self.edges.add((item, dependency))


async def two_link(properties: Properties, make: Callable[[], Graph]) -> None:
    graph = make()

    async def link(item: str, dependency: str, late: int) -> None:
        await turns(late)
        await graph.link(item, dependency)

    await asyncio.gather(link("a", "b", 0), link("b", "a", 4))
    assert len(graph.edges) == 1


# --- starvation ------------------------------------------------------------------------


class Line:
    """Urgent items first, but nobody is passed by more than three times."""

    patience: float = 3

    def __init__(self) -> None:
        self.passed = 0
        self._urgent = 0
        self._low = True

    def add_urgent(self) -> None:
        self._urgent += 1

    def take(self) -> None:
        if self._urgent and not (self._low and self.passed >= self.patience):
            self._urgent -= 1
            self.passed += self._low
        else:
            self._low = False


class PitilessLine(Line):
    """Takes an item of low priority only when nothing else is there."""

    patience = float("inf")


async def urgent_items_keep_coming(properties: Properties, make: Callable[[], Line]) -> None:
    line = make()
    properties.always(lambda: line.passed <= 6, "nobody is passed by more than six times")

    async def submit() -> None:
        for _ in range(12):
            await turns(1)
            line.add_urgent()

    async def work() -> None:
        for _ in range(13):
            line.take()
            await turns(1)

    await asyncio.gather(submit(), work())


# --- items that come during a flush ----------------------------------------------------


class Batch:
    """Collects items and sends them together."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waiting: list[str] = []

    async def flush(self) -> None:
        sending, self.waiting = self.waiting, []
        await self._send(sending)

    async def _send(self, items: list[str]) -> None:
        await turns(1)
        self.sent += items


class EmptyingBatch(Batch):
    """Empties its buffer after the await that sends it, along with what came meanwhile."""

    async def flush(self) -> None:
        await self._send(list(self.waiting))
        self.waiting.clear()


async def items_come_while_sending(properties: Properties, make: Callable[[], Batch]) -> None:
    batch = make()

    async def add() -> None:
        for number in range(3):
            batch.waiting.append(f"item {number}")
            await turns(3)

    async def flush() -> None:
        for _ in range(3):
            await turns(1)
            await batch.flush()
            await turns(1)

    await asyncio.gather(add(), flush())
    await batch.flush()
    assert sorted(batch.sent) == ["item 0", "item 1", "item 2"]


BUGS: Final[tuple[Bug, ...]] = (
    seeded("lost wake-up", one_item_is_put, right=Inbox, wrong=DrowsyInbox, fails_with=StallError),
    seeded(
        "cancelled getter",
        a_reader_leaves,
        right=HandOff,
        wrong=SwallowingHandOff,
        fails_with=AssertionError,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "completed twice",
        a_slow_worker_comes_back,
        right=WorkQueue,
        wrong=LenientQueue,
        fails_with=AssertionError,
    ),
    seeded(
        "lease not renewed",
        leases_are_watched,
        right=renew_while_working,
        wrong=just_work,
    ),
    seeded(
        "dependency forgotten",
        a_dependent_comes_late,
        right=Board,
        wrong=ForgetfulBoard,
        fails_with=StallError,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "circle in two halves",
        two_link,
        right=Graph,
        wrong=GullibleGraph,
        fails_with=AssertionError,
    ),
    seeded("starvation", urgent_items_keep_coming, right=Line, wrong=PitilessLine),
    seeded(
        "emptied after sending",
        items_come_while_sending,
        right=Batch,
        wrong=EmptyingBatch,
        fails_with=AssertionError,
    ),
)
