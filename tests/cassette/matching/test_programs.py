"""Any two runs of one program are the same to a cassette, whatever differs from run to run.

A program is a crew of agents. Each has things to say, and says everything so far again,
as agents do. What it says names ids that the program minted or that it minted itself,
folders of the run, and the time; and the model repeats it all, in one piece or streamed.
In each run the ids, folders and times are others, and the agents take turns in another
order; those of one role even share out their items otherwise, which each of them names
when it begins.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import CassetteMissError, RecordMode

from .runs import Run, replayed, running

Saying = tuple[str, str]
"""What is said, and the kind of value that follows it."""

Turns = tuple[tuple[Saying, ...], ...]

LANES = (Lane("executor"), Lane("executor/sub-1"), Lane("reviewer"), Lane("reviewer", 2))
ITEMS = ("Item 1: ", "Item 2: ", "", "")
"""What the executors begin with; the others have lanes of their own."""

words = st.sampled_from(["write ", "Zoë:", "a\nb:\n", '{"it":"', "done?\t", ""])
kinds = st.sampled_from(["nothing", "shared-0", "shared-1", "shared-2", "own", "folder", "time"])
sayings = st.lists(st.tuples(words, kinds), min_size=1, max_size=3).map(tuple)
conversations = st.lists(sayings, max_size=3).map(tuple)


@dataclass(frozen=True)
class Program:
    """What each agent says in each of its turns; streamed or not."""

    agents: tuple[Turns, ...]
    streamed: bool = False

    def __call__(self, run: Run, order: Random) -> None:
        shared = [run.mint("work") for _ in range(3)]
        work = list(zip(ITEMS, self.agents, strict=False))
        if order.random() < 0.5:
            # Who of the executors takes which item depends on who is free.
            work[:2] = reversed(work[:2])
        busy = [
            self._turns(run, lane, *each, shared) for lane, each in zip(LANES, work, strict=False)
        ]
        while busy:
            agent = order.choice(busy)
            if next(agent, None) is None:
                busy.remove(agent)

    def _turns(
        self, run: Run, lane: Lane, item: str, turns: Turns, shared: list[str]
    ) -> Iterator[bool]:
        history: list[dict[str, Any]] = []
        noted: list[str] = []
        for turn in turns:
            with entered(lane):
                said = item + " ".join(_said(run, each, shared, noted) for each in turn)
            history.append({"role": "user", "content": said})
            body = run.ask({"messages": history, "stream": self.streamed}, lane)
            history.append({"role": "assistant", "content": _text(body, streamed=self.streamed)})
            yield True


def _said(run: Run, saying: Saying, shared: list[str], noted: list[str]) -> str:
    said, kind = saying
    if kind.startswith("shared"):
        return f"{said}{shared[int(kind[-1])]}"
    if kind == "own":
        noted.append(run.mint("memory"))
        return f"{said}{', '.join(noted)}"
    if kind == "folder":
        return f"{said}{run.folder}/test_it0/{len(said)}"
    return f"{said}{run.now().isoformat()}" if kind == "time" else said


def _text(body: bytes, *, streamed: bool) -> str:
    if not streamed:
        return str(json.loads(body)["content"][0]["text"])
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
    return "".join(event["delta"].get("text", "") for event in events if "delta" in event)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(conversations, min_size=1, max_size=4), st.booleans(), st.integers(0, 1 << 30))
def test_two_runs_of_one_program_never_miss(agents: list[Turns], streamed: bool, seed: int) -> None:
    program = Program(tuple(agents), streamed)
    orders = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test_it.yaml")
        with running(path, RecordMode.RERECORD) as run:
            program(run, Random(orders.random()))
        if run.answered:
            for _ in range(3):
                replayed(path, lambda run: program(run, Random(orders.random())))


CHANGES = {
    "one-digit": ("Write 10 lines.", "Write 20 lines."),
    "one-date": ("It is 2026-11-01.", "It is 2026-11-02."),
    "one-time-of-day": ("At 2026-11-01T10:00:00Z.", "At 2026-11-01T10:00:01Z."),
    "one-uuid": (
        "For 123e4567-e89b-12d3-a456-426614174000.",
        "For 123e4567-e89b-12d3-a456-426614174001.",
    ),
    "one-id-that-nobody-minted": ("Do work-0123456789ab.", "Do work-0123456789ac."),
    "one-folder-of-somebody": ("Read /home/bo/x.", "Read /home/cy/x."),
    "one-space": ("Write it.", "Write  it."),
}


@pytest.mark.parametrize(("then", "now"), CHANGES.values(), ids=CHANGES)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=sayings, behind=sayings, seed=st.integers(0, 1 << 30))
def test_two_programs_that_differ_in_one_thing_miss(
    then: str, now: str, before: tuple[Saying, ...], behind: tuple[Saying, ...], seed: int
) -> None:
    def program(said: str) -> Program:
        return Program(((before, ((said, "nothing"), *behind)),))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test_it.yaml")
        with running(path, RecordMode.RERECORD) as run:
            program(then)(run, Random(seed))

        replayed(path, lambda run: program(then)(run, Random(seed + 1)))
        with running(path) as run, pytest.raises(CassetteMissError):
            program(now)(run, Random(seed + 1))


TOOL = {"name": "write", "description": "Writes.", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param([], id="none"),
        pytest.param([TOOL, {**TOOL, "name": "read"}], id="one-more"),
        pytest.param([{**TOOL, "description": "Writes!"}], id="another-word"),
    ],
)
def test_another_tool_misses(tmp_path: Path, changed: list[object]) -> None:
    def program(run: Run, tools: list[object]) -> None:
        run.ask({"tools": tools, "messages": [{"role": "user", "content": "Hi"}]})

    path = tmp_path / "test_it.yaml"
    with running(path, RecordMode.RERECORD) as run:
        program(run, [TOOL])

    replayed(path, lambda run: program(run, [TOOL]))
    with running(path) as run, pytest.raises(CassetteMissError):
        program(run, changed)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations.filter(bool), st.integers(0, 1 << 30), st.permutations(range(3)))
def test_a_program_that_takes_one_id_for_another_misses(
    turns: Turns, seed: int, confused: list[int]
) -> None:
    """Every id is introduced by name, so that taking one for another is another question."""

    def program(run: Run, last: list[int]) -> None:
        lane = LANES[0]
        shared = [run.mint("work") for _ in range(3)]
        run.ask({"messages": [{"role": "user", "content": f"There are {shared}."}]}, lane)
        list(Program(())._turns(run, lane, "", turns, shared))
        named = ", ".join(shared[at] for at in last)
        run.ask({"messages": [{"role": "user", "content": f"Take {named}."}]}, lane)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test_it.yaml")
        with running(path, RecordMode.RERECORD, seed=seed) as run:
            program(run, [0, 1, 2])
        if confused == [0, 1, 2]:
            replayed(path, lambda run: program(run, confused))
            return
        with running(path) as run, pytest.raises(CassetteMissError):
            program(run, confused)
