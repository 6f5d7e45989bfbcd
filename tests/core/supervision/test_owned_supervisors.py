"""Supervisors that belong to an actor."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    ActorStateError,
    RestartIntensityError,
    StartError,
    UnknownChildError,
)
from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildSpec,
    Context,
    DynamicSupervisor,
    Exit,
    ExitKind,
    Restart,
    RestartIntensity,
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


class Owner(Puppet):
    """Starts with a supervisor of its own."""

    def __init__(self, *children: ChildSpec, max_restarts: int = 3) -> None:
        super().__init__()
        self.own = Supervisor(children, intensity=RestartIntensity(max_restarts=max_restarts))

    async def started(self, context: Context) -> None:
        await context.supervise(self.own)


def owner(
    *children: ChildSpec,
    restart: Restart = Restart.TEMPORARY,
    shutdown: float | None = None,
    max_restarts: int = 3,
) -> ChildSpec:
    return child(
        "o",
        lambda: Owner(*children, max_restarts=max_restarts),
        restart=restart,
        shutdown=shutdown,
    )


class Stubborn(Puppet):
    """Swallows every cancellation until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def stopping(self, reason: Exit) -> None:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue


class FailsToStart(Puppet):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def started(self, context: Context) -> None:
        raise self.error


# --- where it is -----------------------------------------------------------------------


async def test_its_children_are_found_below_the_actor(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(owner(child("sub-1"), child("sub-2")))
    sub = supervisor.whereis("o/sub-1")

    assert (sub.path, await sub.ask(Echo("here"))) == ("o/sub-1", "here")
    assert supervisor.whereis("o").path == "o"
    assert supervisor.nested("o").path == "o"
    assert [info.path for info in supervisor.nested("o").which_children()] == [
        "o/sub-1",
        "o/sub-2",
    ]
    with pytest.raises(UnknownChildError, match="'sub-3'; its children are sub-1, sub-2"):
        supervisor.whereis("o/sub-3")


async def test_an_actor_without_a_supervisor_has_no_children(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))

    with pytest.raises(ActorStateError, match="a is a worker; only supervisors, and actors that"):
        supervisor.whereis("a/sub")


async def test_paths_lead_through_owners_below_owners(supervise: MakeSupervisor) -> None:
    inner = child("inner", lambda: Owner(child("leaf")))
    supervisor = await supervise(owner(inner))

    assert await supervisor.whereis("o/inner/leaf").ask(Echo("deep")) == "deep"


async def test_a_restarted_child_of_it_can_be_waited_for(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(owner(child("sub")))
    first = supervisor.whereis("o/sub")
    first.send_nowait(Crash())

    second = await supervisor.wait_restarted("o/sub", first)

    assert (second.path, second.incarnation) == ("o/sub", 2)


async def test_its_events_come_because_of_the_message_that_made_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    async def begin(context: Context) -> None:
        await context.supervise(Supervisor([child("sub")]))

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(begin), by=7)

    assert [(event.agent, event.by) for event in recorder.events] == [("a", None), ("a/sub", 7)]


async def test_a_dynamic_one_starts_helpers_one_by_one(supervise: MakeSupervisor) -> None:
    helpers = DynamicSupervisor(max_children=2)

    async def begin(context: Context) -> None:
        await context.supervise(helpers)

    async def help_me(context: Context) -> object:
        await helpers.start_child(child("sub-1"), by=context.by)
        return await helpers.whereis("sub-1").ask(Echo("helped"))

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(begin))

    assert await supervisor.whereis("a").ask(Run(help_me)) == "helped"
    assert supervisor.whereis("a/sub-1").is_alive


# --- its start -------------------------------------------------------------------------


