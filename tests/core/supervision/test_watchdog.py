"""The watchdog over the event loop; its thread goes step by step, as the tests say."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from mnemosyne_core.errors import UsageError
from mnemosyne_core.events import LoopBlocked
from mnemosyne_core.supervision import Blockage, ChildSpec, Context, Supervisor, Watchdog
from mnemosyne_core.supervision._watchdog import Pulse, stack_of
from tests.core.supervision.support import MemoryRecorder, Puppet, Run

PATIENCE_S = 5.0
"""Real seconds after which a step of the thread that does not come is a defect."""


class Steps:
    """A pace whose time stands still, and whose thread waits, until the test steps on."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._may_go = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self._ended = False

    def monotonic(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> bool:
        self._waits.release()
        assert self._may_go.acquire(timeout=PATIENCE_S)
        return not self._ended

    def end(self) -> None:
        self._ended = True
        self.go_on()

    def go_on(self) -> None:
        """End one pause, whatever the thread does then."""
        self._may_go.release()

    def step(self, seconds: float) -> None:
        """Let `seconds` pass and the thread look once; the loop is blocked meanwhile."""
        assert self._waits.acquire(timeout=PATIENCE_S)
        self.now_s += seconds
        self.go_on()
        # Back at its next pause, it has done all that it does in one look.
        assert self._waits.acquire(timeout=PATIENCE_S)
        self._waits.release()


class Watched:
    """A watchdog that goes step by step, and what it has told."""

    def __init__(self, recorder: MemoryRecorder, *, after_s: float = 1.0) -> None:
        self.steps = Steps()
        self.told: list[Blockage] = []
        self.watchdog = Watchdog(
            recorder, after_s=after_s, on_blocked=self.told.append, pace=self.steps
        )


def watchdog_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.endswith(":watchdog")]


