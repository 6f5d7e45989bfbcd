"""Links: actors that share their end."""

from __future__ import annotations

import asyncio
import pickle
from typing import ClassVar

import pytest

from mnemosyne_core.errors import Abort, ActorDownError, LinkedActorDownError, StartError
from mnemosyne_core.supervision import (
    Context,
    Exit,
    ExitKind,
    ExitSignal,
    Ref,
    Restart,
    Supervisor,
)
from mnemosyne_core.supervision._links import through_link
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


class Trapping(Puppet):
    trap_exit: ClassVar[bool] = True


async def trio(supervise: MakeSupervisor, *actors: Puppet) -> tuple[Supervisor, list[Ref]]:
    """Actors `a`, `b`, ... that nobody restarts."""
    names = "abc"[: len(actors)]
    supervisor = await supervise(
        *(
            child(name, lambda actor=actor: actor, restart=Restart.TEMPORARY)  # type: ignore[misc]
            for name, actor in zip(names, actors, strict=True)
        )
    )
    return supervisor, [supervisor.whereis(name) for name in names]


async def link(one: Ref, other: Ref) -> None:
    async def begin(context: Context) -> None:
        context.link(other)

    await one.ask(Run(begin))


async def unlink(one: Ref, other: Ref) -> None:
    async def begin(context: Context) -> None:
        context.unlink(other)

    await one.ask(Run(begin))


def error_of(end: Exit) -> LinkedActorDownError:
    assert isinstance(end.error, LinkedActorDownError)
    return end.error


# --- how an end goes through a link ----------------------------------------------------


ABORT = Abort("the run is over")


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        pytest.param(Exit(ExitKind.NORMAL), None, id="normal"),
        pytest.param(Exit(ExitKind.SHUTDOWN), ExitKind.SHUTDOWN, id="shutdown"),
        pytest.param(Exit(ExitKind.KILLED), ExitKind.KILLED, id="killed"),
        pytest.param(Exit(ExitKind.CRASH, Boom("boom")), ExitKind.CRASH, id="crash"),
        pytest.param(Exit(ExitKind.ABORT, ABORT), ExitKind.ABORT, id="abort"),
    ],
)
def test_an_end_goes_through_a_link_as_what_it_is(end: Exit, kind: ExitKind | None) -> None:
    passed_on = through_link(end, path="a", was_dead=False)

    assert (passed_on and passed_on.kind) == kind


@pytest.mark.parametrize("kind", [ExitKind.NORMAL, ExitKind.SHUTDOWN, ExitKind.KILLED])
def test_a_link_to_one_that_was_dead_is_a_crash_whatever_it_died_of(kind: ExitKind) -> None:
    passed_on = through_link(Exit(kind), path="a", was_dead=True)

    assert passed_on is not None
    assert passed_on.kind is ExitKind.CRASH
    assert (error_of(passed_on).path, error_of(passed_on).reason) == ("a", kind.value)


def test_the_error_says_who_went_first_and_what_to_do_and_survives_pickling() -> None:
    error = LinkedActorDownError(path="a", reason="Boom: boom")
    copy = pickle.loads(pickle.dumps(error))

    assert (copy.path, copy.reason, str(copy)) == (error.path, error.reason, str(error))
    assert "a is down (Boom: boom)" in str(error)
    assert "trap_exit" in str(error)


# --- without trapping ------------------------------------------------------------------


@pytest.mark.parametrize("crashes", ["a", "b"])
async def test_a_crash_goes_both_ways(supervise: MakeSupervisor, crashes: str) -> None:
    supervisor, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(a, b)

    supervisor.whereis(crashes).send_nowait(Crash())
    ends = [await ref.wait_down() for ref in (a, b)]

    own, other = ends if crashes == "a" else reversed(ends)
    assert isinstance(own.error, Boom)
    assert other.kind is ExitKind.CRASH
    assert (error_of(other).path, error_of(other).reason) == (crashes, "Boom: boom")


async def test_a_normal_end_harms_nobody(supervise: MakeSupervisor) -> None:
    _, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(a, b)

    await a.ask(Quit())
    await a.wait_down()

    assert await b.ask(Echo("alive")) == "alive"


async def test_a_peer_is_interrupted_in_its_message_and_says_goodbye(
    supervise: MakeSupervisor,
) -> None:
    peer, gate = Puppet(), Gate()
    _, (a, b) = await trio(supervise, Puppet(), peer)
    await link(b, a)
    asking = asyncio.create_task(b.ask(Run(lambda _: gate.wait())))
    await gate.reached.wait()

    a.send_nowait(Crash())

    with pytest.raises(ActorDownError, match="a is down"):
        await asking
    end = await b.wait_down()
    assert peer.stopped_for == end


