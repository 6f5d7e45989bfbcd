"""The machine over a tree of one's own: what it finds, and how it tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.events import WorkCompleted
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import WorkResult
from pytest_mnemosyne.simulation import InvariantError
from pytest_mnemosyne.simulation.faults import NotRecoveredError
from pytest_mnemosyne.simulation.loop import LeftoversError
from pytest_mnemosyne.strategies.stateful import run_state_machine_as_test
from pytest_mnemosyne.strategies.supervision import SupervisionMachine
from tests.core.tree.cast import Call, Cast, done

FEW = settings(
    max_examples=5,
    derandomize=True,
    stateful_step_count=4,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
)
# As many as it takes: the first that fails is the last.
MORE = settings(FEW, max_examples=200)


class OwnTree(SupervisionMachine):
    """A tree whose agents succeed."""

    def __init__(self) -> None:
        super().__init__()
        self.cast = Cast()

    def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
        return SupervisionTree(
            config, agents=self.cast.makers(), ids=CountedIds(), clock=self.clock
        )


def test_a_tree_with_nothing_wrong_passes() -> None:
    run_state_machine_as_test(OwnTree, settings=FEW)


def test_work_that_never_ends_is_told_with_what_it_waits_for() -> None:
    class Endless(OwnTree):
        recovery_s = 60.0

        def work(self) -> SearchStrategy[Mapping[str, object]]:
            return st.just({"description": "work", "timeout_s": 10_000.0})

        def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
            self.cast.executor.answer = hang
            return super().make_tree(config)

    with pytest.raises(NotRecoveredError, match=r"i\d: active, attempt \d, worked on by executor"):
        run_state_machine_as_test(Endless, settings=MORE)


def test_a_broken_invariant_is_told_at_the_step_after_which_it_does_not_hold() -> None:
    class Tampered(OwnTree):
        def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
            tree = super().make_tree(config)
            healthy = tree.metrics.apply
            tree.metrics.apply = (  # type: ignore[method-assign]
                lambda event: None if isinstance(event.fact, WorkCompleted) else healthy(event)
            )
            return tree

    with pytest.raises(InvariantError, match="metrics_are_what_the_events_say"):
        run_state_machine_as_test(Tampered, settings=MORE)


def test_a_task_that_outlives_its_tree_is_told() -> None:
    class Leaving(OwnTree):
        left: ClassVar[list[asyncio.Task[WorkResult]]] = []

        def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
            async def answer(call: Call) -> WorkResult:
                self.left.append(asyncio.create_task(hang(call), name="left by the agent"))
                return done(call)

            self.cast.executor.answer = answer
            return super().make_tree(config)

    with pytest.raises(LeftoversError, match="left by the agent"):
        run_state_machine_as_test(Leaving, settings=MORE)


def test_a_machine_that_does_not_say_how_its_tree_is_made_says_so() -> None:
    class Nameless(SupervisionMachine):
        pass

    with pytest.raises(NotImplementedError, match="Nameless has to say how its tree is made"):
        run_state_machine_as_test(Nameless, settings=FEW)


async def hang(call: Call) -> WorkResult:
    await asyncio.Event().wait()
    return done(call)
