"""What it costs to put work to an agent and get the answer, beside what Python offers.

    python benchmarks/bridge.py
    python benchmarks/bridge.py --quick

Every row carries the bytes of the same envelopes there, about as many back, and is timed by
the wall, from the side that asks:

- a process at the other end of a `multiprocessing.Pipe`, the caller blocks;
- a `ProcessPoolExecutor` of one process, the caller blocks, or awaits it on a loop;
- our transports, by which an agent is asked that answers at once. Bytes are not merely
  sent back here: the far side reads the work and checks it, and writes down the result;
- the whole bridge over each of them, with what it does besides: checks on this side,
  timeouts, health, and two events per item that a journal in memory stores.

An item is a small one, asked for one at a time and four at once (which is what a bridge
lets through), or one with a description of 64 KiB. Ratios are medians of the rounds'
ratios to the executor whose caller blocks, since rows that ran one after the other had
the same machine.

The goal: a round trip over the subprocess transport takes no longer than one of that
executor.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._echo import echo, echo_all, make_echo
from benchmarks._laboratory import arguments, in_turns, machine, table, verdict
from mnemosyne_core.agents import AgentPlace, AgentSettings
from mnemosyne_core.bridge import (
    AgentSource,
    BridgeSettings,
    ClaudeAgentBridge,
    WorkEnvelope,
    transport_to,
)
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.ids import RandomIds
from mnemosyne_core.storage import Journal
from mnemosyne_core.work import AgentRole, WorkItem

GOAL: Final = 1.0
"""How many times as long as the executor's a round trip may take."""

AT_ONCE: Final = BridgeSettings().max_concurrent
LARGE_CHARS: Final = 65_536

PATH: Final = AgentRole.EXECUTOR.value
SUBPROCESS: Final = "subprocess"
TRANSPORTS: Final = ("task", SUBPROCESS)


@dataclass(frozen=True, slots=True)
class Work:
    """One question, as each row wants it."""

    item: WorkItem
    content: bytes
    """The item in its envelope."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to a far side that is up."""

    ask: Callable[[Work], Awaitable[object]]
    ask_all: Callable[[Sequence[Work]], Awaitable[object]]
    """Asks all of these before it waits for the first answer."""


Open = Callable[[], AbstractAsyncContextManager[Line]]
"""Brings a far side up, and down again with its context."""


# --- the rows --------------------------------------------------------------------------


@asynccontextmanager
async def _pipe() -> AsyncIterator[Line]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo_all, args=(there,))
    process.start()
    # While this copy is open, the far side does not see the end.
    there.close()

    async def ask(work: Work) -> bytes:
        here.send_bytes(work.content)
        return here.recv_bytes()

    async def ask_all(works: Sequence[Work]) -> list[bytes]:
        for work in works:
            here.send_bytes(work.content)
        return [here.recv_bytes() for _ in works]

    try:
        yield Line(ask, ask_all)
    finally:
        here.close()
        process.join()


@asynccontextmanager
async def _executor() -> AsyncIterator[Line]:
    with _one_process() as pool:

        async def ask(work: Work) -> bytes:
            return pool.submit(echo, work.content).result()

        async def ask_all(works: Sequence[Work]) -> list[bytes]:
            return list(pool.map(echo, [work.content for work in works]))

        yield Line(ask, ask_all)


@asynccontextmanager
async def _awaited_executor() -> AsyncIterator[Line]:
    loop = asyncio.get_running_loop()
    with _one_process() as pool:

        async def ask(work: Work) -> bytes:
            return await loop.run_in_executor(pool, echo, work.content)

        yield Line(ask, _gathered(ask))


@asynccontextmanager
async def _transport(name: str) -> AsyncIterator[Line]:
    settings = BridgeSettings(transport=name)
    transport = transport_to(_agents(), settings=settings)
    await transport.start(PATH, settings, lambda: None)

    async def ask(work: Work) -> bytes:
        return await transport.execute(work.content)

    try:
        yield Line(ask, _gathered(ask))
    finally:
        await transport.stop(settings.shutdown_s)


@asynccontextmanager
async def _bridge(name: str) -> AsyncIterator[Line]:
    settings = BridgeSettings(transport=name)
    with Journal.open() as journal:
        transport = transport_to(_agents(), settings=settings)
        async with ClaudeAgentBridge(
            AgentRole.EXECUTOR, recorder=journal, transport=transport, settings=settings
        ) as bridge:

            async def ask(work: Work) -> object:
                return await bridge.send_work(work.item)

            yield Line(ask, _gathered(ask))


def _agents() -> AgentSource:
    place = AgentPlace(
        path=PATH,
        role=AgentRole.EXECUTOR,
        client=None,
        workspace=None,
        settings=AgentSettings(),
        ids=RandomIds(),
        clock=LoopClock(),
        plugins=plugin_manager(),
    )
    return AgentSource.of(make_echo, place)


