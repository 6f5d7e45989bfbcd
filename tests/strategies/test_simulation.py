"""Tapes and fault plans: that they are legal, reach everything, and shrink."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.faults import KINDS, FaultPlan, Place
from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.simulation.schedules import Replay, Schedule, Tape
from pytest_mnemosyne.strategies import fault_plans, schedule_tapes
from pytest_mnemosyne.strategies.stateful import (
    AsyncRuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.strategies.finding import check_reach, seen, simplest

some = settings(max_examples=60)


@some
@given(schedule_tapes(places=50, max_size=2, max_choice=2))
def test_a_tape_is_sparse_and_reads_as_its_text(tape: Tape) -> None:
    assert Tape.parse(str(tape)) == tape
    assert len(tape) <= 2
    assert all(place < 50 and choice in (1, 2) for place, choice in tape.items())


def test_a_tape_shrinks_to_the_plain_one() -> None:
    assert simplest(schedule_tapes()) == Tape()
    assert simplest(schedule_tapes(), bool) == Tape({0: 1})


class Account(AsyncRuleBasedStateMachine):
    """Loses an update under an order that asyncio never takes by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = self.expected = 0
        self.tape = Tape()

    @initialize(tape=schedule_tapes(places=20))
    def choose(self, tape: Tape) -> None:
        self.tape = tape

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return VirtualLoop(order=Schedule(Replay(self.tape)))

    @rule(amounts=st.lists(st.integers(1, 9), max_size=3))
    async def pay_in(self, amounts: list[int]) -> None:
        async def pay(amount: int) -> None:
            before = self.balance
            await asyncio.sleep(0)
            self.balance = before + amount

        tasks = []
        for amount in amounts:
            tasks.append(asyncio.create_task(pay(amount)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        self.expected += sum(amounts)
        # An hour of virtual time.
        await asyncio.sleep(3600)

    @invariant()
    async def nothing_is_lost(self) -> None:
        assert self.balance == self.expected


def test_a_machine_on_a_virtual_loop_finds_the_order_that_loses_an_update() -> None:
    how = settings(
        max_examples=200,
        stateful_step_count=4,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
    )

    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Account, settings=how)

    story = "\n".join(caught.value.__notes__)
    assert "state.choose(tape=Tape({})" not in story
    assert "await state.pay_in(amounts=[1, 1])" in story


# --- faults ----------------------------------------------------------------------------


everywhere = fault_plans(places=tuple(Place))


@settings(max_examples=300)
@given(fault_plans(places=tuple(Place), agents=("executor", "reviewer/*")))
def test_a_plan_reads_as_its_text(plan: FaultPlan) -> None:
    assert FaultPlan.parse(str(plan)) == plan


@some
@given(fault_plans(places=tuple(Place), max_size=2, max_call=4))
def test_a_fault_strikes_a_few_times_and_need_not_be_met(plan: FaultPlan) -> None:
    assert len(plan) <= 2
    for planned in plan:
        assert not planned.must_be_met
        assert planned.address.chance is None
        assert planned.address.call in range(1, 5)
        assert planned.address.count in (1, 2, 3)


@pytest.mark.parametrize("streamed", [True, False])
def test_faults_can_happen_to_the_answers_of_the_test(streamed: bool) -> None:
    plans = seen(fault_plans(streamed=streamed), examples=100)

    for plan in plans:
        for planned in plan:
            assert planned.fault.happens_to(planned.address, streamed=streamed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", Place)
def test_there_are_faults_of_every_kind(place: Place) -> None:
    kinds = {word for word, kind in KINDS.items() if kind.place is place}

    check_reach(
        fault_plans(places=[place]), kinds, lambda plan: [planned.fault.word for planned in plan]
    )


def test_faults_happen_to_calls_of_claude_unless_other_places_are_named() -> None:
    check_reach(
        fault_plans(), {Place.PROVIDER}, lambda plan: {planned.fault.place for planned in plan}
    )
    check_reach(everywhere, Place, lambda plan: {planned.fault.place for planned in plan})


@pytest.mark.parametrize(
    ("word", "moments"),
    [
        ("crash", {"start", "message", "idle", "stopping"}),
        ("exit_normally", {"start", "message", "idle"}),
        ("process_killed", {"start", "sent", "received"}),
        ("process_noise", {"sent", "received"}),
    ],
)
def test_faults_happen_at_every_moment_that_they_can(word: str, moments: set[str]) -> None:
    plans = fault_plans(places=[KINDS[word].place])

    check_reach(
        plans,
        moments,
        lambda plan: [
            planned.fault.at  # type: ignore[attr-defined]
            for planned in plan
            if planned.fault.word == word
        ],
    )


def test_a_plan_shrinks_to_fewer_simpler_and_later_faults() -> None:
    assert str(simplest(fault_plans())) == ""
    assert str(simplest(fault_plans(), bool)) == "status(529, call=5, optional=True)"
    # Of two faults the shrinker does not always let go the one that is not needed.
    single = fault_plans(max_size=1)
    assert str(simplest(single, lambda plan: "drop" in str(plan))) == "drop(call=5, optional=True)"
    assert str(simplest(fault_plans(places=[Place.ACTOR]), bool)) == "crash(call=5, optional=True)"


@pytest.mark.parametrize("places", [(), ("agent",), (Place.ACTOR, "agent"), "actor"])
def test_a_place_that_there_is_not_is_refused(places: tuple[Place, ...]) -> None:
    with pytest.raises(UsageError, match="provider, actor, supervisor, mailbox, bus, process"):
        fault_plans(places=places)