async def test_a_child_of_it_that_does_not_start_fails_the_owners_start(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    with pytest.raises(StartError, match=r"o did not start: .*o/bad did not start: Boom: no"):
        await supervise(owner(child("good"), child("bad", lambda: FailsToStart(Boom("no")))))

    assert "ended o/good#1 (shutdown)" in recorder.story


async def test_an_owner_may_live_on_without_one_that_did_not_start(
    supervise: MakeSupervisor,
) -> None:
    async def try_twice(context: Context) -> str:
        bad = Supervisor([child("bad", lambda: FailsToStart(Boom("no")))])
        with pytest.raises(StartError, match="Boom: no"):
            await context.supervise(bad)
        await context.supervise(Supervisor([child("good")]))
        return "has one"

    supervisor = await supervise(child("a"))

    assert await supervisor.whereis("a").ask(Run(try_twice)) == "has one"
    assert supervisor.whereis("a/good").is_alive


async def test_an_abort_in_its_start_passes_as_itself(supervise: MakeSupervisor) -> None:
    abort = Abort("the run is over")

    with pytest.raises(Abort) as raised:
        await supervise(owner(child("sub", lambda: FailsToStart(abort))))

    assert raised.value is abort


async def test_a_start_of_it_that_is_cancelled_is_undone(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            await gate.wait()

    async def begin_and_cancel(context: Context) -> str:
        starting = context.spawn(
            context.supervise(Supervisor([child("quick"), child("slow", Slow)]))
        )
        await gate.reached.wait()
        starting.cancel()
        await asyncio.wait((starting,))
        assert starting.cancelled()
        await context.supervise(Supervisor([child("next")]))
        return "free for the next"

    supervisor = await supervise(child("a"))

    assert await supervisor.whereis("a").ask(Run(begin_and_cancel)) == "free for the next"
    assert "ended a/quick#1 (killed)" in recorder.story


async def test_an_abort_in_a_start_of_it_that_is_cancelled_is_not_lost(
    supervise: MakeSupervisor,
) -> None:
    abort = Abort("the run is over")
    gate = Gate()

    class Aborting(Puppet):
        async def started(self, context: Context) -> None:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                raise abort from None

    async def begin_and_cancel(context: Context) -> None:
        starting = context.spawn(context.supervise(Supervisor([child("sub", Aborting)])))
        await gate.reached.wait()
        starting.cancel()
        await asyncio.wait((starting,))

    supervisor = await supervise(child("a"))

    with pytest.raises(Abort) as raised:
        await supervisor.whereis("a").ask(Run(begin_and_cancel))
    assert raised.value is abort
    with pytest.raises(Abort):
        await supervisor.wait()


async def test_an_actor_owns_one_at_a_time(supervise: MakeSupervisor) -> None:
    async def begin_another(context: Context) -> None:
        with pytest.raises(ActorStateError, match="o is the owner of a supervisor that runs"):
            await context.supervise(Supervisor())

    supervisor = await supervise(owner())
    await supervisor.whereis("o").ask(Run(begin_another))


async def test_one_that_was_started_before_is_refused(supervise: MakeSupervisor) -> None:
    used = await supervise(child("x"))

    async def begin(context: Context) -> None:
        with pytest.raises(ActorStateError, match="was started before"):
            await context.supervise(used)

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(begin))


@pytest.mark.parametrize("end", [Quit(), Crash()], ids=["ending", "dead"])
async def test_an_actor_on_its_way_out_starts_none(supervise: MakeSupervisor, end: object) -> None:
    contexts: list[Context] = []

    async def keep(context: Context) -> None:
        contexts.append(context)

    supervisor = await supervise(child("a", restart=Restart.TEMPORARY))
    ref = supervisor.whereis("a")
    await ref.ask(Run(keep))
    ref.send_nowait(end)
    await ref.wait_down()

    with pytest.raises(ActorDownError):
        await contexts[0].supervise(Supervisor())


# --- its end ---------------------------------------------------------------------------


async def test_it_ends_with_its_owner_after_stopping_and_before_the_owner_is_over(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    alive_in_stopping: list[bool] = []

    class Asking(Owner):
        async def stopping(self, reason: Exit) -> None:
            alive_in_stopping.append(self.own.whereis("sub-1").is_alive)

    supervisor = await supervise(child("o", lambda: Asking(child("sub-1"), child("sub-2"))))

    await supervisor.stop()

    assert alive_in_stopping == [True]
    assert recorder.story[-3:] == [
        "ended o/sub-2#1 (shutdown)",
        "ended o/sub-1#1 (shutdown)",
        "ended o#1 (shutdown)",
    ]


async def test_it_ends_with_an_owner_that_crashes_and_comes_back_with_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(owner(child("sub"), restart=Restart.PERMANENT))
    first = supervisor.whereis("o")
    old_sub = supervisor.whereis("o/sub")
    first.send_nowait(Crash())

    await supervisor.wait_restarted("o", first)
    await recorder.wait_for("started o#2")

    assert recorder.story == [
        "started o/sub#1",
        "started o#1",
        "ended o/sub#1 (shutdown)",
        "ended o#1 (Boom: boom)",
        "started o/sub#1",
        "started o#2",
    ]
    assert not old_sub.is_alive
    assert await supervisor.whereis("o/sub").ask(Echo("new")) == "new"


async def test_the_owners_tasks_end_before_its_children(supervise: MakeSupervisor) -> None:
    order: list[str] = []

    class Noting(Puppet):
        async def stopping(self, reason: Exit) -> None:
            order.append("child")

    gate = Gate()

    async def linger() -> None:
        try:
            await gate.wait()
        finally:
            order.append("task")

    async def begin(context: Context) -> None:
        context.spawn(linger())
        await gate.reached.wait()

    supervisor = await supervise(owner(child("sub", Noting)))
    await supervisor.whereis("o").ask(Run(begin))
    await supervisor.stop()

    assert order == ["task", "child"]


async def test_its_giving_up_crashes_the_owner_who_is_restarted_with_it(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(owner(child("sub"), restart=Restart.PERMANENT, max_restarts=0))
    first = supervisor.whereis("o")

    supervisor.whereis("o/sub").send_nowait(Crash())
    end = await first.wait_down()
    second = await supervisor.wait_restarted("o", first)

    assert end.kind is ExitKind.CRASH
    assert isinstance(end.error, RestartIntensityError)
    assert (end.error.path, end.error.reason) == ("o", "o/sub: Boom: boom")
    assert second.incarnation == 2
    (gave_up,) = recorder.of("restart_intensity_reached")
    (ended,) = (event for event in recorder.of("child_terminated") if event.agent == "o")
    assert ended.by == gave_up.seq


async def test_its_giving_up_interrupts_the_owners_message(supervise: MakeSupervisor) -> None:
    async def wait_in_vain(context: Context) -> None:
        supervisor.whereis("o/sub").send_nowait(Crash())
        await asyncio.Event().wait()

    supervisor = await supervise(owner(child("sub"), max_restarts=0))

    with pytest.raises(ActorDownError, match="supervisor o gave up"):
        await supervisor.whereis("o").ask(Run(wait_in_vain))


async def test_an_abort_below_an_owner_passes_as_itself(supervise: MakeSupervisor) -> None:
    abort = Abort("the run is over")
    supervisor = await supervise(owner(child("sub")), child("sibling"))

    supervisor.whereis("o/sub").send_nowait(Crash(abort))

    with pytest.raises(Abort) as raised:
        await supervisor.wait()
    assert raised.value is abort


async def test_an_abort_below_an_owner_that_is_stopping_is_not_lost(
    supervise: MakeSupervisor,
) -> None:
    abort = Abort("the run is over")

    class Aborting(Puppet):
        async def stopping(self, reason: Exit) -> None:
            raise abort

    supervisor = await supervise(owner(child("sub", Aborting)))

    with pytest.raises(Abort) as raised:
        await supervisor.stop()
    assert raised.value is abort


async def test_one_that_ends_by_choice_leaves_its_owner_in_peace(
    supervise: MakeSupervisor,
) -> None:
    significant = child("sub", restart=Restart.TRANSIENT, significant=True)
    own = Supervisor([significant], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)

    async def begin(context: Context) -> None:
        await context.supervise(own)

    supervisor = await supervise(child("a"))
    ref = supervisor.whereis("a")
    await ref.ask(Run(begin))
    await supervisor.whereis("a/sub").ask(Quit())
    await own.wait()

    assert await ref.ask(Echo("alive")) == "alive"
    with pytest.raises(ActorStateError, match="a is a worker"):
        supervisor.nested("a")
    own = Supervisor([child("other")])
    await ref.ask(Run(begin))
    assert supervisor.whereis("a/other").is_alive


async def test_a_foreign_cancellation_of_it_is_a_crash_of_its_owner(
    supervise: MakeSupervisor,
) -> None:
    supervisor = await supervise(owner(child("sub")))
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "o:supervisor")

    task.cancel()

    end = await supervisor.whereis("o").wait_down()
    assert (end.kind, end.reason.partition(";")[0]) == (
        ExitKind.CRASH,
        "ActorDownError: o is down (killed)",
    )


# --- bounded time ----------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_an_owner_whose_time_is_up_takes_its_children_along_at_once(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    loop = asyncio.get_running_loop()
    supervisor = await supervise(owner(child("sub-1"), child("sub-2"), shutdown=2.0))
    for path in ("o/sub-1", "o/sub-2"):
        gate = Gate()
        supervisor.whereis(path).send_nowait(Run(lambda _, gate=gate: gate.wait()))  # type: ignore[misc]
        await gate.reached.wait()
    began_s = loop.time()

    await supervisor.stop()

    assert loop.time() - began_s == pytest.approx(2.0)
    ended = [words for words in recorder.story if words.startswith("ended")]
    assert sorted(ended[:2]) == ["ended o/sub-1#1 (killed)", "ended o/sub-2#1 (killed)"]
    assert ended[2] == "ended o#1 (killed)"
    assert recorder.of("child_leaked") == []


@pytest.mark.virtual_time
async def test_a_child_that_will_not_end_is_left_behind_before_its_owner_is_over(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    stubborn = Stubborn()
    loop = asyncio.get_running_loop()
    supervisor = await supervise(owner(child("sub", lambda: stubborn), shutdown=2.0))
    began_s = loop.time()

    await supervisor.stop()

    assert loop.time() - began_s == pytest.approx(2.01)
    assert [event.agent for event in recorder.of("child_leaked")] == ["o/sub"]
    assert recorder.of("child_terminated")[-1].agent == "o"
    stubborn.released.set()


@pytest.mark.virtual_time
async def test_an_owner_that_will_not_end_is_left_behind_after_its_children(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    released = asyncio.Event()

    class StubbornOwner(Owner):
        async def stopping(self, reason: Exit) -> None:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue

    supervisor = await supervise(child("o", lambda: StubbornOwner(child("sub")), shutdown=2.0))
    sub = supervisor.whereis("o/sub")

    await supervisor.stop()

    assert not sub.is_alive
    assert [event.agent for event in recorder.of("child_terminated")] == ["o/sub", "o"]
    assert [event.agent for event in recorder.of("child_leaked")] == ["o"]
    released.set()


@pytest.mark.virtual_time
async def test_a_cancelled_root_leaves_nothing_of_it_behind(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(owner(child("sub")))
    (root,) = (task for task in asyncio.all_tasks() if task.get_name() == "tree#1")

    root.cancel()
    with pytest.raises(ActorDownError):
        await supervisor.wait()

    assert [event.agent for event in recorder.of("child_terminated")] == ["o/sub", "o"]
