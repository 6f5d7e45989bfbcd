"""What one replayed call per test costs, with its fixtures and hooks.

    python benchmarks/replay.py
    python benchmarks/replay.py --quick --environment /tmp/environment

Every row runs the same tests, each with one call and a cassette of its own, and pays
for what its plug-in does around them: setup, call and teardown, the plug-in's hooks
included. Subtracted is what an empty async test costs with pytest-asyncio alone. Times
are the processor's; of all the tests of all rounds the lower quartile counts, which
tells what a test costs while nothing else slows the machine. The range is that of the
rounds' medians, and the wall's time stands beside it.

- the floor: a prebuilt response, handed out by a mock transport to a shared client;
- pytest-mnemosyne: its fixture `claude`; cold is the first run after the cassettes
  were checked out, which parses YAML, warm is every other;
- pytest-recording, with a client that all tests share, or with one per test.

Our cassettes are recorded through the real record path, from a scripted Claude; those
of vcrpy hold the same bodies, written by its own serializer. The first test of a run,
which pays for what happens once (imports, patching), is a column of its own.

The goal: a replayed call and our fixtures cost at most 1.3 times the floor.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._laboratory import (
    Cost,
    Environment,
    arguments,
    cpu_range,
    in_turns,
    laboratory,
    lower_quartile,
    machine,
    median,
    ms,
    over,
    table,
    verdict,
)

GOAL: Final = 1.3

_ROUNDS: Final = 10
"""One process differs from the next by some percent: hashes, addresses, neighbours."""

EMPTY: Final = "an empty async test"
FLOOR: Final = "the floor: mock transport, shared client"
WARM: Final = "pytest-mnemosyne, warm"
COLD: Final = "pytest-mnemosyne, cold"
SHARED: Final = "pytest-recording, shared client"
EACH: Final = "pytest-recording, a client per test"


@dataclass(frozen=True, slots=True)
class Row:
    """How one row is run."""

    module: str
    plugin: str | None = None


ROWS: Final[Mapping[str, Row]] = {
    EMPTY: Row("test_empty"),
    FLOOR: Row("test_floor"),
    WARM: Row("test_mnemosyne", "mnemosyne"),
    COLD: Row("test_mnemosyne", "mnemosyne"),
    SHARED: Row("test_recording_shared", "recording"),
    EACH: Row("test_recording_each", "recording"),
}

_PROJECT: Final = Path(__file__).with_name("replay_project")
_COSTS: Final = "costs.json"
_COLUMNS: Final = ("all", "over empty", "range", "wall", "x floor", "first test")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size was measured to cost."""

    tests: int
    runs: dict[str, list[list[Cost]]]
    """For each row and round, what every test cost, in order."""

    def first(self, row: str) -> Cost:
        """What the first test of a run cost, which pays for what happens once."""
        return median([run[0] for run in self.runs[row]])

    def each(self, row: str) -> Cost:
        """What any other test cost."""
        return lower_quartile([cost for run in self.runs[row] for cost in run[1:]])

    def each_by_round(self, row: str) -> list[Cost]:
        """The same, round by round, with whatever slowed the machine."""
        return [median(run[1:]) for run in self.runs[row]]


class Bench:
    """The throw-away project, and runs of it."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        """Put the project into `folder`; nothing is recorded yet."""
        self._environment = environment
        self._folder = folder
        shutil.copytree(_PROJECT, folder, dirs_exist_ok=True)
        settings = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        (folder / "pytest.ini").write_text(f"[pytest]\n{settings}", encoding="utf-8")

    def record(self, tests: int) -> None:
        """Record our cassettes from a scripted Claude, and write the peers' from them."""
        options = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
        self._pytest(ROWS[WARM], tests, *options, BENCHMARK_RECORDS="1")
        cassettes = self._folder / "cassettes"
        peers = [str(cassettes / ROWS[row].module) for row in (SHARED, EACH)]
        own = str(cassettes / ROWS[WARM].module)
        self._environment.run(
            "to_vcrpy.py", own, *peers, cwd=self._folder, variables=_variables(tests)
        )

    def run(self, row: str, tests: int) -> list[Cost]:
        """Run a row once: what each test cost."""
        if row == COLD:
            shutil.rmtree(self._folder / ".pytest_cache", ignore_errors=True)
        self._pytest(ROWS[row], tests)
        costs = [Cost(*each) for each in json.loads((self._folder / _COSTS).read_bytes())]
        if len(costs) != tests + 1:
            raise RuntimeError(f"{row}: {len(costs)} tests were run instead of {tests + 1}")
        return costs

    def _pytest(self, row: Row, tests: int, *options: str, **variables: str) -> None:
        plugin = () if row.plugin is None else ("-p", row.plugin)
        self._environment.run(
            *("-m", "pytest", "-q", "-p", "asyncio", *plugin, *options, f"{row.module}.py"),
            cwd=self._folder,
            variables=_variables(tests) | variables,
        )


def _variables(tests: int) -> dict[str, str]:
    return {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "BENCHMARK_TESTS": str(tests),
        "BENCHMARK_COSTS": _COSTS,
    }


def measure(bench: Bench, tests: int, *, rounds: int, rows: Sequence[str]) -> Measured:
    """Measure some rows at one size."""
    return Measured(tests, in_turns(rows, rounds, lambda row: bench.run(row, tests)))


def report(measured: Measured) -> str:
    """The table of one size, and whether the goal is met."""
    empty = measured.each(EMPTY)
    floor = measured.each(FLOOR) - empty
    rows = []
    for row in measured.runs:
        more = measured.each(row) - empty
        first = ms(measured.first(row).cpu_s)
        if row == EMPTY:
            rows.append([row, ms(empty.cpu_s), "-", "-", "-", "-", first])
            continue
        by_round = over({each: measured.each_by_round(each) for each in (row, EMPTY)}, row, EMPTY)
        rows.append(
            [
                row,
                ms(measured.each(row).cpu_s),
                ms(more.cpu_s),
                cpu_range(by_round),
                ms(more.wall_s),
                f"{more.cpu_s / floor.cpu_s:.2f}",
                first,
            ]
        )
    header = [f"{measured.tests} tests: ms per test", *_COLUMNS]
    ratio = (measured.each(WARM) - empty).cpu_s / floor.cpu_s
    goal = f"a replayed call costs at most {GOAL} times the floor; it costs {ratio:.2f} times"
    return f"{table(header, rows)}\n\n{verdict(goal, met=ratio <= GOAL)}"


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=_ROUNDS)
    parser.add_argument(
        "--tests", type=int, nargs="+", metavar="N", help="the sizes; default 100 and 1000"
    )
    parser.add_argument("--rows", nargs="+", metavar="TEXT", help="only rows that hold these texts")
    options = parser.parse_args(given)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    sizes = options.tests or ([20] if options.quick else [100, 1000])
    rows = [row for row in ROWS if _is_wanted(row, options.rows)]
    with laboratory(options.environment) as (environment, work):
        bench = Bench(environment, work)
        print(f"recording {max(sizes) + 1} cassettes ...", file=sys.stderr)
        bench.record(max(sizes))
        print(f"{machine()}; {environment.versions()}; {rounds} rounds")
        for size in sizes:
            print(f"\n{report(measure(bench, size, rounds=rounds, rows=rows))}", flush=True)


def _is_wanted(row: str, chosen: Sequence[str] | None) -> bool:
    always = (EMPTY, FLOOR, WARM)
    return row in always or chosen is None or any(text in row for text in chosen)


if __name__ == "__main__":
    main()
