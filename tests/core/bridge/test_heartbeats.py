"""Heartbeats that are missed: stale, dead, replaced; and well again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from mnemosyne_core.bridge import AgentGoneError, BridgeSettings, ClaudeAgentBridge
from mnemosyne_core.bridge._heartbeats import HeartbeatWatch
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.errors import AgentUnavailableError
from mnemosyne_core.events import AgentDied, AgentRecovered, AgentRestarted, AgentStale
from mnemosyne_core.work import WorkItem
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import ITEM, DoingAgent, EventList, Scene, crash

SETTINGS = BridgeSettings()


class ToldTransport:
    """A far side that beats when the test says so, and answers nothing."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.beat: Callable[[], None] = lambda: None
        self.broken: str | None = None
        self._gone = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return not self._gone.is_set()

    async def start(self, path: str, settings: BridgeSettings, on_beat: Callable[[], None]) -> None:
        self.calls.append("start")
        if self.broken is not None:
            raise RuntimeError(self.broken)
        self.beat = on_beat
        self._gone = asyncio.Event()
        on_beat()

    async def execute(self, envelope: bytes) -> bytes:
        await self._gone.wait()
        raise AgentGoneError("it was stopped")

    async def stop(self, timeout_s: float) -> bool:
        self.calls.append("stop")
        self._gone.set()
        return True

    def end(self) -> None:
        """End by itself."""
        self._gone.set()


class Silent:
    """A bridge to a `ToldTransport`, and what it recorded."""

    def __init__(self, settings: BridgeSettings = SETTINGS) -> None:
        self.transport = ToldTransport()
        self.log = EventList()
        self.bridge = ClaudeAgentBridge(
            "executor",
            recorder=self.log,
            transport=self.transport,
            clock=LoopClock(),
            settings=settings,
        )


async def test_an_agent_beats_at_once_and_then_every_thirty_seconds(
    virtual_clock: VirtualClock,
) -> None:
    log = EventList()
    scene = Scene()
    scene.log.on_event = lambda event: log.record(event.fact, agent=str(virtual_clock.monotonic()))
    async with scene.bridge:
        await virtual_clock.advance(65)

    beats = [float(event.agent) for event in log.events if event.kind == "agent_heartbeat"]
    assert beats == [0.0, 30.0, 60.0]


async def test_a_silent_agent_is_stale_then_dead_then_replaced(virtual_clock: VirtualClock) -> None:
    silent = Silent()
    async with silent.bridge as bridge:
        await virtual_clock.advance(74.9)
        assert bridge.state == "ready"
        await virtual_clock.advance(0.2)
        assert bridge.state == "stale"
        await virtual_clock.advance(44.8)
        assert bridge.state == "stale"
        await virtual_clock.advance(0.2)
        assert bridge.state == "ready"
        assert bridge.incarnation == 2

    log = silent.log
    stale, died = log.only("agent_stale"), log.only("agent_died")
    assert (stale.fact, log.cause_of(stale)) == (AgentStale(silent_s=75.0), "agent_heartbeat")
    assert (died.fact, log.cause_of(died)) == (AgentDied(silent_s=120.0), "agent_stale")
    restarted = log.only("agent_restarted")
    assert restarted.fact == AgentRestarted(errors=0, reason="no sign of life for 120 s")
    assert log.cause_of(restarted) == "agent_died"
    assert silent.transport.calls == ["start", "stop", "start", "stop"]


async def test_the_work_in_hand_of_a_dead_agent_fails_and_says_why(
    virtual_clock: VirtualClock,
) -> None:
    silent = Silent()
    async with silent.bridge as bridge:
        work = asyncio.create_task(bridge.send_work(ITEM, attempt=2))
        await virtual_clock.advance(121)
        result = await work

        assert result.error is not None
        assert (result.error.code, result.error.retryable) == ("agent_gone", True)
        assert "no sign of life for 120 s" in result.error.message
        assert result.attempt == 2
        assert bridge.error_count == 0


async def test_a_late_beat_makes_a_stale_agent_well_again(virtual_clock: VirtualClock) -> None:
    silent = Silent()
    async with silent.bridge as bridge:
        await virtual_clock.advance(100)
        assert bridge.state == "stale"
        silent.transport.beat()
        assert bridge.state == "ready"
        await virtual_clock.advance(74)
        assert bridge.state == "ready"
        await virtual_clock.advance(2)
        assert bridge.state == "stale"

    recovered = silent.log.only("agent_recovered")
    assert recovered.fact == AgentRecovered()
    assert silent.log.cause_of(recovered) == "agent_heartbeat"
    assert "agent_died" not in silent.log.kinds


async def test_an_agent_that_beats_is_never_stale(virtual_clock: VirtualClock) -> None:
    async with Scene().bridge as bridge:
        await virtual_clock.advance(3600)
        assert bridge.state == "ready"


async def test_a_stale_agent_that_is_heard_again_is_as_degraded_as_before(
    virtual_clock: VirtualClock,
) -> None:
    agent = DoingAgent([crash] * 3)
    # Errors that stay in the window for as long as the silence lasts.
    scene = Scene(agent, settings=BridgeSettings(window_s=600.0))
    async with scene.bridge as bridge:
        for _ in range(3):
            await bridge.send_work(ITEM)
        beat = bridge._beat
        assert beat is not None
        (home,) = asyncio.all_tasks() - {asyncio.current_task()}
        home.cancel()
        await virtual_clock.advance(80)
        assert bridge.state == "stale"
        beat()
        assert bridge.state == "degraded"

    after = scene.log.kinds[scene.log.kinds.index("agent_stale") :]
    assert after[:4] == ["agent_stale", "agent_heartbeat", "agent_recovered", "agent_degraded"]


