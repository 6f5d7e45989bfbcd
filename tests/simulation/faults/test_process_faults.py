"""What a plan does to agents' processes: real ones, on virtual time."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import replace

import pytest

from mnemosyne_core.bridge import (
    AgentProcessGoneError,
    AgentProcessSpawnError,
    BridgeSettings,
    ClaudeAgentBridge,
    SubprocessTransport,
    _remote,
)
from mnemosyne_core.errors import BridgeSpawnError
from mnemosyne_core.work import WorkItem
from pytest_mnemosyne.simulation.faults import FaultPlan, FaultPlanError, PlannedFailpoints
from pytest_mnemosyne.simulation.loop import VirtualClock, leftovers
from tests.core.bridge.conformance.harness import PATH, SETTINGS, Line, source_of
from tests.core.bridge.doubles import EventList

pytestmark = pytest.mark.virtual_time


class Faulty:
    """A transport to an agent in its own process, under a plan."""

    def __init__(self, plan: str) -> None:
        self.failpoints = PlannedFailpoints(FaultPlan.parse(plan))
        self.transport = SubprocessTransport(replace(source_of(), failpoints=self.failpoints))
        self.line = Line(self.transport)

    @property
    def struck(self) -> list[str]:
        return [str(strike).split(",")[0] for strike in self.failpoints.strikes]


async def gone(faulty: Faulty) -> AgentProcessGoneError:
    """How the process ends when it is given work; another one is as good as new."""
    await faulty.line.start()
    with pytest.raises(AgentProcessGoneError) as caught:
        await faulty.line.work("echo", words="first")
    assert await faulty.line.stop()

    await faulty.line.start()
    assert await faulty.line.data("echo", words="second") == "second"
    assert await faulty.line.stop()
    return caught.value


# --- its start -------------------------------------------------------------------------


async def test_without_descriptors_there_is_no_process() -> None:
    faulty = Faulty("descriptors_exhausted()")

    with pytest.raises(OSError, match="Too many open files") as caught:
        await faulty.line.start()

    assert caught.value.errno == errno.EMFILE
    assert faulty.struck == [f"start of a process 1 of {PATH} (attempt 1)"]


async def test_a_process_that_comes_up_late_takes_time(virtual_clock: VirtualClock) -> None:
    faulty = Faulty("slow_start(12)")
    await faulty.line.start()

    assert virtual_clock.monotonic() == 12
    assert await faulty.line.data("echo", words="late") == "late"
    assert await faulty.line.stop()


async def test_a_bridge_does_not_wait_for_a_late_process_for_ever(
    virtual_clock: VirtualClock,
) -> None:
    faulty = Faulty("slow_start(60)")
    bridge = ClaudeAgentBridge(
        "executor",
        path=PATH,
        recorder=EventList(),
        transport=faulty.transport,
        settings=BridgeSettings(start_timeout_s=30, respawn_after_s=None),
    )

    with pytest.raises(BridgeSpawnError):
        await bridge.spawn()

    assert virtual_clock.monotonic() == 30
    await bridge.shutdown()


async def test_a_process_of_another_version_is_refused() -> None:
    faulty = Faulty("wrong_version(7)")

    with pytest.raises(AgentProcessSpawnError, match=r"7\.0"):
        await faulty.line.start()

    await faulty.line.start()
    assert await faulty.line.stop()


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        pytest.param("process_killed", "SIGKILL", id="killed"),
        pytest.param("process_exit", "exit status 1", id="exit"),
    ],
)
async def test_a_process_that_ends_at_its_start_brings_up_no_agent(fault: str, how: str) -> None:
    faulty = Faulty(f"{fault}(at='start')")

    with pytest.raises(AgentProcessSpawnError, match=how):
        await faulty.line.start()

    await faulty.line.start()
    assert await faulty.line.data("echo", words="again") == "again"
    assert await faulty.line.stop()


# --- in the middle of work -------------------------------------------------------------


async def test_a_process_that_is_killed_says_nothing() -> None:
    faulty = Faulty("process_killed(message='work')")

    error = await gone(faulty)

    assert error.signal == "SIGKILL"
    assert error.log == ()
    assert [each.rpartition(" of ")[2] for each in faulty.struck] == [f"{PATH} (attempt 1)"]


async def test_a_process_ends_with_an_exit_code() -> None:
    error = await gone(Faulty("process_exit(3, message='work')"))

    assert (error.returncode, error.signal) == (3, None)


async def test_half_a_message_is_told_as_that() -> None:
    error = await gone(Faulty("half_message(message='result')"))

    assert "in the middle of a message" in str(error)


async def test_what_strays_into_the_pipe_is_told_with_its_beginning() -> None:
    error = await gone(Faulty("garbage('Traceback (most recent', message='result')"))

    assert "Traceback" in str(error)


async def test_what_is_printed_is_its_log_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    faulty = Faulty("process_noise(3, message='work')")
    await faulty.line.start()

    assert await faulty.line.data("echo", words="heard") == "heard"

    assert await faulty.line.stop()
    printed = [record.getMessage().partition("] ")[2] for record in caplog.records]
    assert printed == ["noise 1 of 3", "noise 2 of 3", "noise 3 of 3"]


async def test_a_process_that_stands_still_goes_on_where_it_was(
    virtual_clock: VirtualClock,
) -> None:
    faulty = Faulty("process_stopped(20, message='work')")
    await faulty.line.start()
    working = asyncio.create_task(faulty.line.data("echo", words="after a while"))
    await asyncio.sleep(0)

    await virtual_clock.advance(19)
    assert not working.done()
    await virtual_clock.advance(1)

    assert await working == "after a while"
    assert await faulty.line.stop()


async def test_a_process_that_is_stopped_twice_and_ends_leaves_no_timer(
    virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote, "FIRM_S", 0.01)
    plan = "process_stopped(9000, at='start'); process_stopped(8000, message='start')"
    faulty = Faulty(plan)
    starting = asyncio.create_task(faulty.line.start())
    while len(faulty.struck) < 2:
        await virtual_clock.settle()
    starting.cancel()
    await virtual_clock.advance(5)
    await asyncio.wait({starting})

    assert starting.cancelled()
    assert leftovers(virtual_clock.loop) == ()


# --- what else -------------------------------------------------------------------------


async def test_a_bridge_replaces_a_process_that_was_killed() -> None:
    faulty = Faulty("process_killed(message='work')")
    events = EventList()
    bridge = ClaudeAgentBridge(
        "executor", path=PATH, recorder=events, transport=faulty.transport, settings=SETTINGS
    )
    item = WorkItem(id="work-1", description="x", context={"do": "nothing"})
    async with bridge:
        first = await bridge.send_work(item)
        second = await bridge.send_work(item, attempt=2)

    assert (first.success, second.success) == (False, True)
    assert first.error is not None
    assert "SIGKILL" in first.error.message
    assert bridge.incarnation == 2


@pytest.mark.parametrize(
    ("plan", "program", "problem"),
    [
        pytest.param(
            "process_exit(1); process_exit(2, call=2)",
            ("python", "-c", "pass"),
            "end with one exit code",
            id="two-codes",
        ),
        pytest.param(
            "process_exit(1)", ("python", "agent.py"), "started as python -c", id="a-file"
        ),
    ],
)
async def test_what_a_process_cannot_be_told_is_told(
    plan: str, program: tuple[str, ...], problem: str
) -> None:
    process = PlannedFailpoints(FaultPlan.parse(plan)).process("executor")

    with pytest.raises(FaultPlanError, match=problem):
        process.program(program)


async def test_a_program_that_nothing_is_asked_of_is_left_as_it_is() -> None:
    process = PlannedFailpoints(FaultPlan.parse("process_killed()")).process("executor")

    assert process.program(("python", "agent.py")) == ("python", "agent.py")
