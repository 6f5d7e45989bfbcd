"""Properties are checked after every step."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.loop import VirtualClock, VirtualLoop
from pytest_mnemosyne.simulation.schedules import (
    Plan,
    Properties,
    PropertyError,
    search,
)
from tests.simulation.loop.running import run
from tests.simulation.schedules.programs import runs_of


@contextmanager
def properties_here() -> Iterator[Properties]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    properties = Properties(loop)
    with loop.checking(properties.check):
        yield properties


def test_always_fails_at_the_very_step_and_names_it() -> None:
    async def program(clock: VirtualClock) -> None:
        level = 0

        async def rise() -> None:
            nonlocal level
            for _ in range(5):
                await asyncio.sleep(1)
                level += 1

        with properties_here() as properties:
            properties.always(lambda: level < 3, "the level stays below 3")
            await asyncio.create_task(rise(), name="riser")

    with pytest.raises(PropertyError, match="always: the level stays below 3") as caught:
        run(program)

    assert caught.value.now_s == 3
    assert caught.value.step is not None
    assert "riser" in caught.value.step
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_eventually_is_met_in_time() -> None:
    async def program(clock: VirtualClock) -> float:
        done = False
        with properties_here() as properties:
            properties.eventually(lambda: done, within=10)
            await asyncio.sleep(9)
            done = True
            await asyncio.sleep(9)
        return clock.monotonic()

    assert run(program) == 18


def test_eventually_fails_at_its_deadline() -> None:
    async def program(clock: VirtualClock) -> None:
        with properties_here() as properties:
            properties.eventually(lambda: False, within=10, name="the answer comes")
            await asyncio.sleep(60)

    with pytest.raises(PropertyError, match="eventually: the answer comes had not") as caught:
        run(program)

    assert caught.value.now_s == 10


def test_a_run_that_ends_before_eventually_is_true_fails() -> None:
    async def program(clock: VirtualClock) -> None:
        with properties_here() as properties:
            properties.eventually(lambda: False, within=10, name="the answer comes")
            properties.finish(failed=True)
            properties.eventually(lambda: False, within=10, name="the answer comes")
            properties.finish(failed=False)

    with pytest.raises(PropertyError, match="when the test ended"):
        run(program)


def test_sometimes_notes_whether_it_was_seen() -> None:
    async def program(clock: VirtualClock) -> dict[str, bool]:
        with properties_here() as properties:
            properties.sometimes(lambda: clock.monotonic() == 3, "it is three")
            properties.sometimes(lambda: clock.monotonic() == 99, "it is late")
            for _ in range(5):
                await asyncio.sleep(1)
            return properties.seen

    assert run(program) == {"it is three": True, "it is late": False}


def test_names_of_sometimes_are_not_shared() -> None:
    async def program(clock: VirtualClock) -> None:
        with properties_here() as properties:
            properties.sometimes(lambda: True, "x")
            properties.sometimes(lambda: True, "x")

    with pytest.raises(UsageError, match="called 'x' already"):
        run(program)


def test_eventually_takes_a_number_of_seconds() -> None:
    async def program(clock: VirtualClock) -> None:
        with properties_here() as properties:
            properties.eventually(lambda: True, within=-1)

    with pytest.raises(UsageError, match="seconds from 0 on"):
        run(program)


def test_a_search_finds_the_order_that_breaks_a_property() -> None:
    async def program(properties: Properties) -> None:
        inside = 0
        properties.always(lambda: inside <= 1, "one at a time")
        free = True

        async def enter() -> None:
            nonlocal inside, free
            while not free:
                await asyncio.sleep(1)
            if free:
                await asyncio.sleep(0)
                free = False
                inside += 1
                await asyncio.sleep(0)
                inside -= 1
                free = True

        await asyncio.gather(enter(), enter())

    found = search(runs_of(program), Plan()).found

    assert found is not None
    assert found.ran.failure == "PropertyError"


def test_a_property_that_breaks_in_the_very_last_step_leaves_the_loop_usable() -> None:
    async def program(properties: Properties) -> None:
        broken = False
        properties.always(lambda: not broken, "not broken")
        await asyncio.sleep(1)
        broken = True

    found = search(runs_of(program), Plan()).found

    assert found is not None
    assert found.ran.failure == "PropertyError"
