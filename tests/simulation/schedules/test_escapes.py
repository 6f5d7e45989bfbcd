"""What escapes the schedule is noted, and chance comes from the tape."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import sys
import time
import uuid
from datetime import UTC, datetime
from time import monotonic as imported_by_name

import httpx2

from pytest_mnemosyne.simulation.draws import Plain
from pytest_mnemosyne.simulation.loop import VirtualClock
from pytest_mnemosyne.simulation.schedules import (
    Random,
    Replay,
    Schedule,
    Tape,
    noting_escapes,
    seeded_random,
)
from tests.simulation.loop.running import run


def test_who_asks_the_machine_is_told_with_file_and_line() -> None:
    with noting_escapes() as found:
        time.time()
        imported_by_name()
        datetime.now(UTC)
        uuid.uuid4()
        secrets.token_hex(4)
        os.urandom(3)
        random.SystemRandom().random()

    assert [line.partition(" ")[0] for line in found] == [
        "time.time()",
        "time.monotonic()",
        "datetime.now()",
        "uuid.uuid4()",
        "secrets.token_hex()",
        "os.urandom()",
        "random.SystemRandom.random()",
    ]
    assert all("test_escapes.py:" in line for line in found)


def test_what_the_schedule_decides_and_what_packages_ask_is_not_told() -> None:
    async def program(clock: VirtualClock) -> None:
        asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        random.random()
        logging.getLogger("somebody").error("notes the time")
        httpx2.Response(200, text="ok").read()

    with noting_escapes() as found:
        run(program)

    assert found == []


def test_a_place_is_told_once_and_another_profiler_comes_back() -> None:
    def other(*_: object) -> None:
        """Stands for somebody's profiler."""

    sys.setprofile(other)
    try:
        with noting_escapes() as found:
            for _ in range(3):
                time.time()
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)

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
