"""The search finds orders that break a program, shrinks them, and finds them again."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.schedules import (
    Plan,
    PolicyName,
    Properties,
    Ran,
    Replay,
    Schedule,
    Tape,
    search,
)
from tests.simulation.schedules.programs import (
    Program,
    assumed_order,
    correct,
    lost_update,
    runs_of,
)

EVERY_POLICY = pytest.mark.parametrize("policy", list(PolicyName))


@EVERY_POLICY
@pytest.mark.parametrize("program", [lost_update, assumed_order], ids=lambda each: each.__name__)
def test_every_policy_finds_the_bug(policy: PolicyName, program: Program) -> None:
    report = search(runs_of(program), Plan(runs=100, policy=policy))

    assert report.found is not None
    assert report.found.ran.failure == "AssertionError"
    assert report.found.comes_again


@EVERY_POLICY
def test_a_correct_program_passes_under_every_order(policy: PolicyName) -> None:
    report = search(runs_of(correct), Plan(runs=60, policy=policy))

    assert report.found is None
    assert report.unstable is None
    assert report.runs == 60 or report.exhausted


@EVERY_POLICY
def test_what_was_found_is_shrunk_to_one_choice_and_fails_again(policy: PolicyName) -> None:
    found = search(runs_of(assumed_order), Plan(runs=100, policy=policy)).found

    assert found is not None
    assert len(found.tape) == 1
    assert len(found.tape) <= len(found.first_tape)
    again = runs_of(assumed_order)(Schedule(Replay(Tape.parse(str(found.tape)))))
    assert again.failure == found.ran.failure
    assert again.schedule.trace.digest == found.ran.schedule.trace.digest


def test_the_report_says_where_the_run_parts_from_the_plain_one() -> None:
    found = search(runs_of(assumed_order), Plan()).found

    assert found is not None
    assert found.divergence is not None
    assert "begin" in found.divergence.one
    assert found.divergence.one != found.divergence.other


def test_equal_seeds_make_equal_runs_and_other_seeds_other_ones() -> None:
    def digests(seed: int) -> list[str]:
        seen: list[str] = []

        def note(ran: Ran) -> bool:
            seen.append(ran.schedule.trace.digest)
            return False

        search(runs_of(correct), Plan(runs=10, seed=seed), on_run=note)
        return seen

    assert digests(0) == digests(0)
    assert len(set(digests(0))) > 1
    assert digests(0) != digests(1)


def test_a_failure_of_the_plain_run_is_told_as_such() -> None:
    async def broken(properties: Properties) -> None:
        raise ValueError

    report = search(runs_of(broken), Plan())

    assert report.runs == 1
    assert report.found is not None
    assert report.found.number == 0
    assert str(report.found.tape) == "plain"


def test_a_program_that_asks_something_else_is_unstable() -> None:
    runs = itertools.count()

    async def moody(properties: Properties) -> None:
        for _ in range(next(runs) % 2):
            await asyncio.sleep(0)

    report = search(runs_of(moody), Plan())

    assert report.found is None
    assert report.unstable is not None
    assert report.runs == 2


def test_exhaustive_goes_through_all_orders_and_says_so() -> None:
    seen: set[tuple[str, ...]] = set()

    async def three(properties: Properties) -> None:
        begun: list[str] = []

        async def begin(name: str) -> None:
            begun.append(name)

        await asyncio.gather(begin("a"), begin("b"), begin("c"))
        seen.add(tuple(begun))

    report = search(runs_of(three), Plan(runs=500, policy=PolicyName.EXHAUSTIVE))

    assert report.exhausted
    assert report.found is None
    assert seen == set(itertools.permutations("abc"))


def test_shrinking_stays_within_its_budget() -> None:
    found = search(runs_of(lost_update), Plan(shrink_budget=3)).found

    assert found is not None
    assert found.shrink_runs <= 3
    unshrunk = search(runs_of(lost_update), Plan(shrink_budget=0)).found
    assert unshrunk is not None
    assert unshrunk.tape == unshrunk.first_tape


@pytest.mark.parametrize(
    "given", [{"runs": 0}, {"seed": -1}, {"shrink_budget": 1.5}, {"runs": True}]
)
def test_a_plan_that_is_none_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="whole number"):
        Plan(**given)  # type: ignore[arg-type]


def test_a_tape_of_another_program_says_where_it_does_not_fit() -> None:
    replay = Replay(Tape({0: 99, 5_000: 1}))

    runs_of(assumed_order)(Schedule(replay))

    assert replay.misfits == [0]
    assert replay.unread == [5_000]


@EVERY_POLICY
def test_equal_deadlines_are_a_matter_of_order_too(policy: PolicyName) -> None:
    async def program(properties: Properties) -> None:
        rung: list[int] = []
        for number in range(3):
            asyncio.get_running_loop().call_later(1, rung.append, number)
        await asyncio.sleep(2)
        assert rung == [0, 1, 2]

    assert search(runs_of(program), Plan(policy=policy)).found is not None


def test_neighbouring_seeds_are_other_searches() -> None:
    def digests(seed: int) -> set[str]:
        seen: set[str] = set()

        def note(ran: Ran) -> bool:
            seen.add(ran.schedule.trace.digest)
            return False

        async def many(properties: Properties) -> None:
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(8)))

        assert search(runs_of(many), Plan(runs=10, seed=seed), on_run=note).found is None
        return seen

    # The plain order alone is in both.
    assert len(digests(1) & digests(2)) == 1


def test_a_task_that_polls_does_not_keep_others_from_running_for_ever() -> None:
    async def program(properties: Properties) -> None:
        done = False

        async def poll() -> None:
            while not done:
                await asyncio.sleep(0)

        async def finish() -> None:
            nonlocal done
            done = True

        await asyncio.gather(poll(), finish())

    assert search(runs_of(program), Plan(runs=50, policy=PolicyName.PCT)).found is None