def _one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _gathered(
    ask: Callable[[Work], Coroutine[object, object, object]],
) -> Callable[[Sequence[Work]], Awaitable[object]]:
    async def ask_all(works: Sequence[Work]) -> None:
        await asyncio.gather(*map(ask, works))

    return ask_all


EXECUTOR: Final = "ProcessPoolExecutor"

_PEERS: Final[Mapping[str, Open]] = {
    "multiprocessing.Pipe": _pipe,
    EXECUTOR: _executor,
    f"{EXECUTOR}, awaited": _awaited_executor,
}


def transport_row(name: str) -> str:
    """The name of the row of a transport."""
    return f"transport: {name}"


def rows(transports: Sequence[str]) -> dict[str, Open]:
    """All rows, with those of these transports."""
    return {
        **_PEERS,
        **{transport_row(name): partial(_transport, name) for name in transports},
        **{f"bridge over {name}": partial(_bridge, name) for name in transports},
    }


# --- measuring -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of one row, in seconds."""

    p50_s: float
    p99_s: float
    each_s: float
    """Per item, with `AT_ONCE` under way."""

    large_s: float
    """The median for a large item."""


def _works(description: str, count: int) -> list[Work]:
    items = [WorkItem(id=f"work-{seq}", description=description) for seq in range(1, count + 1)]
    return [
        Work(item, WorkEnvelope(seq=seq, agent=PATH, attempt=1, item=item).to_bytes())
        for seq, item in enumerate(items, start=1)
    ]


async def _round(open_line: Open, count: int) -> Round:
    small = _works("Create hello_world() and a test for it.", count)
    large = _works("x" * LARGE_CHARS, max(1, count // 10))
    async with open_line() as line:
        # The first ones wait for the far side to come up and to import what it needs.
        await _latencies(line, small[: max(AT_ONCE, count // 10)])
        latencies = await _latencies(line, small)
        began_s = time.perf_counter()
        for first in range(0, count, AT_ONCE):
            await line.ask_all(small[first : first + AT_ONCE])
        each_s = (time.perf_counter() - began_s) / count
        large_s = statistics.median(await _latencies(line, large))
    latencies.sort()
    return Round(
        p50_s=statistics.median(latencies),
        p99_s=latencies[(count * 99 - 1) // 100],
        each_s=each_s,
        large_s=large_s,
    )


async def _latencies(line: Line, works: Sequence[Work]) -> list[float]:
    latencies = []
    for work in works:
        began_s = time.perf_counter()
        await line.ask(work)
        latencies.append(time.perf_counter() - began_s)
    return latencies


def measure(rows: Mapping[str, Open], *, rounds: int, count: int) -> dict[str, list[Round]]:
    """So many round trips of each row in every round."""
    return in_turns(list(rows), rounds, lambda row: asyncio.run(_round(rows[row], count)))


# --- output ----------------------------------------------------------------------------


def ratio(measured: Mapping[str, Sequence[Round]], row: str) -> list[float]:
    """How many times as long as the executor's a row's round trip takes, round by round."""
    pairs = zip(measured[row], measured[EXECUTOR], strict=True)
    return [own.p50_s / executor.p50_s for own, executor in pairs]


def report(measured: Mapping[str, Sequence[Round]]) -> str:
    """The table, and whether the goal is met."""
    header = [
        "microseconds: median",
        "round trip, p50",
        "p99",
        "x executor",
        f"each of {AT_ONCE} at once",
        f"{LARGE_CHARS // 1024} KiB",
    ]
    lines = []
    for row, rounds in measured.items():
        ratios = ratio(measured, row)
        lines.append(
            [
                row,
                _us([each.p50_s for each in rounds]),
                _us([each.p99_s for each in rounds]),
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                _us([each.each_s for each in rounds]),
                _us([each.large_s for each in rounds]),
            ]
        )
    times = statistics.median(ratio(measured, transport_row(SUBPROCESS)))
    goal = (
        f"a round trip over the subprocess transport takes at most {GOAL:g} times one of the "
        f"executor; it takes {times:.2f} times"
    )
    return f"{table(header, lines)}\n\n{verdict(goal, met=times <= GOAL)}"


def _us(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1e6:,.0f}"


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=9, has_environment=False)
    options = parser.parse_args(given)
    rounds = options.rounds or (2 if options.quick else 9)
    count = 100 if options.quick else 2_000
    python = f"Python {platform.python_version()}"
    print(f"{machine()}; {python}; {rounds} rounds of {count:,} round trips\n")
    print(report(measure(rows(TRANSPORTS), rounds=rounds, count=count)))


if __name__ == "__main__":
    main()
