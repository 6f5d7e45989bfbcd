"""Bugs of state that several tasks share: what was true before an await is not after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from pytest_mnemosyne.simulation.loop import StallError
from pytest_mnemosyne.simulation.schedules import Properties
from tests.simulation.bugs.bug import Bug, Obstacle, drawn, seeded, turns

# --- lost update -----------------------------------------------------------------------


class Counter:
    """A number that several tasks add to."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = asyncio.Lock()

    async def add(self) -> None:
        async with self._lock:
            read = self.number
            await turns(1)
            self.number = read + 1


class RacyCounter(Counter):
    """Reads a number before an await and writes it after, without a lock."""

    async def add(self) -> None:
        read = self.number
        await turns(1)
        self.number = read + 1


async def three_add(properties: Properties, make: Callable[[], Counter]) -> None:
    counter = make()

    async def add(late: int) -> None:
        await turns(late)
        await counter.add()

    await asyncio.gather(add(0), add(2), add(4))
    assert counter.number == 3


# --- check, then act -------------------------------------------------------------------


class Room:
    """Lets one in at a time."""

    def __init__(self) -> None:
        self.inside = 0
        self._is_taken = False

    async def visit(self) -> None:
        while self._is_taken:
            await asyncio.sleep(1)
        self._is_taken = True
        await self._stay()

    async def _stay(self) -> None:
        self.inside += 1
        await asyncio.sleep(1)
        self.inside -= 1
        self._is_taken = False


class AjarRoom(Room):
    """Sees that a flag is free, and takes it an await later."""

    async def visit(self) -> None:
        while self._is_taken:
            await asyncio.sleep(1)
        await turns(2)
        self._is_taken = True
        await self._stay()


async def two_visit(properties: Properties, make: Callable[[], Room]) -> None:
    room = make()
    properties.always(lambda: room.inside <= 1, "one is in the room at a time")

    async def visit(late: int) -> None:
        await turns(late)
        await room.visit()

    await asyncio.gather(visit(0), visit(3))


# --- a cache without single flight -----------------------------------------------------


class Cache:
    """Fetches what it does not have, once for all who ask."""

    def __init__(self) -> None:
        self.fetches = 0
        self._value: str | None = None
        self._fetching: asyncio.Task[str] | None = None

    async def get(self) -> str:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        return await asyncio.shield(self._fetching)

    async def _fetch(self) -> str:
        self.fetches += 1
        await turns(2)
        return "value"


class StampedeCache(Cache):
    """Fetches for everyone who asks before the first fetch has come back."""

    async def get(self) -> str:
        if self._value is None:
            self._value = await self._fetch()
        return self._value


async def three_get(properties: Properties, make: Callable[[], Cache]) -> None:
    cache = make()
    properties.always(lambda: cache.fetches <= 1, "a value is fetched once")

    async def get(late: int) -> None:
        await turns(late)
        assert await cache.get() == "value"

    await asyncio.gather(get(0), get(3), get(6))


# --- numbers out of order --------------------------------------------------------------


class Log:
    """Numbers its entries in the order in which they stand."""

    def __init__(self) -> None:
        self.entries: list[int] = []
        self._numbers = 0

    async def append(self) -> None:
        await turns(1)
        self._numbers += 1
        self.entries.append(self._numbers)


class EarlyNumberLog(Log):
    """Gives an entry its number before the await that stores it."""

    async def append(self) -> None:
        self._numbers += 1
        number = self._numbers
        await turns(1)
        self.entries.append(number)


async def three_append(properties: Properties, make: Callable[[], Log]) -> None:
    log = make()
    properties.always(lambda: log.entries == sorted(log.entries), "numbers rise")

    await asyncio.gather(*(log.append() for _ in range(3)))


# --- published before it is stored -----------------------------------------------------


class Journal:
    """Stores an event, then tells of it."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.told: asyncio.Queue[str] = asyncio.Queue()

    async def record(self, event: str) -> None:
        await self._store(event)
        self.told.put_nowait(event)

    async def _store(self, event: str) -> None:
        await turns(1)
        self.stored.append(event)


class GossipingJournal(Journal):
    """Tells of an event before it is stored."""

    async def record(self, event: str) -> None:
        self.told.put_nowait(event)
        await self._store(event)


async def listener_looks_up(properties: Properties, make: Callable[[], Journal]) -> None:
    journal = make()

    async def listen() -> None:
        event = await journal.told.get()
        await turns(3)
        assert event in journal.stored

    await asyncio.gather(listen(), journal.record("started"))


# --- two locks -------------------------------------------------------------------------


class Account:
    """Money, and the lock that it takes to move it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = asyncio.Lock()


def by_number(giver: Account, taker: Account) -> tuple[Account, ...]:
    """Everybody locks in the same order."""
    return tuple(sorted((giver, taker), key=lambda account: account.number))


