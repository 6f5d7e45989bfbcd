"""What loading pytest-mnemosyne adds to a run of pytest that does not use it.

    python benchmarks/startup.py
    python benchmarks/startup.py --quick --environment /tmp/environment

Every row is a process of its own, from its start to its end, in one and the same
virtual environment; the rows differ in the plug-ins that pytest loads there. Times are
the processor's, which a busy machine changes less; the wall's stand beside them. `over
bare` is the difference to pytest without any third-party plug-in: the median of the
rounds' differences, since rows that ran one after the other had the same machine.

The goal: the same environment with and without pytest-mnemosyne (`-p no:mnemosyne`)
differs by less than 20 ms.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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
    machine,
    median,
    ms,
    over,
    table,
    verdict,
)

GOAL_S: Final = 0.020

BARE: Final = "bare pytest"
WITHOUT: Final = "what our dependencies bring (-p no:mnemosyne)"
OURS: Final = "pytest-mnemosyne"

_ALONE: Final = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_PEERS: Final = ("-p", "no:recording", "-p", "no:hypothesispytest")

ROWS: Final[Mapping[str, tuple[Mapping[str, str], Sequence[str]]]] = {
    BARE: (_ALONE, ()),
    "pytest-asyncio alone": (_ALONE, ("-p", "asyncio")),
    "pytest-recording alone": (_ALONE, ("-p", "recording")),
    WITHOUT: ({}, (*_PEERS, "-p", "no:mnemosyne")),
    OURS: ({}, _PEERS),
    "the former and hypothesis, without ours": (
        {},
        ("-p", "no:recording", "-p", "no:mnemosyne"),
    ),
}
"""For each row, the environment variables and the arguments that choose the plug-ins."""

Costs = dict[str, list[Cost]]
"""For each row, one cost per round."""

CASES: Final[Mapping[str, Sequence[str]]] = {"collect only": ("--collect-only",), "one test": ()}


def measure(environment: Environment, project: Path, *, rounds: int) -> dict[str, Costs]:
    """What each row costs, for each case."""

    def costs_of(case: Sequence[str]) -> Costs:
        def one_run(row: str) -> Cost:
            variables, chosen = ROWS[row]
            args = ("-m", "pytest", "-q", *case, *chosen)
            return environment.cost(*args, cwd=project, variables=variables)

        return in_turns(list(ROWS), rounds, one_run)

    return {name: costs_of(case) for name, case in CASES.items()}


def write_project(folder: Path) -> None:
    """The run that is measured: one test, which does nothing."""
    # pytest-asyncio warns where this is not set, and that takes time, too.
    settings = "asyncio_default_fixture_loop_scope = function\n"
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}", encoding="utf-8")
    (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n", encoding="utf-8")


def report(cases: Mapping[str, Costs]) -> str:
    """The table, and whether the goal is met."""
    header = ["ms per run: median"]
    for case in cases:
        header += [case, "range", "over bare", "wall"]
    rows = []
    for row in ROWS:
        line = [row]
        for costs in cases.values():
            typical = median(costs[row])
            more = "-" if row == BARE else ms(median(over(costs, row, BARE)).cpu_s)
            line += [ms(typical.cpu_s), cpu_range(costs[row]), more, ms(typical.wall_s)]
        rows.append(line)
    lines = [table(header, rows), ""]
    for case, costs in cases.items():
        added = median(over(costs, OURS, WITHOUT))
        goal = (
            f"{case}: ours adds less than {ms(GOAL_S)} ms to the same environment; it adds "
            f"{ms(added.cpu_s)} ({ms(added.wall_s)} by the wall)"
        )
        lines.append(verdict(goal, met=added.cpu_s < GOAL_S))
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=25)
    options = parser.parse_args(given)
    rounds = options.rounds or (2 if options.quick else 25)
    with laboratory(options.environment) as (environment, work):
        write_project(work)
        cases = measure(environment, work, rounds=rounds)
        print(f"{machine()}; {environment.versions()}; {rounds} rounds\n")
        print(report(cases))


if __name__ == "__main__":
    main()