async def test_an_agent_whose_task_has_ended_is_replaced_although_it_has_no_work(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(DoingAgent(), DoingAgent())
    async with scene.bridge as bridge:
        (home,) = asyncio.all_tasks() - {asyncio.current_task()}
        home.cancel()
        await virtual_clock.advance(121)

        assert bridge.incarnation == 2
        assert (await bridge.send_work(ITEM)).success


async def test_a_spawn_that_meets_a_replacement_waits_for_it(virtual_clock: VirtualClock) -> None:
    silent = Silent()
    async with silent.bridge as bridge:
        silent.transport.end()
        work = asyncio.create_task(bridge.send_work(ITEM))
        await asyncio.create_task(bridge.spawn())
        assert silent.transport.calls == ["start", "stop", "start"]
        assert (bridge.state, bridge.incarnation) == ("ready", 2)
        work.cancel()


async def test_nobody_watches_an_agent_that_is_not_there(virtual_clock: VirtualClock) -> None:
    silent = Silent()
    silent.transport.broken = "no"
    await silent.bridge.spawn(keep_trying=True)
    await virtual_clock.advance(1000)
    assert silent.bridge.state == "failed"
    with pytest.raises(AgentUnavailableError):
        await silent.bridge.send_work(ITEM)
    await silent.bridge.shutdown()
    await virtual_clock.advance(1000)

    assert {"agent_stale", "agent_died"}.isdisjoint(silent.log.kinds)


async def test_the_bounds_follow_the_heartbeat(virtual_clock: VirtualClock) -> None:
    settings = BridgeSettings(heartbeat_s=2.0, stale_after_beats=1.5, dead_after_beats=10)
    silent = Silent(settings)
    async with silent.bridge as bridge:
        await virtual_clock.advance(3.1)
        assert bridge.state == "stale"
        await virtual_clock.advance(17)
        assert bridge.incarnation == 2


@pytest.mark.parametrize(
    ("stale", "dead"),
    [
        pytest.param(1.0, 4.0, id="stale-with-the-next-beat"),
        pytest.param(4.0, 4.0, id="dead-when-stale"),
        pytest.param(5.0, 4.0, id="dead-before-stale"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(stale: float, dead: float) -> None:
    with pytest.raises(ValidationError, match="stale_after_beats"):
        BridgeSettings(stale_after_beats=stale, dead_after_beats=dead)


# --- the watch alone ---------------------------------------------------------------------


class Watched:
    def __init__(self, *, stale_after_s: float = 0.05, dead_after_s: float = 0.08) -> None:
        self.told: list[tuple[str, float]] = []
        self.watch = HeartbeatWatch(
            stale_after_s=stale_after_s,
            dead_after_s=dead_after_s,
            on_stale=lambda silent_s: self.told.append(("stale", silent_s)),
            on_dead=lambda silent_s: self.told.append(("dead", silent_s)),
        )


async def test_a_loop_that_was_held_up_is_nobodys_silence() -> None:
    watched = Watched()
    watched.watch.begin()

    async def beat_every(seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            watched.watch.beat()

    beating = asyncio.create_task(beat_every(0.02))
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - the blocked loop is what this is about
    for _ in range(5):
        await asyncio.sleep(0)
    beating.cancel()
    watched.watch.end()

    assert watched.told == []


def hold_up(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """As if the loop had been blocked until now."""
    loop = asyncio.get_running_loop()
    time_before = loop.time
    patch.setattr(loop, "time", lambda: time_before() + seconds)


async def test_nobody_is_dead_because_the_loop_could_not_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(stale_after_s=75.0, dead_after_s=120.0)
    watched.watch.begin()
    hold_up(monkeypatch, 3600)
    for _ in range(5):
        await asyncio.sleep(0)
    assert watched.told == []

    assert watched.watch.beat() is False
    watched.watch.end()


async def test_a_silence_is_told_when_the_loop_has_turned_again_for_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    watched.watch.begin()
    hold_up(monkeypatch, 3600)
    while len(watched.told) < 2:
        await asyncio.sleep(0.01)

    assert [what for what, _ in watched.told] == ["stale", "dead"]


async def test_a_beat_sets_no_timer_while_all_is_well(virtual_clock: VirtualClock) -> None:
    watched = Watched()
    watched.watch.begin()
    timer = watched.watch._timer
    for _ in range(100):
        assert watched.watch.beat() is False
    assert watched.watch._timer is timer
    watched.watch.end()


async def test_a_watch_that_was_ended_hears_and_says_nothing(virtual_clock: VirtualClock) -> None:
    watched = Watched()
    watched.watch.begin()
    watched.watch.end()
    watched.watch.end()
    assert watched.watch.beat() is False
    await virtual_clock.advance(10)
    assert watched.told == []


async def test_each_silence_is_told_once(virtual_clock: VirtualClock) -> None:
    watched = Watched()
    watched.watch.begin()
    await virtual_clock.advance(0.06)
    assert watched.watch.beat() is True
    await virtual_clock.advance(10)
    assert [what for what, _ in watched.told] == ["stale", "stale", "dead"]


async def test_an_item_that_is_too_slow_does_not_make_its_agent_stale(
    virtual_clock: VirtualClock,
) -> None:
    class Slow(DoingAgent):
        async def execute_work(self, item, *, attempt=1, guidance=()):  # type: ignore[no-untyped-def]
            await asyncio.sleep(1000)
            raise AssertionError("nobody waits so long")

    scene = Scene(Slow())
    async with scene.bridge as bridge:
        result = await bridge.send_work(WorkItem(id="a", description="x", timeout_s=500))

    assert result.error is not None
    assert result.error.code == "work_timeout"
    assert "agent_stale" not in scene.log.kinds
