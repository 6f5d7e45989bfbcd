"""What a step of a virtual loop costs, and a jump of its clock, beside its peers.

    python benchmarks/virtual_time.py
    python benchmarks/virtual_time.py --quick --environment /tmp/environment

Every row is a process of its own that runs one loop: asyncio's own, ours as the marker
`virtual_time` uses it, ours as the marker `schedules` does (every step drawn and taken
down), looptime, and simloom, which needs Python 3.12 and is left out below. Times are
the processor's. The ratios are medians of the rounds' ratios to asyncio's own loop,
since rows that ran one after the other had the same machine.

The goals: a step costs at most 1.4 times one of asyncio's own loop; a jump costs less
than 20 microseconds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
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
    table,
    verdict,
)

STEP_GOAL: Final = 1.4
JUMP_GOAL_US: Final = 20.0

STOCK: Final = "asyncio's own loop"
VIRTUAL: Final = "ours, virtual time"
TRACED: Final = "ours, under a schedule"
ROWS: Final[Mapping[str, str]] = {
    STOCK: "stock",
    VIRTUAL: "virtual",
    TRACED: "traced",
    "looptime": "looptime",
    "simloom": "simloom",
}
PEERS: Final = ("looptime", 'simloom; python_version >= "3.12"')

STEPS: Final = ("hops", "handovers")
JUMPS: Final = "jumps"

_PROGRAM: Final = Path(__file__).with_name("loop_project") / "turning.py"

Seconds = dict[str, list[float]]
"""For each row, seconds per step or jump, one number per round."""

Measured = dict[str, Seconds]
"""The same for each program."""


def measure(environment: Environment, rows: Sequence[str], *, rounds: int, count: int) -> Measured:
    """Seconds per step of each row, for each program."""

    def seconds_of(program: str, rows: Sequence[str]) -> Seconds:
        def one_run(row: str) -> float:
            said = environment.run(str(_PROGRAM), ROWS[row], program, str(count))
            return float(said) / count

        return in_turns(rows, rounds, one_run)

    # A stock loop would really sleep.
    return {program: seconds_of(program, rows) for program in STEPS} | {
        JUMPS: seconds_of(JUMPS, [row for row in rows if row != STOCK])
    }


def ratio(seconds: Seconds, row: str) -> float:
    """How many times as much as asyncio's own loop a row costs."""
    pairs = zip(seconds[row], seconds[STOCK], strict=True)
    return statistics.median(own / stock for own, stock in pairs)


def report(measured: Measured) -> str:
    """The table, and whether the goals are met."""
    header = ["microseconds: median", *(f"a step, {name}" for name in STEPS), "a jump"]
    rows = []
    for row in measured[STEPS[0]]:
        cells = [row]
        for name in STEPS:
            typical = statistics.median(measured[name][row]) * 1e6
            cells.append(f"{typical:.2f} ({ratio(measured[name], row):.2f} x)")
        jump = measured[JUMPS].get(row)
        cells.append("-" if jump is None else f"{statistics.median(jump) * 1e6:.1f}")
        rows.append(cells)
    worst = max(ratio(measured[name], VIRTUAL) for name in STEPS)
    jump_us = statistics.median(measured[JUMPS][VIRTUAL]) * 1e6
    lines = [
        table(header, rows),
        "",
        verdict(
            f"a step costs at most {STEP_GOAL} times one of asyncio's own loop; it costs "
            f"{worst:.2f} times",
            met=worst <= STEP_GOAL,
        ),
        verdict(
            f"a jump costs less than {JUMP_GOAL_US:.0f} microseconds; it costs {jump_us:.1f}",
            met=jump_us < JUMP_GOAL_US,
        ),
    ]
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=9)
    options = parser.parse_args(given)
    rounds = options.rounds or (2 if options.quick else 9)
    count = 2_000 if options.quick else 100_000
    with laboratory(options.environment, peers=PEERS) as (environment, _work):
        rows = [row for row in ROWS if row != "simloom" or environment.has("simloom")]
        measured = measure(environment, rows, rounds=rounds, count=count)
        shown = environment.versions("looptime", *(["simloom"] if "simloom" in rows else []))
        print(f"{machine()}; {shown}; {rounds} rounds of {count}\n")
        print(report(measured))


if __name__ == "__main__":
    main()
