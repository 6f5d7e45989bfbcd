from __future__ import annotations

import asyncio

from pytest_mnemosyne.simulation.draws import (
    Draws,
    OfRunningLoop,
    Plain,
    Seeded,
    drawn_seconds,
    of_running_loop,
)


class Highest:
    """Always the last choice."""

    def draw(self, label: str, options: int) -> int:
        return options - 1


class SearchingLoop(asyncio.SelectorEventLoop):
    """A loop that offers draws."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws


def drawn_on(loop: asyncio.AbstractEventLoop, draws: Draws) -> int:
    async def draw() -> int:
        return draws.draw("x", 10)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(draw())


def test_the_plain_choice_is_always_the_first() -> None:
    assert [Plain().draw("x", options) for options in (1, 2, 1000)] == [0, 0, 0]


def test_a_seed_gives_the_same_numbers_again_within_their_bounds() -> None:
    def numbers(seed: int | str) -> list[int]:
        draws = Seeded(seed)
        return [draws.draw("x", 10) for _ in range(50)]

    assert numbers("a test") == numbers("a test")
    assert numbers("a test") != numbers("another test")
    assert set(numbers("a test")) <= set(range(10))


def test_a_loop_that_searches_is_drawn_from_before_anything_else() -> None:
    assert drawn_on(SearchingLoop(Highest()), OfRunningLoop(Plain())) == 9


def test_where_no_loop_searches_the_other_draws_are_used() -> None:
    draws = OfRunningLoop(Highest())

    assert draws.draw("x", 10) == 9
    assert drawn_on(asyncio.SelectorEventLoop(), draws) == 9
    assert drawn_on(SearchingLoop(Plain()), draws) == 9


def test_without_a_loop_there_are_no_draws_of_one() -> None:
    assert of_running_loop() is None


def test_seconds_are_drawn_between_their_bounds_and_are_the_low_one_where_all_is_plain() -> None:
    assert drawn_seconds(Plain(), "x", 2.0, 30.0) == 2.0
    assert drawn_seconds(Highest(), "x", 2.0, 30.0) == 30.0
