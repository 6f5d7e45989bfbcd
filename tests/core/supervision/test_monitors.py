"""Monitors, and waiting from outside for an actor's end."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import Abort, ActorDownError
from mnemosyne_core.supervision import (
    Context,
    Down,
    Exit,
    ExitKind,
    Monitor,
    Ref,
    Restart,
    Supervisor,
)
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Boom,
    Crash,
    Echo,
    Gate,
    MemoryRecorder,
    Puppet,
    Quit,
    Run,
    child,
)


class Watchers:
    """An actor that watches, `w`, beside one that is watched, `a`."""

    def __init__(self, supervisor: Supervisor, watcher: Puppet) -> None:
        self.supervisor = supervisor
        self.watcher = watcher
        self.w = supervisor.whereis("w")
        self.a = supervisor.whereis("a")

    async def monitor(self, ref: Ref | None = None) -> Monitor:
        made: list[Monitor] = []

        async def begin(context: Context) -> None:
            made.append(context.monitor(ref or self.a))

        await self.w.ask(Run(begin))
        return made[0]

    async def downs(self) -> list[Down]:
        """What the watcher has been told by now."""
        await self.w.ask("what is before this has been received")
        return [message for message in self.watcher.seen if isinstance(message, Down)]


@pytest.fixture
async def pair(supervise: MakeSupervisor) -> Watchers:
    watcher = Puppet()
    supervisor = await supervise(
        child("w", lambda: watcher, restart=Restart.TEMPORARY),
        child("a", restart=Restart.TEMPORARY),
    )
    return Watchers(supervisor, watcher)


async def crash(ref: Ref) -> Exit:
    ref.send_nowait(Crash())
    return await ref.wait_down()


# --- inside an actor -------------------------------------------------------------------


async def test_a_watcher_is_told_once_how_the_watched_ended(pair: Watchers) -> None:
    await pair.monitor()

    end = await crash(pair.a)

    assert (end.kind, end.reason) == (ExitKind.CRASH, "Boom: boom")
    assert await pair.downs() == [Down(pair.a, end)]
    assert await pair.downs() == [Down(pair.a, end)]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        pytest.param(Quit(), ExitKind.NORMAL, id="normal"),
        pytest.param(Crash(asyncio.CancelledError()), ExitKind.KILLED, id="killed"),
    ],
)
async def test_every_kind_of_end_is_told(pair: Watchers, message: object, kind: ExitKind) -> None:
    await pair.monitor()

    pair.a.send_nowait(message)
    await pair.a.wait_down()

    assert await pair.downs() == [Down(pair.a, Exit(kind))]


async def test_a_stop_by_the_supervisor_is_told_too(pair: Watchers) -> None:
    await pair.monitor()

    await pair.supervisor.terminate_child("a")

    assert await pair.downs() == [Down(pair.a, Exit(ExitKind.SHUTDOWN))]


async def test_one_that_is_dead_already_is_told_at_once_with_its_true_end(pair: Watchers) -> None:
    end = await crash(pair.a)

    await pair.monitor()

    assert await pair.downs() == [Down(pair.a, end)]


async def test_each_monitor_tells_once(pair: Watchers) -> None:
    await pair.monitor()
    await pair.monitor()

    end = await crash(pair.a)

    assert await pair.downs() == [Down(pair.a, end)] * 2


async def test_a_monitor_knows_whom_it_watches(pair: Watchers) -> None:
    monitor = await pair.monitor()

    assert monitor.ref is pair.a


async def test_a_cancelled_monitor_tells_nothing(pair: Watchers) -> None:
    cancelled, kept = await pair.monitor(), await pair.monitor()
    cancelled.cancel()

    end = await crash(pair.a)

    assert await pair.downs() == [Down(pair.a, end)]
    kept.cancel()
    cancelled.cancel()


async def test_a_down_that_waits_is_taken_back_by_cancelling(pair: Watchers) -> None:
    gate = Gate()
    monitor = await pair.monitor()
    pair.w.send_nowait(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    await crash(pair.a)

    monitor.cancel()
    gate.open()

    assert await pair.downs() == []


async def test_a_down_comes_before_the_messages_that_wait_and_needs_no_room(
    supervise: MakeSupervisor,
) -> None:
    class Narrow(Puppet):
        mailbox_capacity = 1

    narrow, gate = Narrow(), Gate()
    supervisor = await supervise(child("w", lambda: narrow), child("a", restart=Restart.TEMPORARY))
    pair = Watchers(supervisor, narrow)
    await pair.monitor()
    pair.w.send_nowait(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    pair.w.send_nowait("was sent first")

    end = await crash(pair.a)
    gate.open()
    await pair.w.ask("last")

    assert narrow.seen[-3:] == [Down(pair.a, end), "was sent first", "last"]


async def test_a_down_is_caused_by_what_caused_the_end(pair: Watchers) -> None:
    causes: list[int | None] = []

    class Noting(Puppet):
        async def receive(self, message: object, context: Context) -> object:
            if isinstance(message, Down):
                causes.append(context.by)
            return await super().receive(message, context)

    await pair.supervisor.start_child(child("n", Noting))

    async def begin(context: Context) -> None:
        context.monitor(pair.a)

    noting = pair.supervisor.whereis("n")
    await noting.ask(Run(begin))
    pair.a.send_nowait(Crash(), by=7)
    await pair.a.wait_down()
    await noting.ask("last")

    assert causes == [7]


async def test_a_watcher_that_ends_watches_no_more(
    pair: Watchers, recorder: MemoryRecorder
) -> None:
    await pair.monitor()
    await crash(pair.w)
    seen = list(pair.watcher.seen)

    await crash(pair.a)
    await recorder.wait_for("ended a#1 (Boom: boom)")

    assert pair.watcher.seen == seen
    assert recorder.of("message_dropped") == []


async def test_a_dead_actor_begins_no_watch(pair: Watchers) -> None:
    contexts: list[Context] = []

    async def keep(context: Context) -> None:
        contexts.append(context)

    await pair.w.ask(Run(keep))
    await crash(pair.w)

    with pytest.raises(ActorDownError, match="Boom"):
        contexts[0].monitor(pair.a)


async def test_a_monitor_stays_with_its_incarnation(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    watcher = Puppet()
    supervisor = await supervise(child("w", lambda: watcher), child("a"))
    pair = Watchers(supervisor, watcher)
    await pair.monitor()
    end = await crash(pair.a)
    second = await supervisor.wait_restarted("a", pair.a)

    await crash(second)
    await supervisor.wait_restarted("a", second)

    assert await pair.downs() == [Down(pair.a, end)]


# --- from outside ----------------------------------------------------------------------


async def test_an_end_can_be_waited_for_and_is_remembered(pair: Watchers) -> None:
    waiting = asyncio.create_task(pair.a.wait_down())
    await asyncio.sleep(0)
    assert not waiting.done()

    pair.a.send_nowait(Quit())

    assert await waiting == Exit(ExitKind.NORMAL)
    assert await pair.a.wait_down() == Exit(ExitKind.NORMAL)


async def test_everybody_who_waits_for_an_end_is_told(pair: Watchers) -> None:
    waiting = [asyncio.create_task(pair.a.wait_down()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    end = await crash(pair.a)

    assert await asyncio.gather(*waiting[1:]) == [end, end]
    assert waiting[0].cancelled()


async def test_who_stops_waiting_leaves_the_actor_in_peace(pair: Watchers) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await pair.a.wait_down()

    assert await pair.a.ask(Echo("alive")) == "alive"


async def test_an_abort_is_told_as_the_end_that_it_is(supervise: MakeSupervisor) -> None:
    abort = Abort("the run is over")
    supervisor = await supervise(child("a"))
    ref = supervisor.whereis("a")
    ref.send_nowait(Crash(abort))

    assert await ref.wait_down() == Exit(ExitKind.ABORT, abort)
    with pytest.raises(Abort):
        await supervisor.wait()


@pytest.mark.virtual_time
async def test_one_that_is_left_behind_counts_as_killed(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    swallowing, released = asyncio.Event(), asyncio.Event()

    async def swallow(context: Context) -> None:
        swallowing.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    supervisor = await supervise(child("a", shutdown=1.0))
    ref = supervisor.whereis("a")
    ref.send_nowait(Run(swallow))
    await swallowing.wait()

    _, end = await asyncio.gather(supervisor.terminate_child("a"), ref.wait_down())

    assert end == Exit(ExitKind.KILLED)
    assert recorder.of("child_leaked")
    released.set()


async def test_a_crash_carries_what_was_raised(pair: Watchers) -> None:
    boom = Boom("the very one")
    pair.a.send_nowait(Crash(boom))

    assert (await pair.a.wait_down()).error is boom


# --- whatever happens ------------------------------------------------------------------


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["monitor", "cancel", "crash"]), st.integers(0, 2)), max_size=20
    )
)
def test_every_monitor_tells_once_unless_it_was_cancelled(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        watcher = Puppet()
        names = ("a", "b", "c")
        specs = [child(name, restart=Restart.TEMPORARY) for name in names]
        specs.append(child("w", lambda: watcher))
        async with Supervisor(specs, recorder=MemoryRecorder()) as supervisor:
            pair = Watchers(supervisor, watcher)
            watched = [supervisor.whereis(name) for name in names]
            monitors: list[Monitor] = []
            expected: list[Ref] = []
            for step, which in steps:
                ref = watched[which]
                match step:
                    case "monitor":
                        monitor = await pair.monitor(ref)
                        if ref.is_alive:
                            monitors.append(monitor)
                        else:
                            expected.append(ref)
                    case "cancel" if monitors:
                        monitors.pop(which % len(monitors)).cancel()
                    case "crash" if ref.is_alive:
                        await crash(ref)
                        expected += [ref for each in monitors if each.ref is ref]
                        monitors = [each for each in monitors if each.ref is not ref]
            assert [down.ref for down in await pair.downs()] == expected

    asyncio.run(play())
