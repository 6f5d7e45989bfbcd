"""What cassettes cost, beside vcrpy that matches on bodies, and cassetter.

    python benchmarks/cassettes.py
    python benchmarks/cassettes.py --quick --environment /tmp/environment

Every number is a process of its own; the same program drives all recorders. What is
asked are conversations with tools that grow by a turn at a time, in the bytes that the
SDK sends. vcrpy and cassetter match on bodies too, which by default they do not.

- finding one answer, without an HTTP client, in cassettes from 10 interactions to 5,000:
  the last ones are asked for, of which vcrpy needs a sample only. The processor's time.
- opening 1,000 interactions; ours warm, as in every run but the first one after the file
  has changed, and cold;
- a recorded 529, 529, 200 with a `retry-after` of a second, through the SDK;
- a miss through the SDK, the second one of a process: the first pays for imports;
- the first event of a stream while it is recorded; the server takes a while to think, and
  between events. Directly is without any recorder;
- one more request of a conversation of 12 and of 40 turns in a cassette of 1,000: spelled
  as it was recorded, and with its JSON in another order, beside the SDK's own part of the
  call on a transport that answers from memory. The processor's time;
- the size of a file that holds one conversation of 40 turns, for each byte that is unique
  in it: with tools and whole answers, with short answers, and with streamed ones, of which
  what they come to counts as unique, and ours also has when each event came;
- the lines that differ after the same was recorded again from a server whose ids, dates
  and rate limits differ, as the API's do, but whose words do not.
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

PEERS: Final = ("cassetter",)

OURS: Final = "pytest-mnemosyne"
VCRPY: Final = "vcrpy, with body"
CASSETTER: Final = "cassetter, with body"
RECORDERS: Final[Mapping[str, str]] = {
    OURS: "ours",
    VCRPY: "with_vcrpy",
    CASSETTER: "with_cassetter",
}
DIRECTLY: Final = "directly"

TALKS: Final = ("whole", "short", "streamed")
"""The kinds of conversations whose files are measured."""

_PROGRAM: Final = Path(__file__).with_name("cassettes_project") / "measuring.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much there is."""

    found_in: Sequence[int]
    """The sizes of cassettes in which one answer is found."""

    most_found_by: Mapping[str, int]
    """vcrpy would take hours beyond, and cassetter reads no more than 250,000 nodes of YAML."""

    opened: int
    opened_turns: Sequence[int]
    most_turns_of: Mapping[str, int]
    """Of what is opened; cassetter's bound again."""

    conversations: Sequence[int]
    """Turns, of a cassette of as many interactions as are opened."""

    turns: int
    """Of the file whose size counts."""

    pace: str
    """The milliseconds until a stream's first event, and between events."""


WHOLE: Final = Sizes(
    found_in=(10, 100, 1_000, 5_000),
    most_found_by={VCRPY: 1_000, CASSETTER: 1_000},
    opened=1_000,
    opened_turns=(2, 12),
    most_turns_of={CASSETTER: 2},
    conversations=(12, 40),
    turns=40,
    pace="slow-400-100",
)
QUICK: Final = Sizes(
    found_in=(2, 4),
    most_found_by={VCRPY: 2},
    opened=4,
    opened_turns=(2,),
    most_turns_of={},
    conversations=(2,),
    turns=2,
    pace="slow-2-1",
)


class Bench:
    """One folder of cassettes, and programs that are run on it."""

    def __init__(
        self,
        environment: Environment,
        folder: Path,
        *,
        rounds: int,
        recorders: Mapping[str, str] = RECORDERS,
    ) -> None:
        """Measure with `recorders`, by their modules; ours is one of them."""
        self.recorders = recorders
        self._environment = environment
        self._folder = folder
        self._rounds = rounds

    def once(self, module: str, program: str, *given: object) -> list[float]:
        """The numbers of one run."""
        arguments = [json.dumps(each) for each in (str(self._folder), *given)]
        said = self._environment.run(str(_PROGRAM), module, program, *arguments)
        return [float(number) for number in json.loads(said)]

    def in_turns(
        self, modules: Mapping[str, str], program: str, *given: object
    ) -> dict[str, list[list[float]]]:
        """The numbers of all rounds, for each row."""
        return in_turns(
            list(modules), self._rounds, lambda row: self.once(modules[row], program, *given)
        )


def finding(bench: Bench, sizes: Sizes) -> str:
    """The table of finding one answer."""
    rows = []
    ours = []
    for row, module in bench.recorders.items():
        cells = []
        for count in sizes.found_in:
            if count > sizes.most_found_by.get(row, count):
                cells.append("-")
                continue
            asked = 2 if row == VCRPY else 200
            (found_s,) = _medians(bench.in_turns({row: module}, "match", count, 1, asked)[row])
            cells.append(f"{found_s * 1000:.3f}")
            if row == OURS:
                ours.append(found_s)
        rows.append([row, *cells])
    header = ["finding one answer: ms", *(f"of {count:,}" for count in sizes.found_in)]
    goal = f"finding takes under 0.02 ms; it takes at most {max(ours) * 1000:.3f}"
    return f"{table(header, rows)}\n{verdict(goal, met=max(ours) < 0.000_02)}"


