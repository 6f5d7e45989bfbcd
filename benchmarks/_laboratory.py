"""What the benchmarks share: an environment to measure in, rounds, numbers, a table.

Rows are measured in turns (A B C, A B C, ...) and compared round by round, so that a
machine that grows slower in the meantime slows all of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]

PEERS = ("hypothesis", "pytest-recording")
"""What is installed beside this project, to compare with."""

_SHOWN = ("pytest", "pytest-asyncio", "pytest-recording", "vcrpy", "anthropic", "hypothesis")

_TAIL = 4000
"""How many characters of a failed command's output are shown."""

_UNWANTED = ("ANTHROPIC_", "COVERAGE_", "MNEMOSYNE_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")


class LaboratoryError(Exception):
    """A command that the measurement needs has failed; the text ends with what it said."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with this project and its peers."""

    python: Path

    @classmethod
    def at(cls, folder: Path, peers: Sequence[str] = PEERS) -> Environment:
        """The environment in `folder`, made there if there is none; it needs pip's index."""
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        python = folder.absolute() / scripts / Path(sys.executable).name
        if not python.exists():
            venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
            made = cls(python if python.exists() else python.with_name("python"))
            made.run("-m", "pip", "install", "--quiet", f"{ROOT}[scripted]", *peers)
            return made
        return cls(python)

    def run(
        self, *args: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run its Python to the end and hand back what it printed.

        Raises:
            LaboratoryError: It failed.
        """
        finished = subprocess.run(
            [str(self.python), *args],
            cwd=cwd,
            env=plain_environment() | dict(variables or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            said = f"{finished.stdout}\n{finished.stderr}".strip()
            raise LaboratoryError(
                f"{' '.join(args)} ended with {finished.returncode}: ...\n{said[-_TAIL:]}"
            )
        return finished.stdout

    def cost(
        self, *args: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> Cost:
        """Run its Python to the end and hand back what the whole process cost.

        Raises:
            LaboratoryError: It failed.
        """
        cpu_s, wall_s = _children_cpu_s(), time.perf_counter()
        self.run(*args, cwd=cwd, variables=variables)
        return Cost(_children_cpu_s() - cpu_s, time.perf_counter() - wall_s)

    def has(self, package: str) -> bool:
        """Whether a package can be imported there."""
        program = "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]))"
        return self.run("-c", program, package).strip() != "None"

    def versions(self, *packages: str) -> str:
        """What is compared, with versions."""
        program = (
            "import sys, platform; from importlib.metadata import version;"
            "print('Python', platform.python_version());"
            "[print(name, version(name)) for name in sys.argv[1:]]"
        )
        return ", ".join(self.run("-c", program, *(packages or _SHOWN)).splitlines())


def plain_environment() -> dict[str, str]:
    """This process's environment without what would change a measurement."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith(_UNWANTED)
    }


def _children_cpu_s() -> float:
    if sys.platform == "win32":
        # Windows does not tell; a quiet machine's wall is the next best.
        return time.perf_counter()
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --- numbers ---------------------------------------------------------------------------


Measurement = TypeVar("Measurement")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one measurement."""

    cpu_s: float
    """Of the processor: what other processes on the machine hardly change."""

    wall_s: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s - other.cpu_s, self.wall_s - other.wall_s)


def in_turns(
    rows: Sequence[str], rounds: int, measure: Callable[[str], Measurement]
) -> dict[str, list[Measurement]]:
    """Measure every row once per round; a first round without a count warms the disk."""
    for row in rows:
        measure(row)
    samples: dict[str, list[Measurement]] = {row: [] for row in rows}
    for number in range(rounds):
        # Every other round backwards: who comes after whom should not matter.
        for row in rows if number % 2 == 0 else reversed(rows):
            samples[row].append(measure(row))
    return samples


def over(samples: Mapping[str, Sequence[Cost]], row: str, base: str) -> list[Cost]:
    """By how much a row exceeds another, round by round."""
    return [mine - its for mine, its in zip(samples[row], samples[base], strict=True)]


def median(costs: Sequence[Cost]) -> Cost:
    """The medians of both clocks."""
    return Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
    )


def lower_quartile(costs: Sequence[Cost]) -> Cost:
    """Of both clocks, what three quarters exceed: the cost while nobody else was at work."""
    return Cost(
        statistics.quantiles([cost.cpu_s for cost in costs], n=4)[0],
        statistics.quantiles([cost.wall_s for cost in costs], n=4)[0],
    )


def cpu_range(costs: Sequence[Cost]) -> str:
    """The processor's milliseconds, lowest to highest."""
    seconds = [cost.cpu_s for cost in costs]
    return f"{ms(min(seconds))} to {ms(max(seconds))}"


def ms(seconds: float) -> str:
    """Milliseconds with three digits or so."""
    value = seconds * 1000
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


# --- output ----------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain columns: the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    shown = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([shown[0], rule, *shown[1:]])


def verdict(goal: str, *, met: bool) -> str:
    """One line about a goal."""
    return f"goal {'met' if met else 'MISSED'}: {goal}"


def machine() -> str:
    """Where this runs, and how busy it is."""
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{busy}"


# --- the command line ------------------------------------------------------------------


def arguments(
    description: str, *, rounds: int, has_environment: bool = True
) -> argparse.ArgumentParser:
    """The options that every benchmark has, save those that measure in their own process."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it works at all")
    parser.add_argument(
        "--rounds", type=_positive, help=f"how often every row is measured; default {rounds}"
    )
    if has_environment:
        parser.add_argument(
            "--environment",
            type=Path,
            metavar="DIR",
            help="measure in this virtual environment, as it is, and keep it; made if need be",
        )
    return parser


def _positive(given: str) -> int:
    number = int(given)
    if number < 1:
        raise argparse.ArgumentTypeError(f"takes a number from 1, got {given}")
    return number


@contextmanager
def laboratory(
    environment: Path | None, *, peers: Sequence[str] = PEERS
) -> Iterator[tuple[Environment, Path]]:
    """An environment to measure in and an empty folder, both gone afterwards.

    Args:
        environment: A folder for the virtual environment, which is kept.
        peers: What is installed beside this project, should it be made.
    """
    folder = Path(tempfile.mkdtemp(prefix="mnemosyne-benchmark-"))
    try:
        work = folder / "work"
        work.mkdir()
        print("making the environment ...", file=sys.stderr)
        yield Environment.at(environment or folder / "environment", peers), work
    finally:
        shutil.rmtree(folder, ignore_errors=True)
