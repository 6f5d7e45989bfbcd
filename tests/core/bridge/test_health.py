"""The window of errors: degraded, recovered, replaced."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mnemosyne_core.bridge import BridgeSettings, BridgeState
from mnemosyne_core.bridge._health import ErrorWindow
from mnemosyne_core.errors import Abort, AgentUnavailableError
from mnemosyne_core.events import AgentDegraded, AgentErred, AgentRegistered, AgentRestarted
from mnemosyne_core.work import AgentRole
from tests.core.bridge.doubles import ITEM, BusyAgent, Deed, DoingAgent, Scene, crash


@pytest.mark.parametrize(
    ("times_s", "counts"),
    [
        pytest.param((0.0, 1.0, 2.0), [1, 2, 3], id="all-young"),
        pytest.param((0.0, 1.0, 10.5), [1, 2, 2], id="first-has-aged-out"),
        pytest.param((0.0, 1.0, 10.0), [1, 2, 3], id="exactly-one-window-old"),
        pytest.param((0.0, 0.0, 100.0), [1, 2, 1], id="long-quiet"),
    ],
)
def test_an_error_counts_for_one_window(times_s: tuple[float, ...], counts: list[int]) -> None:
    window = ErrorWindow(10.0)

    assert [window.record(time_s) for time_s in times_s] == counts


@given(times_s=st.lists(st.integers(0, 50)).map(sorted), later_s=st.integers(0, 50))
def test_the_window_counts_what_is_young_enough(times_s: list[int], later_s: int) -> None:
    window = ErrorWindow(10.0)
    for time_s in times_s:
        window.record(time_s)
    now_s = max(times_s, default=0) + later_s

    assert window.count(now_s) == sum(time_s >= now_s - 10 for time_s in times_s)


async def test_three_errors_in_a_minute_degrade_and_time_heals() -> None:
    scene = Scene(DoingAgent([crash] * 3))
    async with scene.bridge as bridge:
        for count in (1, 2, 3):
            assert bridge.state == "ready"
            await bridge.send_work(ITEM, attempt=count)
            assert bridge.error_count == count
            scene.clock.time_s += 10
        assert bridge.state == "degraded"

        assert (await bridge.send_work(ITEM)).success
        assert bridge.state == "degraded"
        scene.clock.time_s += 30.5
        assert bridge.state == "ready"
        assert bridge.error_count == 2

    log = scene.log
    degraded = log.only("agent_degraded")
    assert degraded.fact == AgentDegraded(
        errors=3, reason="3 errors within 60 s; the last one: RuntimeError: boom"
    )
    assert (degraded.attempt, log.cause_of(degraded)) == (3, "agent_erred")
    erred = [event for event in log.events if event.kind == "agent_erred"]
    assert [event.fact.errors for event in erred if isinstance(event.fact, AgentErred)] == [1, 2, 3]
    assert {log.cause_of(event) for event in erred} == {"agent_active"}
    assert log.kinds.count("agent_recovered") == 1


async def test_a_recovery_is_noticed_when_the_next_item_comes() -> None:
    scene = Scene(DoingAgent([crash] * 3))
    async with scene.bridge as bridge:
        for _ in range(3):
            await bridge.send_work(ITEM)
        scene.clock.time_s += 61
        await bridge.send_work(ITEM)

    assert scene.log.kinds.index("agent_recovered") < len(scene.log.kinds) - 3


async def test_five_errors_in_a_minute_replace_the_agent_and_the_count_starts_again() -> None:
    first, second = DoingAgent([crash] * 9), DoingAgent()
    scene = Scene(first, second)
    async with scene.bridge as bridge:
        for count in range(1, 6):
            await bridge.send_work(ITEM, attempt=count)

        assert (first.started, first.stopped) == (1, 1)
        assert (second.started, second.stopped) == (1, 0)
        assert bridge.state is BridgeState.READY
        assert (bridge.error_count, bridge.incarnation) == (0, 2)
        assert (await bridge.send_work(ITEM)).success

    log = scene.log
    tail = log.kinds[log.kinds.index("agent_restarted") - 1 :]
    assert tail[:4] == ["agent_erred", "agent_restarted", "agent_registered", "agent_heartbeat"]
    restarted = log.only("agent_restarted")
    assert restarted.fact == AgentRestarted(errors=5, reason="RuntimeError: boom")
    assert log.cause_of(restarted) == "agent_erred"
    registered = log.events[restarted.seq]
    assert registered.fact == AgentRegistered(role=AgentRole.EXECUTOR, incarnation=2)
    assert registered.by == restarted.seq


async def test_five_errors_over_ten_minutes_replace_nothing() -> None:
    scene = Scene(DoingAgent([crash] * 5))
    async with scene.bridge as bridge:
        for _ in range(5):
            await bridge.send_work(ITEM)
            scene.clock.time_s += 120

        assert bridge.state is BridgeState.READY
        assert bridge.error_count == 0
    assert "agent_restarted" not in scene.log.kinds


async def test_work_under_way_fails_when_its_agent_is_replaced_and_does_not_count() -> None:
    class Mixed(BusyAgent):
        """The first item is worked on for ever, the others crash."""

        async def execute_work(self, item, *, attempt=1, guidance=()):  # type: ignore[no-untyped-def]
            if item.id == "long":
                return await super().execute_work(item, attempt=attempt)
            raise RuntimeError("boom")

    scene = Scene(Mixed(), DoingAgent())
    async with scene.bridge as bridge:
        long = asyncio.create_task(bridge.send_work(ITEM.model_copy(update={"id": "long"})))
        for _ in range(5):
            await bridge.send_work(ITEM)
        result = await long

        assert result.error is not None
        assert (result.error.code, result.error.retryable) == ("agent_gone", True)
        assert bridge.error_count == 0
        assert bridge.state is BridgeState.READY


class Gated(DoingAgent):
    """Its session opens when the gate does."""

    def __init__(self, deeds: list[Deed]) -> None:
        super().__init__(deeds)
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def start_session(self) -> None:
        await super().start_session()
        self.begun.set()
        await self.gate.wait()


async def crash_until_restart(scene: Scene) -> asyncio.Task[object]:
    """Five crashes; the last one's sender waits for the new agent."""
    for _ in range(4):
        await scene.bridge.send_work(ITEM)
    return asyncio.create_task(scene.bridge.send_work(ITEM))


