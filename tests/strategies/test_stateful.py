"""State machines with async rules: that they run, find, shrink, print, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import unittest
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import Phase, settings, stateful
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.strategies.stateful import (
    AsyncRuleBasedStateMachine,
    Bundle,
    LeftRunningError,
    UndecoratedRuleError,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

few = settings(
    max_examples=20,
    stateful_step_count=6,
    database=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    # Hypothesis tells more of a failure where CI is set.
    print_blob=False,
)
one = settings(few, max_examples=1)


class Counter:
    """Loses an update when two additions overlap."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, amount: int) -> None:
        before = self.total
        await asyncio.sleep(0)
        self.total = before + amount


class Additions(AsyncRuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.expected = 0

    @rule(amount=st.integers(0, 100))
    async def add(self, amount: int) -> None:
        await self.counter.add(amount)
        self.expected += amount

    @rule(amounts=st.lists(st.integers(0, 100), max_size=4))
    async def add_together(self, amounts: list[int]) -> None:
        await asyncio.gather(*map(self.counter.add, amounts))
        self.expected += sum(amounts)

    @invariant()
    async def no_update_is_lost(self) -> None:
        await asyncio.sleep(0)
        assert self.counter.total == self.expected


def failure_of(machine: type[AsyncRuleBasedStateMachine], how: settings = few) -> BaseException:
    """What a machine fails with."""
    with pytest.raises(BaseException) as caught:
        run_state_machine_as_test(machine, settings=how)
    return caught.value


def steps_of(error: BaseException) -> list[str]:
    """The steps that Hypothesis prints for a failure."""
    lines = [line.strip() for note in error.__notes__ for line in note.splitlines()]
    return lines[lines.index(next(line for line in lines if line.startswith("state = "))) :]


def test_a_lost_update_is_found_and_shrunk_to_the_shortest_story() -> None:
    error = failure_of(Additions, settings(few, max_examples=200))

    assert isinstance(error, AssertionError)
    assert steps_of(error) == [
        "state = Additions()",
        "await state.no_update_is_lost()",
        "await state.add_together(amounts=[1, 0])",
        "await state.no_update_is_lost()",
        "state.teardown()",
    ]


class Jobs(AsyncRuleBasedStateMachine):
    """Uses everything that a machine may have, and has nothing wrong with it."""

    jobs: Bundle[int] = Bundle("jobs")
    log: ClassVar[list[str]] = []

    @initialize(target=jobs, first=st.integers(0, 3))
    async def begin(self, first: int) -> int:
        await asyncio.sleep(0)
        self.waiting = [first]
        return first

    @rule(target=jobs, names=st.lists(st.integers(0, 3), max_size=2))
    async def submit(self, names: list[int]) -> object:
        await asyncio.sleep(0)
        self.waiting.extend(names)
        return multiple(*names)

    async def has_work(self) -> bool:
        await asyncio.sleep(0)
        return bool(self.waiting)

    @precondition(has_work)
    @rule(job=consumes(jobs))
    async def do(self, job: int) -> None:
        assert await self.has_work()
        self.waiting.remove(job)
        await self.look()

    @rule()
    def pass_by(self) -> None:
        """A plain function is called as ever."""
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()

    @rule()
    async def look(self) -> None:
        assert asyncio.get_running_loop() is self.loop

    @invariant(check_during_init=True)
    async def nothing_is_missing(self) -> None:
        assert len(getattr(self, "waiting", [])) == len(self.bundle("jobs"))

    async def teardown(self) -> None:  # type: ignore[override]
        await super().teardown()
        await asyncio.sleep(0)
        self.log.append("torn down")


# The default suppresses all health checks, `few` none.
def test_rules_conditions_invariants_bundles_and_teardown_may_be_async() -> None:
    Jobs.log.clear()

    run_state_machine_as_test(Jobs, settings=few)

    assert len(Jobs.log) >= 20


JobsTest = Jobs.TestCase
JobsTest.settings = few


def test_it_runs_as_a_test_case() -> None:
    result = unittest.TestResult()

    JobsTest().run(result)

    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_the_invariant_is_checked_at_the_start_and_after_each_rule() -> None:
    seen: list[str] = []

    class Watched(AsyncRuleBasedStateMachine):
        @rule()
        async def step(self) -> None:
            seen.append("rule")

        @invariant()
        async def look(self) -> None:
            seen.append("invariant")

    run_state_machine_as_test(Watched, settings=settings(one, stateful_step_count=3))

    assert seen == ["invariant", *["rule", "invariant"] * 3]


def test_a_rule_prints_what_it_gave_to_a_bundle() -> None:
    class Falling(AsyncRuleBasedStateMachine):
        things: Bundle[str] = Bundle("things")

        @initialize(target=things)
        async def make(self) -> str:
            return "made"

        @rule(thing=things)
        async def drop(self, thing: str) -> None:
            raise ValueError(thing)

    error = failure_of(Falling)

    assert steps_of(error) == [
        "state = Falling()",
        "things_0 = await state.make()",
        "await state.drop(thing=things_0)",
        "state.teardown()",
    ]


@pytest.mark.parametrize("plain", [True, False])
def test_teardown_is_over_before_the_loop_is_closed(plain: bool) -> None:
    open_loops: list[bool] = []

    class Async(AsyncRuleBasedStateMachine):
        @rule()
        async def step(self) -> None:
            raise ValueError("on purpose")

        async def teardown(self) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            open_loops.append(not self.loop.is_closed())

    class Plain(Async):
        def teardown(self) -> None:  # type: ignore[override]
            open_loops.append(not self.loop.is_closed())

    error = failure_of(Plain if plain else Async)

    assert isinstance(error, ValueError)
    assert open_loops
    assert all(open_loops)


def test_a_teardown_that_fails_fails_the_example() -> None:
    class Leaving(AsyncRuleBasedStateMachine):
        @rule()
        async def step(self) -> None:
            pass

        async def teardown(self) -> None:  # type: ignore[override]
            raise ValueError("not clean")

    assert str(failure_of(Leaving)) == "not clean"


# --- loops -----------------------------------------------------------------------------


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    made: list[asyncio.AbstractEventLoop] = []
    yield made
    for loop in made:
        loop.close()


def test_each_example_has_a_loop_of_its_own_which_is_closed_at_its_end(
    loops: list[asyncio.AbstractEventLoop],
) -> None:
    class Looping(AsyncRuleBasedStateMachine):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            assert all(loop.is_closed() for loop in loops)
            loops.append(super().make_loop())
            return loops[-1]

        @rule(_=st.integers())
        async def step(self, _: int) -> None:
            assert asyncio.get_running_loop() is loops[-1]

    run_state_machine_as_test(Looping, settings=few)

    assert len(loops) >= 10
    assert all(loop.is_closed() for loop in loops)


def test_what_an_initialize_rule_draws_is_there_when_the_loop_is_made() -> None:
    found: list[int] = []

    class Scheduled(AsyncRuleBasedStateMachine):
        @initialize(seed=st.integers(1, 9))
        def schedule(self, seed: int) -> None:
            self.seed = seed

        def make_loop(self) -> asyncio.AbstractEventLoop:
            found.append(self.seed)
            return super().make_loop()

        @rule()
        async def step(self) -> None:
            pass

    run_state_machine_as_test(Scheduled, settings=few)

    assert len(set(found)) > 1


def test_a_machine_without_anything_async_needs_no_loop() -> None:
    class Plain(AsyncRuleBasedStateMachine):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            raise AssertionError("no loop is needed")

        @rule()
        def step(self) -> None:
            pass

    run_state_machine_as_test(Plain, settings=few)


def test_a_loop_that_is_closed_is_refused() -> None:
    class Closed(AsyncRuleBasedStateMachine):
        def make_loop(self) -> asyncio.AbstractEventLoop:
            loop = super().make_loop()
            loop.close()
            return loop

        @rule()
        async def step(self) -> None:
            pass

    error = failure_of(Closed)

    assert isinstance(error, UsageError)
    assert "Closed.make_loop gave a loop that is closed" in str(error)


def test_the_steps_of_an_example_share_a_context() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")

    class Named(AsyncRuleBasedStateMachine):
        @initialize()
        async def call_it(self) -> None:
            assert name.get() == "nobody"
            name.set("somebody")

        @rule()
        async def look(self) -> None:
            assert name.get() == "somebody"

    run_state_machine_as_test(Named, settings=few)

    assert name.get() == "nobody"


# --- in the background -----------------------------------------------------------------


class Spawning(AsyncRuleBasedStateMachine):
    """Starts what `work` is, and does not look back."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    async def work(self) -> None:
        raise NotImplementedError

    @rule()
    async def start(self) -> None:
        self.task = asyncio.create_task(self.work(), name="worker")
        await asyncio.sleep(0)


def test_the_exception_of_a_background_task_fails_the_example() -> None:
    class Failing(Spawning):
        async def work(self) -> None:
            raise ValueError("unseen")

    error = failure_of(Failing, settings(few, max_examples=50))

    assert isinstance(error, ValueError)
    assert steps_of(error)[1:] == ["await state.start()", "state.teardown()"]
    assert any("background task 'worker', which nobody awaited" in n for n in error.__notes__)


def test_an_exception_that_a_later_step_awaits_is_that_steps_business() -> None:
    class Awaiting(Spawning):
        async def work(self) -> None:
            raise ValueError("seen")

        @precondition(lambda self: hasattr(self, "task"))
        @rule()
        async def wait(self) -> None:
            with pytest.raises(ValueError, match="seen"):
                await self.task

        async def teardown(self) -> None:  # type: ignore[override]
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
            if hasattr(self, "task"):
                await self.wait()

        @rule()
        async def start(self) -> None:
            if not hasattr(self, "task"):
                await super().start()

    run_state_machine_as_test(Awaiting, settings=few)


def test_a_callback_that_raises_fails_the_example() -> None:
    class Calling(AsyncRuleBasedStateMachine):
        @rule()
        async def call(self) -> None:
            asyncio.get_running_loop().call_soon(int, "no number")
            await asyncio.sleep(0)

    assert "no number" in repr(failure_of(Calling))


def test_tasks_that_still_run_are_cancelled_and_awaited() -> None:
    ended: list[str] = []

    class Endless(Spawning):
        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                # Cleaning up takes time, and a task of its own.
                await asyncio.create_task(asyncio.sleep(0))
                ended.append("cleaned up")

    run_state_machine_as_test(Endless, settings=settings(one, stateful_step_count=2))

    assert ended == ["cleaned up"] * 2


def test_a_task_that_ignores_its_cancellation_is_named() -> None:
    class Stubborn(Spawning):
        shutdown_s = 0.0

        async def work(self) -> None:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if self.loop.is_closed():
                        raise
                    continue

    error = failure_of(Stubborn, settings(one, stateful_step_count=1))

    assert isinstance(error, LeftRunningError)
    assert error.tasks == ("worker",)
    assert "let CancelledError pass through" in str(error)


def test_a_failing_step_stays_the_failure_and_names_what_happened_besides() -> None:
    class Twice(Spawning):
        async def work(self) -> None:
            raise ValueError("unseen")

        @rule()
        async def start(self) -> None:
            await super().start()
            raise KeyError("the step")

    error = failure_of(Twice)

    assert isinstance(error, KeyError)
    assert "besides, in the background: ValueError('unseen')" in error.__notes__


# --- misuse ----------------------------------------------------------------------------


def test_an_async_rule_under_the_wrong_decorator_is_refused() -> None:
    with pytest.raises(UndecoratedRuleError, match=r"Wrong\.step is async, but was decorated"):

        class Wrong(AsyncRuleBasedStateMachine):
            @stateful.rule()  # type: ignore[arg-type]
            async def step(self) -> None: ...


def test_an_async_rule_of_an_ordinary_machine_is_refused() -> None:
    class Ordinary(stateful.RuleBasedStateMachine):
        @rule()
        async def step(self) -> None: ...

    with pytest.raises(UsageError, match="Ordinary has to derive from AsyncRuleBased"):
        run_state_machine_as_test(Ordinary, settings=one)