def opening(bench: Bench, sizes: Sizes) -> str:
    """The table of opening a cassette."""
    modules = {**bench.recorders, "vcrpy, a JSON file": "with_vcrpy_json"}
    header = [f"opening {sizes.opened:,} interactions: ms"]
    cells: dict[str, list[str]] = {f"{OURS}, cold": [], **{row: [] for row in modules}}
    warm_s = 0.0
    for turns in sizes.opened_turns:
        header.append(f"{turns} turns each")
        for row, module in modules.items():
            if turns > sizes.most_turns_of.get(row, turns):
                cells[row].append("-")
                continue
            bench.once(module, "prepare", sizes.opened, turns)
            runs = bench.in_turns({row: module}, "opening", sizes.opened, turns, False)[row]
            (opened_s,) = _medians(runs)
            cells[row].append(ms(opened_s))
            if row == OURS:
                warm_s = max(warm_s, opened_s)
        (cold_s,) = bench.once("ours", "opening", sizes.opened, turns, True)
        cells[f"{OURS}, cold"].append(ms(cold_s))
    shown = table(header, [[row, *numbers] for row, numbers in cells.items()])
    goal = f"opening takes under 5 ms warm; it takes {ms(warm_s)}"
    return f"{shown}\n{verdict(goal, met=warm_s < 0.005)}"


def failing(bench: Bench, sizes: Sizes) -> str:
    """The table of recorded failures, and of misses."""
    retries = {
        row: _medians(runs) for row, runs in bench.in_turns(bench.recorders, "retries").items()
    }
    given = (sizes.opened, sizes.opened_turns[0])
    misses = {
        row: _medians(runs) for row, runs in bench.in_turns(bench.recorders, "miss", *given).items()
    }
    rows = [[row, ms(retries[row][0]), *map(ms, misses[row])] for row in bench.recorders]
    goals = [
        verdict(
            f"529, 529, 200 takes under 5 ms; it takes {ms(retries[OURS][0])}",
            met=retries[OURS][0] < 0.005,
        ),
        verdict(
            f"a miss takes under 10 ms; it takes {ms(misses[OURS][1])}",
            met=misses[OURS][1] < 0.010,
        ),
    ]
    header = ["ms", "529, 529, 200", "the first miss", "the second"]
    return "\n".join([table(header, rows), *goals])


def streaming(bench: Bench, sizes: Sizes) -> str:
    """The table of first events."""
    modules = {DIRECTLY: "directly", **bench.recorders}
    runs = bench.in_turns(modules, "first_event", sizes.pace)
    first_s = {row: _medians(each)[0] for row, each in runs.items()}
    share = {row: each / first_s[DIRECTLY] for row, each in first_s.items()}
    rows = [[row, ms(first_s[row]), f"{share[row]:.3f}"] for row in modules]
    goal = f"the first event comes within 2 % of directly; it comes at {share[OURS]:.3f} times"
    header = ["first event of a recorded stream", "ms", "x directly"]
    return f"{table(header, rows)}\n{verdict(goal, met=share[OURS] <= 1.02)}"


def asking(bench: Bench, sizes: Sizes) -> str:
    """The table of one more request of a conversation."""
    rows = []
    worst = 0.0
    for turns in sizes.conversations:
        runs = bench.in_turns({OURS: "ours"}, "answering", sizes.opened, turns)[OURS]
        recorded_s, otherwise_s, sdk_s = _medians(runs)
        worst = max(worst, recorded_s / sdk_s, otherwise_s / sdk_s)
        numbers = (recorded_s, otherwise_s, sdk_s)
        rows.append([f"{turns} turns", *(f"{each * 1000:.3f}" for each in numbers)])
    header = ["one more request: ms", "as recorded", "in another order", "the SDK's part"]
    goal = f"finding costs less than the SDK's own part; it costs {worst:.2f} times that"
    return f"{table(header, rows)}\n{verdict(goal, met=worst < 1)}"


def keeping(bench: Bench, sizes: Sizes) -> str:
    """The table of files."""
    rows = []
    largest, ours_changed = 0.0, 0.0
    for row, module in bench.recorders.items():
        kept = [bench.once(module, "size", sizes.turns, kind)[0] for kind in TALKS]
        changed, lines = bench.once(module, "rerecord", min(sizes.turns, 12))
        rows.append([row, *(f"{size:.2f}" for size in kept), f"{changed:.0f} of {lines:.0f}"])
        if row == OURS:
            largest, ours_changed = max(kept), changed
    goals = [
        verdict(
            f"a file has under twice the unique bytes; it has up to {largest:.2f} times",
            met=largest < 2,
        ),
        verdict(
            f"an idle re-record changes no line; it changes {ours_changed:.0f}",
            met=ours_changed == 0,
        ),
    ]
    header = [f"files of {sizes.turns} turns: x unique bytes", *TALKS, "lines changed"]
    return "\n".join([table(header, rows), *goals])


TABLES: Final = {
    "finding": finding,
    "opening": opening,
    "failing": failing,
    "streaming": streaming,
    "asking": asking,
    "keeping": keeping,
}


def _medians(runs: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), help="only these")
    options = parser.parse_args(given)
    rounds = options.rounds or (1 if options.quick else 5)
    sizes = QUICK if options.quick else WHOLE
    with laboratory(options.environment, peers=PEERS) as (environment, work):
        print(f"{machine()}; {environment.versions('vcrpy', 'anthropic', *PEERS)}; {rounds} rounds")
        bench = Bench(environment, work, rounds=rounds)
        for name in options.tables or TABLES:
            print(f"\n{TABLES[name](bench, sizes)}", flush=True)


if __name__ == "__main__":
    main()
