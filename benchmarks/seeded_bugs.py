"""How many orders each policy runs before it finds a known bug.

    python benchmarks/seeded_bugs.py
    python benchmarks/seeded_bugs.py "lost update" "late exit"
    python benchmarks/seeded_bugs.py --write

The bugs stand in tests/simulation/bugs. Each is searched for by every policy, and by
those with a seed many times, with other seeds, which are other searches.
Nothing is timed: the numbers are the same on every machine.

`--write` makes docs/seeded-bugs.md anew; a test holds that page to what is counted.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._laboratory import ROOT, table
from pytest_mnemosyne.simulation.schedules import Plan, PolicyName, search
from tests.simulation.bugs.bug import RELIABLE, Bug, Obstacle
from tests.simulation.bugs.registry import BUGS, THEMES
from tests.simulation.schedules.programs import runs_of

PAGE: Final = ROOT / "docs" / "seeded-bugs.md"

SEARCHES: Final = 20
"""How often a policy with a seed searches for a bug."""

LIMIT: Final = 500
"""How many orders a search tries before it gives up."""

NEVER: Final = math.inf

_COLUMNS: Final = ("bug", *PolicyName, "tape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What it takes to find one bug."""

    needed: Mapping[PolicyName, Sequence[float]]
    """For each policy and search, the orders up to the one that failed, the plain one among
    them; `NEVER` for a search that gave up."""

    tape: float
    """How many choices are not plain in the smallest run that fails; `NEVER` if none was found."""

    def is_reliable(self, policy: PolicyName) -> bool:
        """Whether each search of a policy found the bug soon enough."""
        return max(self.needed[policy]) <= RELIABLE

    @property
    def cells(self) -> tuple[str, ...]:
        """The numbers of a row, in the order of the policies, then the tape."""
        return (*(_cell(self.needed[policy]) for policy in PolicyName), _number(self.tape))


def _cell(needed: Sequence[float]) -> str:
    median = statistics.median(needed)
    if len(needed) == 1 or median == NEVER:
        return _number(median)
    return f"{_number(median)} ({_number(max(needed))})"


def _number(value: float) -> str:
    return "-" if value == NEVER else f"{value:g}"


def measure(bug: Bug) -> Measured:
    """Search for a bug with every policy."""
    needed: dict[PolicyName, list[float]] = {}
    tapes: list[float] = [NEVER]
    for policy in PolicyName:
        needed[policy] = []
        for plan in _plans(policy):
            found = search(runs_of(bug.wrong), plan).found
            needed[policy].append(NEVER if found is None else found.number + 1)
            if found is not None and plan.shrink_budget:
                tapes.append(len(found.tape))
            if needed[policy].count(NEVER) * 2 >= SEARCHES:
                # The median is certain, and these are the searches that take longest.
                break
    return Measured(needed=needed, tape=min(tapes))


def _plans(policy: PolicyName) -> Iterator[Plan]:
    # Other searches take other seeds, if the policy has any; the first one also shrinks.
    yield Plan(runs=LIMIT, policy=policy)
    if policy is not PolicyName.EXHAUSTIVE:
        for number in range(1, SEARCHES):
            yield Plan(runs=LIMIT, policy=policy, seed=number, shrink_budget=0)


# --- the page --------------------------------------------------------------------------


def row(bug: Bug, measured: Measured) -> str:
    """A bug's row on the page."""
    return f"| {' | '.join((bug.name, bug.told, *measured.cells))} |"


def page(rows: Mapping[str, str]) -> str:
    """The page.

    Args:
        rows: For each bug's name its row.
    """
    return "\n".join(_lines(rows))


def _lines(rows: Mapping[str, str]) -> Iterator[str]:
    yield "# Seeded bugs"
    yield ""
    yield (
        f"{len(BUGS)} small programs, each with one known bug: something right, broken the way "
        "such things get broken in supervision trees, queues, bridges and buses. The tables say "
        "how many orders the policies of [schedules](schedules.md) ran until one failed, the "
        f"plain order among them. Without a search all {len(BUGS)} pass."
    )
    yield ""
    yield (
        f"`random` and `pct` searched {SEARCHES} times, each time with other orders: the number is "
        "the median, and the most that any of these searches needed stands in brackets. "
        "`exhaustive` has no seed, so it searched once. A `-` is a search that gave up after "
        f"{LIMIT} orders, or had no more to try; as a median, at least half of them. `tape` "
        "is how many choices of the smallest failing run are not the plain ones, after shrinking. "
        "Only orders are counted, and what is drawn follows from the seed, so the numbers are the "
        "same on every machine."
    )
    yield ""
    found = ", ".join(f"`{policy}` {_reliable(policy)}" for policy in PolicyName)
    yield (
        f"Within {RELIABLE} orders, which is what `schedules` tries by default, every search found "
        f"its bug for so many of the {len(BUGS)}: {found}. The right version of a program, which "
        f"stands beside each broken one, passes under {RELIABLE} orders of every policy."
    )
    yield ""
    yield (
        "The programs are in `tests/simulation/bugs`; `python benchmarks/seeded_bugs.py --write` "
        "counts again and writes this page."
    )
    for theme, bugs in THEMES.items():
        yield from ("", f"## {theme[0].upper()}{theme[1:]}", "")
        yield f"| bug | what is wrong | {' | '.join(_COLUMNS[1:])} |"
        yield f"|---|---|{'---|' * len(_COLUMNS[1:])}"
        yield from (rows[bug.name] for bug in bugs)
    yield from ("", "## Which policy misses what", "")
    for policy in PolicyName:
        for obstacle in Obstacle:
            missed = [bug.name for bug in BUGS if bug.elusive.get(policy) is obstacle]
            if missed:
                yield f"- `{policy}`: {obstacle}: {', '.join(missed)}."
    yield ""


def _reliable(policy: PolicyName) -> int:
    return sum(policy not in bug.elusive for bug in BUGS)


# --- the command line ------------------------------------------------------------------


def main(given: Sequence[str] | None = None) -> None:
    """Count and print, and write the page if that is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="BUG", help="only these; default: all")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(given)
    unknown = sorted(set(options.names) - {bug.name for bug in BUGS})
    if unknown:
        known = ", ".join(bug.name for bug in BUGS)
        parser.error(f"no bug is called {unknown[0]!r}; there are {known}")
    if options.names and options.write:
        parser.error("the page has all bugs: leave out the names, or --write")
    bugs = [bug for bug in BUGS if not options.names or bug.name in options.names]
    measured = [(bug, measure(bug)) for bug in bugs]
    print(table(_COLUMNS, [(bug.name, *each.cells) for bug, each in measured]))
    if options.write:
        rows = {bug.name: row(bug, each) for bug, each in measured}
        PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