def giver_first(giver: Account, taker: Account) -> tuple[Account, ...]:
    """Two tasks take the same two locks in opposite orders."""
    return giver, taker


async def there_and_back(
    properties: Properties, order: Callable[[Account, Account], tuple[Account, ...]]
) -> None:
    one, two = Account(1), Account(2)

    async def move(giver: Account, taker: Account, late: int) -> None:
        await turns(late)
        async with AsyncExitStack() as stack:
            for account in order(giver, taker):
                await stack.enter_async_context(account.lock)
                await turns(1)

    await asyncio.gather(move(one, two, 0), move(two, one, 3))


# --- a place that is given back twice --------------------------------------------------


class Slots:
    """Two places to work at."""

    def __init__(self) -> None:
        self.inside = 0
        self._free = 2

    async def use(self) -> None:
        while not self._free:
            await asyncio.sleep(1)
        self._free -= 1
        self.inside += 1
        try:
            await self._work()
        finally:
            self.inside -= 1
            self._free += 1

    async def _work(self) -> None:
        await turns(3)


class GenerousSlots(Slots):
    """Gives a place back on cancellation, and once more when cleaning up."""

    async def _work(self) -> None:
        try:
            await super()._work()
        except asyncio.CancelledError:
            self._free += 1
            raise


async def one_of_five_is_cancelled(properties: Properties, make: Callable[[], Slots]) -> None:
    slots = make()
    properties.always(lambda: slots.inside <= 2, "two work at a time")
    users = [asyncio.create_task(slots.use()) for _ in range(5)]
    await turns(4)
    users[0].cancel()
    await asyncio.wait(users)


# --- an old answer over a new one ------------------------------------------------------


class Screen:
    """Shows the answer to what was asked last."""

    def __init__(self) -> None:
        self.shown = 0
        self._asked = 0

    async def ask(self, question: int) -> None:
        self._asked = question
        await asyncio.sleep(1 + drawn("seconds until the answer", 5))
        if self._is_wanted(question):
            self.shown = question

    def _is_wanted(self, question: int) -> bool:
        return question == self._asked


class LatestArrivalScreen(Screen):
    """Takes the answer that comes last for the answer to what was asked last."""

    def _is_wanted(self, question: int) -> bool:
        return True


async def asked_again(properties: Properties, make: Callable[[], Screen]) -> None:
    screen = make()

    async def ask(question: int) -> None:
        await asyncio.sleep(question)
        await screen.ask(question)

    await asyncio.gather(ask(1), ask(2))
    assert screen.shown == 2


# --- optimism with a limit -------------------------------------------------------------


class Document:
    """Changed by whoever read its latest version; everybody else reads again."""

    patience: float = float("inf")

    def __init__(self) -> None:
        self.changes = 0
        self._version = 0

    async def change(self) -> None:
        conflicts = 0
        while conflicts < self.patience:
            read = self._version
            await turns(1)
            if self._version == read:
                self._version += 1
                self.changes += 1
                return
            conflicts += 1


class ImpatientDocument(Document):
    """Drops a change after three conflicts in a row, and tells nobody."""

    patience = 3


async def one_among_many_changes(properties: Properties, make: Callable[[], Document]) -> None:
    document = make()

    async def change_often() -> None:
        for _ in range(6):
            await document.change()
            await turns(1)

    async def change_once() -> None:
        await turns(1)
        await document.change()

    await asyncio.gather(change_often(), change_once())
    assert document.changes == 7


BUGS: Final[tuple[Bug, ...]] = (
    seeded("lost update", three_add, right=Counter, wrong=RacyCounter, fails_with=AssertionError),
    seeded("check, then act", two_visit, right=Room, wrong=AjarRoom),
    seeded("no single flight", three_get, right=Cache, wrong=StampedeCache),
    seeded("number before the await", three_append, right=Log, wrong=EarlyNumberLog),
    seeded(
        "published before stored",
        listener_looks_up,
        right=Journal,
        wrong=GossipingJournal,
        fails_with=AssertionError,
    ),
    seeded(
        "two locks, two orders",
        there_and_back,
        right=by_number,
        wrong=giver_first,
        fails_with=StallError,
    ),
    seeded(
        "place given back twice",
        one_of_five_is_cancelled,
        right=Slots,
        wrong=GenerousSlots,
        pct=Obstacle.SWITCHES,
    ),
    seeded(
        "old answer over a new one",
        asked_again,
        right=Screen,
        wrong=LatestArrivalScreen,
        fails_with=AssertionError,
    ),
    seeded(
        "retries on conflict run out",
        one_among_many_changes,
        right=Document,
        wrong=ImpatientDocument,
        fails_with=AssertionError,
        pct=Obstacle.SWITCHES,
    ),
)
