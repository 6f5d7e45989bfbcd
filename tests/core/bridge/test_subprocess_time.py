"""An agent's process under virtual time: the clock stands while the process works."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from pydantic import JsonValue

from mnemosyne_core.bridge import (
    AgentProcessGoneError,
    BridgeSettings,
    ClaudeAgentBridge,
    SubprocessTransport,
    _remote,
)
from mnemosyne_core.claude import Prompt, Reply
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.agents.script import ScriptedClient, said
from tests.core.bridge.conformance.agents import slow
from tests.core.bridge.conformance.harness import Line, source_of
from tests.core.bridge.doubles import ITEM, EventList

SETTINGS = BridgeSettings(heartbeat_s=30.0, cancel_s=1.0, shutdown_s=5.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real patience with what a test knows will not answer."""
    monkeypatch.setattr(_remote, "FIRM_S", 0.01)


async def up(client: ScriptedClient | None = None) -> Line:
    line = Line.to("subprocess", client=client, settings=SETTINGS)
    await line.start()
    return line


async def test_neither_start_nor_work_nor_stop_takes_virtual_time(
    virtual_clock: VirtualClock,
) -> None:
    line = await up()
    async with asyncio.timeout(5):
        assert (await line.work()).success
    assert await line.stop()

    assert virtual_clock.monotonic() == 0


async def test_the_time_moves_while_the_agent_has_nothing_to_do(
    virtual_clock: VirtualClock,
) -> None:
    line = await up()
    await asyncio.sleep(95)

    assert virtual_clock.monotonic() == 95
    assert line.beats == 4
    assert await line.stop()


async def test_the_agent_goes_on_beating_while_a_test_moves_the_time(
    virtual_clock: VirtualClock,
) -> None:
    line = await up()
    await virtual_clock.advance(3600)

    assert line.beats == 121
    assert (await line.work()).success
    assert await line.stop()


async def test_the_time_moves_while_claude_is_waited_for(virtual_clock: VirtualClock) -> None:
    class Late(ScriptedClient):
        async def send(self, prompt: Prompt) -> Reply:
            await asyncio.sleep(3600)
            return said("At last.")

    line = await up(Late())

    assert await line.data("ask") == "At last."
    assert virtual_clock.monotonic() == 3600
    assert await line.stop()


async def test_a_test_moves_the_time_to_the_end_of_work_that_hangs(
    virtual_clock: VirtualClock,
) -> None:
    line = await up()

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await line.work("wait", name="ever")

    work = asyncio.create_task(bounded())
    await virtual_clock.advance(59)
    assert not work.done()
    # The process gets to hear of it, and ends its work, before the time goes on.
    await virtual_clock.advance(3600)
    with pytest.raises(TimeoutError):
        await work

    assert line.transport.is_up
    assert await line.data("recall") == ["waits for ever", "cancelled"]
    assert await line.stop()


def pid_of(agent: JsonValue) -> int:
    assert isinstance(agent, dict)
    pid = agent["pid"]
    assert isinstance(pid, int)
    return pid


async def test_an_agent_that_is_stopped_like_a_job_is_stale_then_dead_then_replaced(
    virtual_clock: VirtualClock, impatient: None
) -> None:
    log = EventList()
    settings = SETTINGS.model_copy(update={"cancel_s": 0.02, "shutdown_s": 0.02})
    look = ITEM.model_copy(update={"context": {"do": "look_at_itself"}})
    transport = SubprocessTransport(source_of())
    async with ClaudeAgentBridge(
        "executor", recorder=log, transport=transport, settings=settings
    ) as bridge:
        first = pid_of((await bridge.send_work(look)).data)
        os.kill(first, signal.SIGSTOP)
        work = asyncio.create_task(bridge.send_work(ITEM))
        await virtual_clock.advance(76)
        assert bridge.state == "stale"
        await virtual_clock.advance(45)

        error = (await work).error
        assert error is not None
        assert error.message.endswith("replaced while it worked on this: no sign of life for 120 s")
        second = pid_of((await bridge.send_work(look)).data)
        assert (bridge.state, bridge.incarnation) == ("ready", 2)

    assert first != second
    assert not Path(f"/proc/{first}").exists()
    # Whether what was killed is gone within 20 ms, and so not told as leaked, is chance.
    kinds = [kind for kind in log.kinds if kind != "child_leaked"]
    after = kinds[kinds.index("agent_stale") :]
    assert after[:4] == ["agent_stale", "agent_died", "agent_restarted", "agent_registered"]


async def test_an_agent_that_is_stopped_like_a_job_no_longer_beats(
    virtual_clock: VirtualClock, impatient: None
) -> None:
    line = await up()
    pid = pid_of(await line.data("look_at_itself"))
    os.kill(pid, signal.SIGSTOP)
    await virtual_clock.advance(300)
    assert line.beats == 1

    # A question is open, and the time does not move by itself until it is answered.
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1)
    assert line.beats == 2
    await virtual_clock.advance(300)
    assert line.beats == 12
    assert await line.stop()


async def test_work_that_ignores_its_cancellation_ends_with_the_process_when_a_test_moves_the_time(
    virtual_clock: VirtualClock, impatient: None
) -> None:
    line = await up()
    work = asyncio.create_task(line.work("ignore"))
    await asyncio.sleep(0)
    # Whoever is answered came later, so the first has begun.
    assert (await line.work()).success
    work.cancel()
    await virtual_clock.advance(1)
    with pytest.raises(asyncio.CancelledError):
        await work

    with pytest.raises(AgentProcessGoneError, match="within 1 s of its cancellation"):
        await line.work()
    assert await line.stop()


async def test_a_slow_start_is_over_when_a_test_moves_the_time(
    virtual_clock: VirtualClock, impatient: None
) -> None:
    line = Line.to("subprocess", slow, settings=SETTINGS)

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await line.start()

    starting = asyncio.create_task(bounded())
    await virtual_clock.settle()
    await virtual_clock.advance(30)
    with pytest.raises(TimeoutError):
        await starting

    assert not line.transport.is_up
