"""The time moves when nobody has anything to do, and to where it is wanted."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.loop import ConditionNotMetError, VirtualClock
from pytest_mnemosyne.simulation.schedules import Replay, Schedule, Tape
from tests.simulation.loop.running import run


def test_a_day_of_sleep_takes_no_time() -> None:
    async def program(clock: VirtualClock) -> float:
        await asyncio.sleep(86_400)
        return clock.monotonic()

    began_s = time.monotonic()

    assert run(program) == 86_400
    assert time.monotonic() - began_s < 5


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    woken: list[tuple[float, str]] = []

    async def program(clock: VirtualClock) -> None:
        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append((clock.monotonic(), name))

        await asyncio.gather(sleeper("late", 3), sleeper("early", 1), sleeper("between", 2))

    run(program)

    assert woken == [(1, "early"), (2, "between"), (3, "late")]


def test_of_equal_deadlines_the_one_set_first_rings_first() -> None:
    rung: list[int] = []

    async def program(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_later(1.0, rung.append, number)
        await asyncio.sleep(2)

    run(program)

    assert rung == list(range(50))


def test_ten_tenths_of_a_second_are_one_second() -> None:
    async def program(clock: VirtualClock) -> float:
        async with asyncio.timeout(1.0):
            for _ in range(9):
                await clock.advance(0.1)
        rung = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_at(1.0, rung.set_result, None)
        await clock.advance(0.1)
        assert rung.done()
        return clock.monotonic()

    assert run(program) == 1.0


@pytest.mark.parametrize("when_s", [0.1 + 0.2, 1e-10, 3e7 + 1e-9, 86_400 / 7])
def test_nobody_wakes_before_the_deadline_whatever_floats_do(when_s: float) -> None:
    async def program(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        rounds = 0
        # With a time rounded down this would go on for ever.
        while loop.time() < when_s:
            await asyncio.sleep(when_s - loop.time())
            rounds += 1
        assert rounds <= 2

    # Within the horizon: half a year is more than the week that a loop allows by default.
    from pytest_mnemosyne.simulation.loop import Limits

    run(program, limits=Limits(until_s=1e9))


def test_a_timer_that_never_rings_moves_nothing() -> None:
    async def program(clock: VirtualClock) -> float:
        asyncio.get_running_loop().call_at(math.inf, lambda: None)
        await asyncio.sleep(1)
        return clock.monotonic()

    assert run(program) == 1


def test_a_cancelled_timer_moves_nothing() -> None:
    async def program(clock: VirtualClock) -> float:
        loop = asyncio.get_running_loop()
        for timer in [loop.call_later(5 + number, lambda: None) for number in range(500)]:
            timer.cancel()
        await asyncio.sleep(1)
        return clock.monotonic()

    assert run(program) == 1


def test_advance_lets_everything_on_the_way_happen() -> None:
    ticks: list[float] = []

    async def program(clock: VirtualClock) -> None:
        async def ticker() -> None:
            while True:
                await asyncio.sleep(10)
                ticks.append(clock.monotonic())

        task = asyncio.create_task(ticker())
        await clock.advance(35)
        assert ticks == [10, 20, 30]
        assert clock.monotonic() == 35
        await clock.advance(5)
        assert ticks == [10, 20, 30, 40]
        task.cancel()

    run(program)


def test_two_who_advance_at_once_both_arrive() -> None:
    async def program(clock: VirtualClock) -> list[float]:
        async def go(seconds: float) -> float:
            await clock.advance(seconds)
            return clock.monotonic()

        return [*await asyncio.gather(go(3), go(1), go(2))]

    assert run(program) == [3, 1, 2]


def test_an_advance_that_is_cancelled_moves_nothing_more() -> None:
    async def program(clock: VirtualClock) -> float:
        task = asyncio.create_task(clock.advance(100))
        await asyncio.sleep(0)
        task.cancel()
        await clock.settle()
        return clock.monotonic()

    assert run(program) == 0


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_time_does_not_go_back_nor_to_infinity(seconds: float) -> None:
    with pytest.raises(UsageError, match="seconds from 0 on"):
        run(lambda clock: clock.advance(seconds))


def test_settle_returns_when_everybody_is_blocked_and_no_time_has_passed() -> None:
    steps: list[str] = []

    async def program(clock: VirtualClock) -> None:
        async def busy() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
                steps.append("step")
            await asyncio.sleep(1)
            steps.append("later")

        task = asyncio.create_task(busy())
        await clock.settle()
        assert steps == ["step"] * 20
        assert clock.monotonic() == 0
        await task

    run(program)


def test_run_until_stops_at_the_very_step_in_which_the_condition_holds() -> None:
    async def program(clock: VirtualClock) -> None:
        counted: list[float] = []

        async def counter() -> None:
            while True:
                await asyncio.sleep(1)
                counted.append(clock.monotonic())

        task = asyncio.create_task(counter())
        await clock.run_until(lambda: len(counted) == 3, within=60)
        assert counted == [1, 2, 3]
        assert clock.monotonic() == 3
        await clock.run_until(lambda: True, within=0)
        task.cancel()

    run(program)


def test_a_condition_that_does_not_come_true_names_itself_and_who_waits() -> None:
    def is_ready() -> bool:
        return False

    async def program(clock: VirtualClock) -> None:
        event = asyncio.Event()
        waiter = asyncio.create_task(event.wait(), name="the waiter")
        try:
            await clock.run_until(is_ready, within=30)
        finally:
            waiter.cancel()

    with pytest.raises(ConditionNotMetError, match="is_ready did not come true") as caught:
        run(program)

    assert caught.value.within_s == 30
    assert caught.value.now_s == 30
    assert "the waiter (Event.wait) waits for" in caught.value.waiting


def test_a_timeout_strikes_at_its_virtual_moment() -> None:
    async def program(clock: VirtualClock) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(300):
                await asyncio.Event().wait()
        return clock.monotonic()

    assert run(program) == 300


def test_the_wall_clock_keeps_step() -> None:
    async def program(clock: VirtualClock) -> None:
        began = clock.now()
        await asyncio.sleep(90)
        assert (clock.now() - began).total_seconds() == 90

    run(program)


def test_a_real_loop_has_no_virtual_clock() -> None:
    async def program() -> None:
        with pytest.raises(UsageError, match="mark the test virtual_time"):
            VirtualClock.of_running_loop()

    asyncio.run(program())


def test_seconds_left_to_chance_are_the_low_ones_unless_something_draws() -> None:
    async def program(clock: VirtualClock) -> float:
        return clock.drawn_s("disk", 0.5, 3)

    assert run(program) == 0.5
    assert run(program, order=Schedule(Replay(Tape({0: 50})))) == 1.75
