"""Bugs of those who ask and those who answer; most of them are users of the core's actors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from mnemosyne_core.errors import ActorDownError
from mnemosyne_core.supervision import Actor, ChildSpec, Context, Ref, Supervisor
from pytest_mnemosyne.simulation.loop import StallError
from pytest_mnemosyne.simulation.schedules import Properties
from tests.core.supervision.support import MemoryRecorder
from tests.simulation.bugs.bug import Bug, Obstacle, drawn, seeded, turns

CRASH: Final = "crash"


class Clerk(Actor):
    """Answers whatever it is asked, in the message's own future if there is one."""

    async def receive(self, message: object, context: Context) -> object:
        if message == CRASH:
            await turns(2)
            raise RuntimeError("the clerk has had enough")
        await turns(1)
        if isinstance(message, asyncio.Future):
            message.set_result("yes")
        return "yes"


def office() -> Supervisor:
    """A supervisor of one clerk."""
    return Supervisor([ChildSpec(id="clerk", start=Clerk)], recorder=MemoryRecorder())


async def crash_after(supervisor: Supervisor, count: int) -> None:
    await turns(count)
    with contextlib.suppress(ActorDownError):
        await supervisor.whereis("clerk").send(CRASH)


# --- waiting for the dead --------------------------------------------------------------


async def ask_the_ref(ref: Ref) -> object:
    return await ref.ask("well?", timeout_s=30)


async def ask_by_hand(ref: Ref) -> object:
    """Sends a future along instead of asking, which nobody fails when the actor dies."""
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    await ref.send(answer)
    async with asyncio.timeout(30):
        return await answer


async def the_asked_one_dies(
    properties: Properties, ask: Callable[[Ref], Awaitable[object]]
) -> None:
    async def ask_once() -> None:
        with contextlib.suppress(ActorDownError, TimeoutError):
            await ask(supervisor.whereis("clerk"))
        assert asyncio.get_running_loop().time() < 30

    async with office() as supervisor:
        await asyncio.gather(crash_after(supervisor, 5), ask_once())


# --- an address that is kept -----------------------------------------------------------


class Customer:
    """Asks the clerk who is there, and comes back if there is none."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def ask(self) -> object:
        for _ in range(3):
            with contextlib.suppress(ActorDownError):
                return await self._clerk().ask("well?")
            await asyncio.sleep(1)
        return "no clerk"

    def _clerk(self) -> Ref:
        return self._supervisor.whereis("clerk")


class LoyalCustomer(Customer):
    """Keeps the address that it has looked up, also when a new incarnation runs."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(supervisor)
        self._first = supervisor.whereis("clerk")

    def _clerk(self) -> Ref:
        return self._first


async def asked_across_a_restart(
    properties: Properties, make: Callable[[Supervisor], Customer]
) -> None:
    async with office() as supervisor:
        customer = make(supervisor)
        answer, _ = await asyncio.gather(customer.ask(), crash_after(supervisor, 5))
        assert answer == "yes"


# --- two who ask each other ------------------------------------------------------------


class Deferring(Actor):
    """Passes questions on to a peer, and goes on while the peer thinks."""

    peers: dict[str, Ref]

    async def receive(self, message: object, context: Context) -> object:
        if message == "well?":
            await turns(1)
            return "yes"
        reply = context.defer()

        async def pass_on() -> None:
            reply.answer(await self._ask_peer(context))

        context.spawn(pass_on())
        return None

    async def _ask_peer(self, context: Context) -> object:
        other = "two" if context.path == "one" else "one"
        return await self.peers[other].ask("well?")


class Blocking(Deferring):
    """Asks its peer while a message is in hand, and hears nobody meanwhile."""

    async def receive(self, message: object, context: Context) -> object:
        if message == "well?":
            return await super().receive(message, context)
        return await self._ask_peer(context)


async def both_are_asked(properties: Properties, make: Callable[[], Deferring]) -> None:
    peers: dict[str, Ref] = {}

    def start() -> Actor:
        actor = make()
        actor.peers = peers
        return actor

    async def ask(name: str, late: int) -> None:
        await turns(late)
        assert await peers[name].ask("ask your peer") == "yes"

    specs = [ChildSpec(id=name, start=start) for name in ("one", "two")]
    async with Supervisor(specs, recorder=MemoryRecorder()) as supervisor:
        peers.update({name: supervisor.whereis(name) for name in ("one", "two")})
        await asyncio.gather(ask("one", 0), ask("two", 7))


# --- the answer to another question ----------------------------------------------------

PATIENCE_S: Final = 5.0


class Line:
    """Questions one way, answers the other, told apart by their numbers."""

    def __init__(self) -> None:
        self.questions: asyncio.Queue[int] = asyncio.Queue()
        self.answers: asyncio.Queue[int] = asyncio.Queue()

    async def ask(self, number: int) -> int:
        self.questions.put_nowait(number)
        async with asyncio.timeout(PATIENCE_S):
            while not self._is_it(answer := await self.answers.get(), number):
                pass
            return answer

    def _is_it(self, answer: int, number: int) -> bool:
        return answer == number


class TrustingLine(Line):
    """Takes the next answer that comes, be it that to a question given up before."""

    def _is_it(self, answer: int, number: int) -> bool:
        return True


async def answers_take_their_time(properties: Properties, make: Callable[[], Line]) -> None:
    line = make()

    async def answer() -> None:
        while True:
            number = await line.questions.get()
            await asyncio.sleep(1 + drawn("seconds of thought", 8))
            line.answers.put_nowait(number)

    answering = asyncio.create_task(answer())
    for number in range(4):
        with contextlib.suppress(TimeoutError):
            assert await line.ask(number) == number
    answering.cancel()


# --- a cancellation that is taken for an error -----------------------------------------

Job = Callable[[], Awaitable[None]]


async def do_one(job: Job) -> None:
    with contextlib.suppress(Exception):
        await job()


async def do_one_whatever_happens(job: Job) -> None:
    """Catches whatever a job raises, its own cancellation too, and goes on to the next."""
    with contextlib.suppress(BaseException):
        await job()


async def stopped_between_jobs(
    properties: Properties, do: Callable[[Job], Awaitable[None]]
) -> None:
    jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def work() -> None:
        while True:
            await do(await jobs.get())

    worker = asyncio.create_task(work())
    jobs.put_nowait(lambda: turns(2))
    await turns(6)
    worker.cancel()
    await asyncio.wait([worker])


BUGS: Final[tuple[Bug, ...]] = (
    seeded(
        "waiting for the dead",
        the_asked_one_dies,
        right=ask_the_ref,
        wrong=ask_by_hand,
        fails_with=AssertionError,
        random=Obstacle.HEAD_START,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "address of the old incarnation",
        asked_across_a_restart,
        right=Customer,
        wrong=LoyalCustomer,
        fails_with=AssertionError,
        random=Obstacle.HEAD_START,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "two who ask each other",
        both_are_asked,
        right=Deferring,
        wrong=Blocking,
        fails_with=StallError,
        random=Obstacle.HEAD_START,
        exhaustive=Obstacle.DELAYS,
    ),
    seeded(
        "late answer",
        answers_take_their_time,
        right=Line,
        wrong=TrustingLine,
        fails_with=AssertionError,
    ),
    seeded(
        "swallowed cancellation",
        stopped_between_jobs,
        right=do_one,
        wrong=do_one_whatever_happens,
        fails_with=StallError,
    ),
)
