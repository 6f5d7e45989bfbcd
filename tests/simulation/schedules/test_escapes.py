"""What escapes the schedule is noted, and chance comes from the tape."""

from __future__ import annotations

import os
import random
import time
import uuid

from pytest_mnemosyne.simulation.draws import Plain
from pytest_mnemosyne.simulation.schedules import (
    Random,
    Replay,
    Schedule,
    Tape,
    noting_escapes,
    seeded_random,
)


def test_who_asks_the_machine_is_told_with_file_and_line() -> None:
    with noting_escapes() as found:
        time.time()
        uuid.uuid4()
        os.urandom(3)
        random.random()

    told = [line.partition(" ")[0] for line in found]
    assert told == ["time.time()", "uuid.uuid4()", "os.urandom()"]
    assert all("test_escapes.py:" in line for line in found)


def test_a_place_is_told_once_and_the_functions_are_put_back() -> None:
    before = time.time
    with noting_escapes() as found:
        for _ in range(3):
            time.time()
    assert time.time is before
    assert len(found) == 1


def test_the_module_random_is_seeded_from_the_tape_and_put_back() -> None:
    def drawn(schedule: Schedule) -> float:
        with seeded_random(schedule):
            return random.random()

    random.seed(1)
    expected = random.random()
    random.seed(1)
    first = Schedule(Random(3))
    seen = drawn(first)
    assert random.random() == expected
    assert drawn(Schedule(Replay(Tape.parse(str(first.tape))))) == seen
    assert drawn(Schedule(Random(4))) != seen
    with seeded_random(Plain()):
        plain = random.random()
    assert drawn(Schedule(Replay(Tape()))) == plain