async def turn() -> None:
    """Lets the loop do what was given to it from outside."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# --- what counts -----------------------------------------------------------------------


def test_a_sign_that_comes_in_time_is_no_blockage() -> None:
    pulse = Pulse(after_s=1.0)

    assert pulse.ask(10.0)
    assert not pulse.ask(10.5)
    assert pulse.overdue_s(10.9) is None
    assert pulse.answer(10.9) is None
    assert pulse.ask(11.0)


def test_a_sign_that_takes_too_long_is_overdue_until_that_is_noted() -> None:
    pulse = Pulse(after_s=1.0)
    pulse.ask(10.0)

    assert pulse.overdue_s(11.0) == 1.0
    assert pulse.note("in main")
    assert pulse.overdue_s(12.0) is None
    assert pulse.answer(13.0) == LoopBlocked(blocked_s=3.0, stack="in main")


def test_a_stack_that_comes_too_late_belongs_to_nothing() -> None:
    pulse = Pulse(after_s=1.0)
    pulse.ask(10.0)
    pulse.answer(10.5)

    assert not pulse.note("idle again")
    pulse.ask(11.0)
    assert pulse.answer(12.0) == LoopBlocked(blocked_s=1.0, stack="")


def test_a_sign_that_nobody_asked_for_says_nothing() -> None:
    assert Pulse(after_s=1.0).answer(10.0) is None


# --- the thread ------------------------------------------------------------------------


async def test_a_blocked_loop_is_told_at_once_and_recorded_when_it_turns_again(
    recorder: MemoryRecorder,
) -> None:
    watched = Watched(recorder)
    async with watched.watchdog:
        for _ in range(5):
            watched.steps.step(0.25)

        (blockage,) = watched.told
        assert (blockage.path, blockage.blocked_s) == ("tree", 1.0)
        assert "test_a_blocked_loop_is_told_at_once" in blockage.stack
        assert recorder.events == []

        await turn()
        (event,) = recorder.events

    assert event.agent == "tree"
    assert event.fact == LoopBlocked(blocked_s=1.0, stack=blockage.stack)


async def test_one_blockage_is_told_once_however_long_it_is(recorder: MemoryRecorder) -> None:
    watched = Watched(recorder)
    async with watched.watchdog:
        for _ in range(20):
            watched.steps.step(0.25)
        await turn()

    assert [blockage.blocked_s for blockage in watched.told] == [1.0]
    assert [event.fact.blocked_s for event in recorder.events] == [4.75]  # type: ignore[union-attr]


async def test_each_blockage_is_told(recorder: MemoryRecorder) -> None:
    watched = Watched(recorder)
    async with watched.watchdog:
        for _ in range(2):
            for _ in range(5):
                watched.steps.step(0.25)
            await turn()

    assert len(watched.told) == len(recorder.events) == 2


async def test_a_loop_that_turns_is_left_alone(recorder: MemoryRecorder) -> None:
    watched = Watched(recorder)
    async with watched.watchdog:
        for _ in range(20):
            watched.steps.step(0.25)
            await turn()

    assert (watched.told, recorder.events) == ([], [])


async def test_a_blockage_that_lasts_to_the_end_is_recorded_there(
    recorder: MemoryRecorder,
) -> None:
    watched = Watched(recorder)
    async with watched.watchdog:
        for _ in range(5):
            watched.steps.step(0.25)

    await turn()
    assert [event.kind for event in recorder.events] == ["loop_blocked"]


async def test_the_thread_ends_with_the_block(recorder: MemoryRecorder) -> None:
    async with Watched(recorder).watchdog:
        assert watchdog_threads() == ["tree:watchdog"]

    assert watchdog_threads() == []


async def test_the_thread_ends_with_a_block_that_raises(recorder: MemoryRecorder) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Watched(recorder).watchdog:
            raise ZeroDivisionError

    assert watchdog_threads() == []


def test_the_thread_ends_with_a_loop_that_was_closed_without_leaving(
    recorder: MemoryRecorder,
) -> None:
    watched = Watched(recorder)

    async def enter() -> None:
        await watched.watchdog.__aenter__()

    asyncio.run(enter())
    (thread,) = (each for each in threading.enumerate() if each.name == "tree:watchdog")
    watched.steps.go_on()
    thread.join(PATIENCE_S)

    assert watchdog_threads() == []


async def test_an_error_in_what_is_called_is_logged_and_ends_nothing(
    recorder: MemoryRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Blockage] = []

    def fail(blockage: Blockage) -> None:
        calls.append(blockage)
        raise ZeroDivisionError

    steps = Steps()
    async with Watchdog(recorder, after_s=1.0, on_blocked=fail, pace=steps):
        for _ in range(2):
            for _ in range(5):
                steps.step(0.25)
            await turn()

    assert len(calls) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_blockage_is_logged_with_its_stack_unless_somebody_wants_it(
    recorder: MemoryRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps()
    async with Watchdog(recorder, after_s=1.0, path="root", pace=steps):
        for _ in range(5):
            steps.step(0.25)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the event loop of root has not turned for 1 s" in record.getMessage()
    assert "test_a_blockage_is_logged_with_its_stack" in record.getMessage()


@pytest.mark.virtual_time
async def test_it_moves_no_virtual_time_and_virtual_time_is_no_blockage(
    recorder: MemoryRecorder,
) -> None:
    loop = asyncio.get_running_loop()
    watched = Watched(recorder)
    async with watched.watchdog:
        await asyncio.sleep(3600)
        for _ in range(5):
            watched.steps.step(0.25)
        await turn()
        assert loop.time() == 3600.0

    assert [event.fact for event in recorder.events] == [
        LoopBlocked(blocked_s=1.0, stack=watched.told[0].stack)
    ]


# --- its use ---------------------------------------------------------------------------


async def test_a_watchdog_is_entered_once(recorder: MemoryRecorder) -> None:
    watchdog = Watchdog(recorder)
    async with watchdog:
        pass

    with pytest.raises(UsageError, match="the watchdog of tree was entered before"):
        await watchdog.__aenter__()


@pytest.mark.parametrize("after_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_watchdog_needs_a_time_after_which_it_barks(
    recorder: MemoryRecorder, after_s: float
) -> None:
    with pytest.raises(UsageError, match="after some seconds"):
        Watchdog(recorder, after_s=after_s)


def test_a_long_stack_is_told_by_its_innermost_frames() -> None:
    def deep(levels: int) -> str:
        return deep(levels - 1) if levels else stack_of(threading.get_ident(), frames=3)

    told = deep(20).splitlines()

    assert "outer frames are left out" in told[0]
    functions = [line.rpartition(", in ")[2] for line in told if line.startswith('  File "')]
    assert functions == ["deep", "deep", "stack_of"]


def test_a_thread_that_is_gone_does_nothing() -> None:
    assert stack_of(-1) == ""


async def test_an_actor_that_blocks_the_loop_is_found_in_real_time(
    recorder: MemoryRecorder,
) -> None:
    told: list[Blockage] = []
    noticed = threading.Event()

    def note(blockage: Blockage) -> None:
        # A busy machine may block the loop before the actor does.
        if "block_until_noticed" in blockage.stack:
            told.append(blockage)
            noticed.set()

    async def block_until_noticed(context: Context) -> None:
        # An honest block: the loop does not turn until the other thread has said so.
        assert noticed.wait(PATIENCE_S)

    async with (
        Watchdog(recorder, after_s=0.05, on_blocked=note),
        Supervisor([ChildSpec(id="a", start=Puppet)], recorder=recorder) as supervisor,
    ):
        await supervisor.whereis("a").ask(Run(block_until_noticed))
        await turn()

    (blockage,) = told
    facts = [event.fact for event in recorder.of("loop_blocked")]
    (fact,) = (each for each in facts if each.stack == blockage.stack)  # type: ignore[union-attr]
    assert isinstance(fact, LoopBlocked)
    assert fact.blocked_s >= blockage.blocked_s >= 0.05
