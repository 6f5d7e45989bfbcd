"""What messages, starts and restarts of actors cost, beside raw asyncio and two peers.

    python benchmarks/supervision.py
    python benchmarks/supervision.py --quick --environment /tmp/environment

Every row is a process of its own that runs one program again and again:

- ask: one question at a time, each answered before the next; and 64 that wait at once;
- tell: messages without an answer, until the last one has been handled;
- spawn: start one more worker under a supervisor and wait until it says that it is ready;
- restart: crash a worker and wait until its successor is ready.

Raw asyncio is a task that reads an `asyncio.Queue`: nobody supervises it, and what
fails is started again by a done-callback. In pykka and thespian, too, the user writes the
restart. Ours stands there twice, since none of the others writes down what happens: with a
recorder that only counts events, by which the goals are judged, and with a journal in
memory. Throughput is timed by the processor, restarts by the wall. Ratios are medians of
the rounds' ratios to raw asyncio, since rows that ran one after the other had the same
machine; their lowest and highest stand beside them.

The second table has many of a kind at once, each kind in a process of its own: tasks with
a queue, actors under one supervisor, and agents behind bridges, one per actor, with open
sessions on the same Claude client. Their memory is what Python's allocators have handed out.

The goals: an ask costs at most twice one of raw asyncio (50 %), a tell reaches 35 %, a
spawn 25 %, and half of the restarts take at most 0.2 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._laboratory import (
    Environment,
    arguments,
    in_turns,
    laboratory,
    machine,
    ms,
    table,
    verdict,
)

PEERS: Final = ("pykka", "thespian")

RAW: Final = "raw asyncio"
OURS: Final = "ours, events counted"
THESPIAN: Final = "thespian, one process"
ROWS: Final[Mapping[str, str]] = {
    RAW: "raw:Raw",
    OURS: "ours:Counted",
    "ours, journal in memory": "ours:Journalled",
    "pykka": "with_pykka:Pykka",
    THESPIAN: "with_thespian:Thespian",
}

ASK: Final = "ask"
IN_FLIGHT: Final = "ask_in_flight"
TELL: Final = "tell"
SPAWN: Final = "spawn"
THROUGHPUT: Final[Mapping[str, str]] = {
    ASK: "ask",
    IN_FLIGHT: "ask, 64 at once",
    TELL: "tell",
    SPAWN: "spawn",
}
RESTART: Final = "restart"

GOALS: Final[Mapping[str, float]] = {ASK: 0.50, TELL: 0.35, SPAWN: 0.25}
"""The share of raw asyncio's throughput that ours has to reach."""

RESTART_GOAL_S: Final = 0.000_2

CROWDS: Final[Mapping[str, str]] = {
    "asyncio tasks": "raw:Tasks",
    "actors": "ours:Actors",
    "agents behind bridges": "our_agents:Agents",
}

_PROGRAM: Final = Path(__file__).with_name("actors_project") / "turning.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often something is done in one process."""

    asks: int
    """A multiple of 64, since so many are asked at once."""

    tells: int
    spawns: int
    restarts: int
    crowd: int

    def of(self, program: str) -> int:
        """How often one program of throughput does what it does."""
        return {TELL: self.tells, SPAWN: self.spawns}.get(program, self.asks)


WHOLE: Final = Sizes(asks=19_200, tells=100_000, spawns=1_000, restarts=500, crowd=1_000)
QUICK: Final = Sizes(asks=960, tells=1_000, spawns=50, restarts=20, crowd=50)


