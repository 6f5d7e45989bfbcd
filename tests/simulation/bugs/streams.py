"""Bugs of those who follow a stream of events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from pytest_mnemosyne.simulation.schedules import Properties
from tests.simulation.bugs.bug import Bug, Obstacle, seeded, turns

# --- a gap between picture and stream --------------------------------------------------


class Stream:
    """Numbered events: a picture of those so far, and news of those to come."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self._followers: list[list[int]] = []

    def publish(self) -> None:
        self.events.append(len(self.events) + 1)
        for follower in self._followers:
            follower.append(self.events[-1])

    def follow(self) -> list[int]:
        follower: list[int] = []
        self._followers.append(follower)
        return follower

    async def picture(self) -> set[int]:
        seen = set(self.events)
        await turns(1)
        return seen


Seen = tuple[set[int], list[int]]
"""The picture, and the news that go on filling."""


async def follow_then_look(stream: Stream) -> Seen:
    news = stream.follow()
    return await stream.picture(), news


async def look_then_follow(stream: Stream) -> Seen:
    """Takes a picture, and follows the stream an await later."""
    return await stream.picture(), stream.follow()


async def a_reader_joins(properties: Properties, join: Callable[[Stream], Awaitable[Seen]]) -> None:
    stream = Stream()

    async def publish() -> None:
        for _ in range(3):
            await turns(4)
            stream.publish()

    publishing = asyncio.create_task(publish())
    picture, news = await join(stream)
    await publishing
    assert picture | set(news) == set(stream.events)


# --- a lag that nobody notices ---------------------------------------------------------


class Projection:
    """The sum of a stream, read at its own pace from a buffer that drops the oldest."""

    def __init__(self) -> None:
        self.sum = 0
        self._published = 0
        self._read = 0
        self._buffer: deque[int] = deque(maxlen=8)

    def push(self) -> None:
        self._published += 1
        self._buffer.append(self._published)

    def read_one(self) -> None:
        if not self._buffer:
            return
        number = self._buffer.popleft()
        if number != self._read + 1:
            self._catch_up(number)
        self._read = number
        self.sum += number

    def _catch_up(self, number: int) -> None:
        """Read from the journal what the buffer has dropped."""
        self.sum = sum(range(number))


class UnawareProjection(Projection):
    """Goes on with what is left in its buffer when it was too slow."""

    def _catch_up(self, number: int) -> None:
        pass


async def a_reader_is_slow(properties: Properties, make: Callable[[], Projection]) -> None:
    projection = make()

    async def publish() -> None:
        for _ in range(14):
            projection.push()
            await turns(1)

    async def read() -> None:
        for _ in range(14):
            projection.read_one()
            await turns(1)

    await asyncio.gather(publish(), read())
    for _ in range(14):
        projection.read_one()
    assert projection.sum == sum(range(15))


# --- listeners that leave while they are told ------------------------------------------


class Bus:
    """Tells everybody who listens when a message begins its round."""

    def __init__(self) -> None:
        self.listeners = ["a", "b", "c"]
        self.told: list[str] = []

    async def publish(self) -> None:
        for listener in self._round():
            await turns(1)
            self.told.append(listener)

    def _round(self) -> Iterable[str]:
        return tuple(self.listeners)


class ShiftingBus(Bus):
    """Walks along its list of listeners while they leave it, and passes over one."""

    def _round(self) -> Iterable[str]:
        return self.listeners


async def a_listener_leaves(properties: Properties, make: Callable[[], Bus]) -> None:
    bus = make()

    async def leave() -> None:
        await turns(6)
        bus.listeners.remove("a")

    await asyncio.gather(bus.publish(), leave())
    assert {"b", "c"} <= set(bus.told)


BUGS: Final[tuple[Bug, ...]] = (
    seeded(
        "gap before the stream",
        a_reader_joins,
        right=follow_then_look,
        wrong=look_then_follow,
        fails_with=AssertionError,
        random=Obstacle.HEAD_START,
    ),
    seeded(
        "lag unnoticed",
        a_reader_is_slow,
        right=Projection,
        wrong=UnawareProjection,
        fails_with=AssertionError,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "listener passed over",
        a_listener_leaves,
        right=Bus,
        wrong=ShiftingBus,
        fails_with=AssertionError,
        exhaustive=Obstacle.DELAYS,
    ),
)