async def test_work_sent_during_a_replacement_waits_for_the_new_agent() -> None:
    second = Gated([])
    scene = Scene(DoingAgent([crash] * 5), second)
    async with scene.bridge as bridge:
        fifth = await crash_until_restart(scene)
        await second.begun.wait()
        assert bridge.state is BridgeState.RESTARTING
        work = asyncio.create_task(bridge.send_work(ITEM))
        await asyncio.sleep(0)
        second.gate.set()

        assert (await work).success
        await fifth


async def test_a_sender_that_is_cancelled_does_not_stop_the_replacement() -> None:
    second = Gated([])
    scene = Scene(DoingAgent([crash] * 5), second)
    async with scene.bridge as bridge:
        fifth = await crash_until_restart(scene)
        await second.begun.wait()
        fifth.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fifth
        second.gate.set()

        assert (await bridge.send_work(ITEM)).success
        assert bridge.incarnation == 2


async def test_shutdown_during_a_replacement_leaves_no_agent_and_the_result_comes_back() -> None:
    second = Gated([])
    scene = Scene(DoingAgent([crash] * 5), second)
    await scene.bridge.spawn()
    fifth = await crash_until_restart(scene)
    await second.begun.wait()
    await scene.bridge.shutdown()
    await fifth

    assert scene.bridge.state is BridgeState.STOPPED
    assert (second.started, second.stopped) == (1, 1)
    assert scene.log.kinds[-1] == "agent_stopped"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_agent_that_cannot_be_replaced_is_failed() -> None:
    class Failing(DoingAgent):
        async def start_session(self) -> None:
            raise RuntimeError("no second time")

    scene = Scene(DoingAgent([crash] * 5), Failing())
    async with scene.bridge as bridge:
        for _ in range(5):
            result = await bridge.send_work(ITEM)
        assert result.error is not None
        assert result.error.code == "crash"
        assert bridge.state is BridgeState.FAILED
        with pytest.raises(AgentUnavailableError, match="no second time"):
            await bridge.send_work(ITEM)

    failed = scene.log.only("agent_failed")
    assert scene.log.cause_of(failed) == "agent_erred"
    assert "agent_restarted" not in scene.log.kinds


async def test_an_abort_of_the_new_agent_reaches_the_sender() -> None:
    class Aborting(DoingAgent):
        async def start_session(self) -> None:
            raise Abort("no recording")

    scene = Scene(DoingAgent([crash] * 5), Aborting())
    await scene.bridge.spawn()
    for _ in range(4):
        await scene.bridge.send_work(ITEM)
    with pytest.raises(Abort, match="no recording"):
        await scene.bridge.send_work(ITEM)
    await scene.bridge.shutdown()


async def test_an_agent_whose_home_is_gone_is_replaced_before_the_next_item() -> None:
    scene = Scene(DoingAgent(), DoingAgent())
    async with scene.bridge as bridge:
        (home,) = asyncio.all_tasks() - {asyncio.current_task()}
        home.cancel()
        await asyncio.wait({home})
        assert (await bridge.send_work(ITEM)).success
        assert bridge.incarnation == 2

    restarted = scene.log.only("agent_restarted")
    assert restarted.fact == AgentRestarted(errors=0, reason="it had ended by itself")
    assert scene.log.cause_of(restarted) == "agent_heartbeat"


def test_an_agent_cannot_be_replaced_before_it_is_degraded() -> None:
    with pytest.raises(ValidationError, match="degraded before it is replaced"):
        BridgeSettings(degraded_after=6)