async def test_a_peer_that_swallows_its_interruption_ends_all_the_same(
    supervise: MakeSupervisor,
) -> None:
    waiting = asyncio.Event()

    async def swallow(context: Context) -> str:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "went on"
        raise AssertionError

    _, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(b, a)
    asking = asyncio.create_task(b.ask(Run(swallow)))
    await waiting.wait()

    a.send_nowait(Crash())

    with pytest.raises(ActorDownError, match="a is down"):
        await asking


async def test_an_end_travels_along_a_chain_and_names_the_first(
    supervise: MakeSupervisor,
) -> None:
    _, (a, b, c) = await trio(supervise, Puppet(), Puppet(), Puppet())
    await link(a, b)
    await link(b, c)

    a.send_nowait(Crash())

    assert error_of(await c.wait_down()).path == "a"


async def test_actors_linked_in_a_circle_end_once_each(supervise: MakeSupervisor) -> None:
    _, (a, b, c) = await trio(supervise, Puppet(), Puppet(), Puppet())
    for one, other in ((a, b), (b, c), (c, a)):
        await link(one, other)

    b.send_nowait(Crash())

    assert {error_of(await ref.wait_down()).path for ref in (a, c)} == {"b"}


async def test_an_end_through_a_link_is_caused_by_what_caused_the_first(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    _, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(a, b)

    a.send_nowait(Crash(), by=7)
    await recorder.wait_for("ended a#1 (Boom: boom)")
    await recorder.wait_for(f"ended b#1 ({(await b.wait_down()).reason})")

    assert [event.by for event in recorder.of("child_terminated")] == [7, 7]


async def test_a_linked_crash_is_restarted_like_any_other(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(
        child("a", restart=Restart.TEMPORARY), child("b", restart=Restart.TRANSIENT)
    )
    a, b = supervisor.whereis("a"), supervisor.whereis("b")
    await link(b, a)

    a.send_nowait(Crash())
    second = await supervisor.wait_restarted("b", b)

    assert await second.ask(Echo("back")) == "back"
    assert supervisor.which_children()[0].restarts == 1


async def test_a_stop_by_the_supervisor_takes_the_peer_along_as_a_shutdown(
    supervise: MakeSupervisor,
) -> None:
    supervisor = await supervise(child("a"), child("b", restart=Restart.TRANSIENT))
    a, b = supervisor.whereis("a"), supervisor.whereis("b")
    await link(b, a)

    await supervisor.terminate_child("a")
    end = await b.wait_down()
    await supervisor.terminate_child("b")

    assert end.kind is ExitKind.SHUTDOWN
    assert (error_of(end).path, error_of(end).reason) == ("a", "shutdown")
    assert [info.restarts for info in supervisor.which_children()] == [0, 0]


async def test_linked_siblings_are_stopped_in_order_without_a_restart(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), child("b"))
    await link(supervisor.whereis("a"), supervisor.whereis("b"))

    await supervisor.stop()

    assert [event.agent for event in recorder.of("child_started")] == ["a", "b"]
    assert [event.agent for event in recorder.of("child_terminated")] == ["b", "a"]


async def test_one_whose_end_is_decided_finishes_its_message(supervise: MakeSupervisor) -> None:
    gate = Gate()
    supervisor, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(b, a)
    asking = asyncio.create_task(b.ask(Run(lambda _: gate.wait())))
    await gate.reached.wait()
    stopping = asyncio.create_task(supervisor.terminate_child("b"))
    while b.is_alive:
        await asyncio.sleep(0)

    a.send_nowait(Crash())
    await a.wait_down()
    gate.open()

    assert await asking is None
    assert await b.wait_down() == Exit(ExitKind.SHUTDOWN)
    await stopping


async def test_a_link_to_the_dead_ends_the_caller(supervise: MakeSupervisor) -> None:
    caller = Puppet()
    _, (a, b) = await trio(supervise, Puppet(), caller)
    await a.ask(Quit())
    await a.wait_down()

    with pytest.raises(ActorDownError, match=r"a is down \(normal\)"):
        await link(b, a)

    end = await b.wait_down()
    assert end.kind is ExitKind.CRASH
    assert caller.stopped_for == end


async def test_who_links_to_the_dead_may_still_wait_in_stopping(
    supervise: MakeSupervisor,
) -> None:
    class Careful(Puppet):
        async def stopping(self, reason: Exit) -> None:
            await asyncio.sleep(0)
            await super().stopping(reason)

    caller = Careful()
    _, (a, b) = await trio(supervise, Puppet(), caller)
    a.send_nowait(Quit())
    await a.wait_down()

    with pytest.raises(ActorDownError):
        await link(b, a)

    end = await b.wait_down()
    assert caller.stopped_for == end


async def test_a_link_to_the_dead_fails_a_start(supervise: MakeSupervisor) -> None:
    supervisor, (a,) = await trio(supervise, Puppet())
    a.send_nowait(Crash())
    await a.wait_down()

    class Dependent(Puppet):
        async def started(self, context: Context) -> None:
            context.link(a)

    with pytest.raises(StartError, match=r"b did not start: LinkedActorDownError: a is down"):
        await supervisor.start_child(child("b", Dependent))


async def test_a_peer_that_ends_while_the_other_starts_fails_that_start(
    supervise: MakeSupervisor,
) -> None:
    supervisor, (a,) = await trio(supervise, Puppet())

    class Dependent(Puppet):
        async def started(self, context: Context) -> None:
            context.link(a)
            a.send_nowait(Crash())
            await asyncio.Event().wait()

    with pytest.raises(StartError, match=r"b did not start: LinkedActorDownError: a is down"):
        await supervisor.start_child(child("b", Dependent))


async def test_an_abort_goes_through_a_link_as_itself(supervise: MakeSupervisor) -> None:
    supervisor, (a, b) = await trio(supervise, Puppet(), Trapping())
    await link(b, a)

    a.send_nowait(Crash(ABORT))

    assert await b.wait_down() == Exit(ExitKind.ABORT, ABORT)
    with pytest.raises(Abort):
        await supervisor.wait()


async def test_linking_twice_is_linking_once(supervise: MakeSupervisor) -> None:
    _, (a, b) = await trio(supervise, Puppet(), Trapping())
    await link(a, b)
    await link(b, a)
    await unlink(a, b)

    a.send_nowait(Crash())
    await a.wait_down()

    assert await b.ask(Echo("alive")) == "alive"


async def test_an_actor_may_link_to_itself_in_vain(supervise: MakeSupervisor) -> None:
    _, (a,) = await trio(supervise, Puppet())
    await link(a, a)

    assert await a.ask(Echo("alive")) == "alive"
    a.send_nowait(Crash())
    assert isinstance((await a.wait_down()).error, Boom)


@pytest.mark.parametrize("who", ["a", "b"])
async def test_either_may_undo_a_link(supervise: MakeSupervisor, who: str) -> None:
    supervisor, (a, b) = await trio(supervise, Puppet(), Puppet())
    await link(a, b)
    await unlink(supervisor.whereis(who), b if who == "a" else a)

    a.send_nowait(Crash())
    await a.wait_down()

    assert await b.ask(Echo("alive")) == "alive"


async def test_a_dead_actor_links_to_nobody(supervise: MakeSupervisor) -> None:
    contexts: list[Context] = []

    async def keep(context: Context) -> None:
        contexts.append(context)

    _, (a, b) = await trio(supervise, Puppet(), Puppet())
    await a.ask(Run(keep))
    a.send_nowait(Crash())
    await a.wait_down()

    with pytest.raises(ActorDownError, match="Boom"):
        contexts[0].link(b)
    assert await b.ask(Echo("alive")) == "alive"


# --- with trapping ---------------------------------------------------------------------


async def signals(ref: Ref, puppet: Puppet) -> list[ExitSignal]:
    await ref.ask("what is before this has been received")
    return [message for message in puppet.seen if isinstance(message, ExitSignal)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param(Quit(), "normal", id="normal"),
        pytest.param(Crash(), "Boom: boom", id="crash"),
        pytest.param(Crash(asyncio.CancelledError()), "killed", id="killed"),
    ],
)
async def test_who_traps_exits_is_told_and_lives_on(
    supervise: MakeSupervisor, message: object, reason: str
) -> None:
    trapping = Trapping()
    _, (a, b) = await trio(supervise, Puppet(), trapping)
    await link(b, a)

    a.send_nowait(message)
    end = await a.wait_down()

    assert end.reason == reason
    assert await signals(b, trapping) == [ExitSignal(a, end)]


async def test_who_traps_exits_is_told_of_a_stop_too(supervise: MakeSupervisor) -> None:
    trapping = Trapping()
    supervisor, (a, b) = await trio(supervise, Puppet(), trapping)
    await link(a, b)

    await supervisor.terminate_child("a")

    assert await signals(b, trapping) == [ExitSignal(a, Exit(ExitKind.SHUTDOWN))]


async def test_who_traps_exits_is_told_at_once_of_the_dead(supervise: MakeSupervisor) -> None:
    trapping = Trapping()
    _, (a, b) = await trio(supervise, Puppet(), trapping)
    a.send_nowait(Quit())
    end = await a.wait_down()

    await link(b, a)

    assert await signals(b, trapping) == [ExitSignal(a, end)]


async def test_trapping_is_the_choice_of_each_end(supervise: MakeSupervisor) -> None:
    _, (a, b) = await trio(supervise, Puppet(), Trapping())
    await link(a, b)

    b.send_nowait(Crash())

    assert error_of(await a.wait_down()).path == "b"
