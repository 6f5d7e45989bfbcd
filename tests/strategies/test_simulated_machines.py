"""Machines on virtual time: Hypothesis owns the order of steps, too."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from pytest_mnemosyne.simulation import VirtualLoop
from pytest_mnemosyne.strategies.stateful import (
    SimulatedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

# The phase that explains a failure goes on from the simplest example to others.
SETTINGS = settings(
    max_examples=150,
    stateful_step_count=4,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
)


def test_a_machine_runs_on_virtual_time() -> None:
    class Sleeper(SimulatedStateMachine):
        @rule(hours=st.integers(0, 48))
        async def sleep(self, hours: int) -> None:
            before_s = self.clock.monotonic()
            await asyncio.sleep(hours * 3600)
            assert isinstance(asyncio.get_running_loop(), VirtualLoop)
            assert self.clock.monotonic() == before_s + hours * 3600

    run_state_machine_as_test(Sleeper, settings=settings(SETTINGS, max_examples=10))


@pytest.mark.slow
def test_an_order_that_breaks_a_rule_is_found_and_shrunk_to_one_delay() -> None:
    class Assuming(SimulatedStateMachine):
        @rule(names=st.lists(st.integers(0, 9), min_size=2, max_size=4))
        async def begin(self, names: list[int]) -> None:
            begun: list[int] = []

            async def note(name: int) -> None:
                begun.append(name)

            await asyncio.gather(*map(note, names))
            assert begun == names

    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Assuming, settings=SETTINGS)

    told = "\n".join(caught.value.__notes__)
    assert "state.put_off(tape=Tape({0: 1}))" in told
    assert "await state.begin(names=[0, 1])" in told


def test_an_async_initialize_rule_may_come_before_the_order_is_chosen() -> None:
    class Early(SimulatedStateMachine):
        ready = False

        @initialize()
        async def get_ready(self) -> None:
            await asyncio.sleep(1)
            self.ready = True

        @rule()
        async def work(self) -> None:
            await asyncio.gather(asyncio.sleep(1), asyncio.sleep(1))

        @invariant()
        def is_ready(self) -> None:
            assert self.ready

    run_state_machine_as_test(Early, settings=settings(SETTINGS, max_examples=20))


@pytest.mark.slow
def test_what_a_rule_draws_from_the_loop_is_part_of_the_example() -> None:
    class Gambler(SimulatedStateMachine):
        @rule()
        async def gamble(self) -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            # As many draws as a tape has places: whatever tape is not plain tells.
            assert all(loop.draws.draw("luck", 10) < 2 for _ in range(50))

    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Gambler, settings=SETTINGS)

    assert "state.put_off(tape=Tape({0: 2}))" in "\n".join(caught.value.__notes__)