@dataclass(frozen=True, slots=True)
class Latency:
    """The restarts of one round, in seconds."""

    p50_s: float
    p99_s: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """What half and all but a hundredth of these do not exceed."""
        ordered = sorted(seconds)
        return cls(statistics.median(ordered), ordered[(len(ordered) * 99 - 1) // 100])


@dataclass(frozen=True, slots=True)
class Measured:
    """What all rounds came to, for each row that has the program."""

    rates: dict[str, dict[str, list[float]]]
    """For each program of throughput, how many there were per second."""

    restarts: dict[str, list[Latency]]

    def shares(self, program: str, row: str) -> list[float]:
        """A row's throughput as a share of raw asyncio's, round by round."""
        rates = self.rates[program]
        return [own / raw for own, raw in zip(rates[row], rates[RAW], strict=True)]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one kind costs in numbers."""

    starts_s: Sequence[float]
    stops_s: Sequence[float]
    each_bytes: float


def measure(
    environment: Environment, rows: Sequence[str], *, rounds: int, sizes: Sizes
) -> Measured:
    """Run every program of these rows."""

    def rates_of(program: str) -> dict[str, list[float]]:
        count = sizes.of(program)

        def one_run(row: str) -> float:
            (seconds,) = _run(environment, ROWS[row], program, count)
            return count / seconds

        return in_turns([row for row in rows if _has(row, program)], rounds, one_run)

    def one_latency(row: str) -> Latency:
        return Latency.of(_run(environment, ROWS[row], RESTART, sizes.restarts))

    return Measured(
        {program: rates_of(program) for program in THROUGHPUT}, in_turns(rows, rounds, one_latency)
    )


def measure_crowds(environment: Environment, *, rounds: int, sizes: Sizes) -> dict[str, Crowd]:
    """Start and stop many of each kind."""

    def times(kind: str) -> list[float]:
        return _run(environment, CROWDS[kind], "times", sizes.crowd)

    def bytes_each(kind: str) -> float:
        (each,) = _run(environment, CROWDS[kind], "memory", sizes.crowd)
        return each

    crowds = {}
    for kind, runs in in_turns(list(CROWDS), rounds, times).items():
        starts_s, stops_s = zip(*runs, strict=True)
        crowds[kind] = Crowd(starts_s, stops_s, bytes_each(kind))
    return crowds


def _has(row: str, program: str) -> bool:
    # A message to an actor in the same process is handled before thespian hands back control.
    return (row, program) != (THESPIAN, IN_FLIGHT)


def _run(environment: Environment, peer: str, program: str, count: int) -> list[float]:
    said = environment.run(str(_PROGRAM), peer, program, str(count))
    return [float(number) for number in json.loads(said)]


# --- output ----------------------------------------------------------------------------


def report(measured: Measured) -> str:
    """The tables of messages, starts and restarts, and whether the goals are met."""
    names = THROUGHPUT.values()
    totals = [
        [
            row,
            *(_rate(measured.rates[program], row) for program in THROUGHPUT),
            _milliseconds([latency.p50_s for latency in latencies]),
            _milliseconds([latency.p99_s for latency in latencies]),
        ]
        for row, latencies in measured.restarts.items()
    ]
    shares = [
        [row, *(_share(measured, program, row) for program in THROUGHPUT)]
        for row in measured.restarts
        if row != RAW
    ]
    verdicts = []
    for program, goal in GOALS.items():
        share = statistics.median(measured.shares(program, OURS))
        text = f"{program} reaches {goal:.0%} of raw asyncio; it reaches {share:.0%}"
        verdicts.append(verdict(text, met=share >= goal))
    p50_s = statistics.median(latency.p50_s for latency in measured.restarts[OURS])
    text = f"half of the restarts take at most {ms(RESTART_GOAL_S)} ms; they take {ms(p50_s)}"
    verdicts.append(verdict(text, met=p50_s <= RESTART_GOAL_S))
    return "\n".join(
        [
            table(["per second: median", *names, "restart, p50 ms", "p99 ms"], totals),
            "",
            table(["of raw asyncio: median", *names], shares),
            "",
            *verdicts,
        ]
    )


def report_crowds(crowds: Mapping[str, Crowd], count: int) -> str:
    """The table of many at once."""
    header = [f"{count:,} at once: median", "start ms", "stop ms", "KiB each"]
    rows = [
        [
            kind,
            _milliseconds(crowd.starts_s),
            _milliseconds(crowd.stops_s),
            f"{crowd.each_bytes / 1024:.1f}",
        ]
        for kind, crowd in crowds.items()
    ]
    return table(header, rows)


def _rate(rates: Mapping[str, Sequence[float]], row: str) -> str:
    return f"{statistics.median(rates[row]):,.0f}" if row in rates else "-"


def _share(measured: Measured, program: str, row: str) -> str:
    if row not in measured.rates[program]:
        return "-"
    shares = measured.shares(program, row)
    return f"{statistics.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})"


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{ms(statistics.median(seconds))} ({ms(min(seconds))} to {ms(max(seconds))})"


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=9)
    options = parser.parse_args(given)
    rounds = options.rounds or (2 if options.quick else 9)
    sizes = QUICK if options.quick else WHOLE
    with laboratory(options.environment, peers=PEERS) as (environment, _work):
        versions = environment.versions(*PEERS)
        print(f"{machine()}; {versions}; {rounds} rounds of {sizes.asks:,} asks\n")
        measured = measure(environment, list(ROWS), rounds=rounds, sizes=sizes)
        print(report(measured), end="\n\n", flush=True)
        crowds = measure_crowds(environment, rounds=rounds, sizes=sizes)
        print(report_crowds(crowds, sizes.crowd))


if __name__ == "__main__":
    main()
