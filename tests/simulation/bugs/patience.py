"""Bugs of clients whose provider fails, is slow, or has had enough of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from pytest_mnemosyne.simulation.schedules import Properties
from tests.simulation.bugs.bug import Bug, Obstacle, drawn, seeded, turns

# --- a retry that never ends -----------------------------------------------------------


class OutageError(Exception):
    """The provider is down."""


Call = Callable[[], Awaitable[str]]


async def five_tries(call: Call) -> str | None:
    for number in range(5):
        with contextlib.suppress(OutageError):
            return await call()
        await asyncio.sleep(2.0**number)
    return None


async def no_end_of_tries(call: Call) -> str | None:
    """Tries again without end, and politely waits twice as long each time, up to a minute."""
    wait_s = 1.0
    while True:
        with contextlib.suppress(OutageError):
            return await call()
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, 60.0)


async def the_provider_may_be_down(
    properties: Properties, persist: Callable[[Call], Awaitable[str | None]]
) -> None:
    ended = False
    properties.eventually(lambda: ended, within=600, name="the caller has an answer or gives up")
    is_down = drawn("whether the provider is down", 4) == 1

    async def call() -> str:
        await asyncio.sleep(1)
        if is_down:
            raise OutageError
        return "answer"

    await persist(call)
    ended = True


# --- a patience that is shorter than the wait ------------------------------------------


class Provider:
    """Refuses at first and says for how long; who comes too early waits from then."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._open_at_s = asyncio.get_running_loop().time() + wait_s

    def refuses(self) -> float:
        """The seconds to wait; 0 is an answer."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._open_at_s:
            return 0.0
        self._open_at_s = now_s + self._wait_s
        return self._wait_s


async def wait_as_told(provider: Provider) -> None:
    while (wait_s := provider.refuses()) > 0:
        await asyncio.sleep(wait_s)


async def wait_for_five_seconds(provider: Provider) -> None:
    """Its patience for an attempt covers the wait that the provider asked for, and is shorter."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                return await wait_as_told(provider)


async def told_to_wait(properties: Properties, ask: Callable[[Provider], Awaitable[None]]) -> None:
    answered = False
    properties.eventually(lambda: answered, within=120, name="an answer comes")
    await ask(Provider(drawn("retry-after", 8)))
    answered = True


# --- two probes ------------------------------------------------------------------------


class Breaker:
    """Open for ten seconds; then lets one call through to see whether all is well."""

    def __init__(self) -> None:
        self.probes = 0
        self._is_open = True

    async def call(self) -> None:
        if asyncio.get_running_loop().time() < 10:
            return
        if self._is_open:
            await self._probe()

    async def _probe(self) -> None:
        self._is_open = False
        await self._ask()

    async def _ask(self) -> None:
        self.probes += 1
        await turns(2)
        self.probes -= 1


class HalfHeartedBreaker(Breaker):
    """Leaves the open state when its probe has come back, and lets others probe till then."""

    async def _probe(self) -> None:
        await self._ask()
        self._is_open = False


async def two_call_after_the_pause(properties: Properties, make: Callable[[], Breaker]) -> None:
    breaker = make()
    properties.always(lambda: breaker.probes <= 1, "one probe at a time")

    async def call(late: int) -> None:
        await asyncio.sleep(10)
        await turns(late)
        await breaker.call()

    await asyncio.gather(call(0), call(4))


# --- a limit that counts too late ------------------------------------------------------


class Limiter:
    """Lets two calls pass, and no more."""

    def __init__(self) -> None:
        self.calls = 0
        self._used = 0

    async def call(self) -> None:
        if self._used < 2:
            self._used += 1
            await self._ask()

    async def _ask(self) -> None:
        self.calls += 1
        await turns(2)


class LateLimiter(Limiter):
    """Counts a call when it ends, so that those under way do not count."""

    async def call(self) -> None:
        if self._used < 2:
            await self._ask()
            self._used += 1


async def four_call(properties: Properties, make: Callable[[], Limiter]) -> None:
    limiter = make()
    properties.always(lambda: limiter.calls <= 2, "two calls pass")

    async def call(late: int) -> None:
        await turns(late)
        await limiter.call()

    await asyncio.gather(*(call(3 * number) for number in range(4)))


BUGS: Final[tuple[Bug, ...]] = (
    seeded(
        "retry without a limit",
        the_provider_may_be_down,
        right=five_tries,
        wrong=no_end_of_tries,
    ),
    seeded(
        "patience below retry-after",
        told_to_wait,
        right=wait_as_told,
        wrong=wait_for_five_seconds,
    ),
    seeded("two probes", two_call_after_the_pause, right=Breaker, wrong=HalfHeartedBreaker),
    seeded(
        "counted at the end",
        four_call,
        right=Limiter,
        wrong=LateLimiter,
        exhaustive=Obstacle.DELAYS,
    ),
)
