"""A day in the life of a supervised tree, on virtual time: how long does it really take?

    python benchmarks/virtual_day.py
    python benchmarks/virtual_day.py --quick

A tree with agents on the real SDK works on 1,000 items, one every 86 seconds, each
written by the executor and judged by the reviewer. Claude is a script inside the
process, behind a plan of 100 faults: rate limits with a `retry-after`, overloads,
connections that are reset, and stalls that only the client's patience ends. Nothing
sleeps: the loop's clock jumps. The day is lived several times in one process; the
first time pays for imports and is not counted.

The goal: less than 5 seconds for a day.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx2
from anthropic import AsyncAnthropic

from benchmarks._laboratory import arguments, machine, table, verdict
from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import Decision, Gate
from pytest_mnemosyne.simulation import (
    FaultPlan,
    FaultPlanBuilder,
    FaultyTransport,
    ScriptedClaude,
    VirtualClock,
    VirtualLoop,
    asks_for_json,
    assert_recovers,
)
from pytest_mnemosyne.simulation.faults import RunningPlan

GOAL_S: Final = 5.0
DAY_S: Final = 86_400.0

APPROVED: Final = {
    "decision": Decision.APPROVE.value,
    "gates": {gate.value: True for gate in Gate},
    "confidence": 0.9,
    "issues": [],
    "suggested_tests": [],
}


@dataclass(frozen=True, slots=True)
class Day:
    """What a day came to."""

    items: int
    calls: int
    faults: int
    virtual_s: float
    wall_s: float
    cpu_s: float


def plan_of(faults: int, *, every: int) -> FaultPlan:
    """So many faults, one at every so many calls, of four kinds in turn."""
    builder = FaultPlanBuilder()
    for number in range(faults):
        call = 1 + number * every
        match number % 4:
            case 0:
                builder.status(429, retry_after=30, call=call)
            case 1:
                builder.status(529, call=call)
            case 2:
                builder.reset(call=call)
            case _:
                builder.stall(call=call)
    return builder.plan


async def live(items: int, faults: int) -> tuple[int, int, float]:
    """Live a day; calls to Claude, faults that struck, and seconds that passed."""
    clock = VirtualClock.of_running_loop()
    scripted = ScriptedClaude()
    scripted.when(asks_for_json()).reply(json=APPROVED, times=None)
    scripted.reply("It is done.", times=None)
    running = RunningPlan(plan_of(faults, every=max(1, 2 * items // faults)))
    transport = FaultyTransport(scripted.transport(), running)
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        AsyncAnthropic(api_key="none", http_client=http) as sdk,
        SupervisionTree(
            SupervisionConfig(), client=AnthropicClient(sdk), clock=clock, ids=CountedIds()
        ) as tree,
    ):
        for number in range(items):
            await tree.submit({"description": f"Do the thing number {number}."})
            await asyncio.sleep(DAY_S / items)
        await assert_recovers(tree, within_s=3600)
        failed = [item for item in tree.journal.items() if item.state.value != "completed"]
        if failed:
            raise RuntimeError(f"{len(failed)} items were not completed: {failed[0]}")
    return len(scripted.requests), len(running.strikes), clock.monotonic()


def measure(items: int, faults: int) -> Day:
    """Live a day on a loop of its own."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        calls, struck, virtual_s = runner.run(live(items, faults))
    return Day(
        items=items,
        calls=calls,
        faults=struck,
        virtual_s=virtual_s,
        wall_s=time.perf_counter() - wall_s,
        cpu_s=time.process_time() - cpu_s,
    )


def report(days: Sequence[Day]) -> str:
    """The table, and whether the goal is met."""
    wall_s = statistics.median(day.wall_s for day in days)
    header = ["a day", "items", "calls answered", "faults", "virtual s", "real s", "processor s"]
    rows = [
        [
            str(number),
            f"{day.items:,}",
            f"{day.calls:,}",
            str(day.faults),
            f"{day.virtual_s:,.0f}",
            f"{day.wall_s:.2f}",
            f"{day.cpu_s:.2f}",
        ]
        for number, day in enumerate(days, start=1)
    ]
    goal = f"a virtual day takes less than {GOAL_S:.0f} s; it takes {wall_s:.2f}"
    return f"{table(header, rows)}\n\n{verdict(goal, met=wall_s < GOAL_S)}"


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=3, has_environment=False)
    options = parser.parse_args(given)
    rounds = options.rounds or (1 if options.quick else 3)
    items, faults = (40, 8) if options.quick else (1_000, 100)
    measure(20, 4)
    days = [measure(items, faults) for _ in range(rounds)]
    print(f"{machine()}; Python {sys.version.split()[0]}\n")
    print(report(days))


if __name__ == "__main__":
    main()
