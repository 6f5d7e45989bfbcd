"""Names, asks to the dying, late answers, and the very moments in which two things happen."""

from __future__ import annotations

import asyncio

import pytest

from mnemosyne_core.errors import ActorDownError, AskTimeoutError
from mnemosyne_core.supervision import (
    Actor,
    ChildState,
    Context,
    Exit,
    Ref,
    Reply,
    Restart,
    Strategy,
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
    Run,
    child,
)


class Deferring(Actor):
    """Answers nothing by itself and keeps the replies."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    async def receive(self, message: object, context: Context) -> object:
        self.replies.append(context.defer())
        return None

    def answer(self, value: object) -> None:
        for reply in self.replies:
            reply.answer(value)

    def refuse(self, error: BaseException) -> None:
        for reply in self.replies:
            reply.fail(error)


# --- names -----------------------------------------------------------------------------


async def test_a_name_is_free_while_its_next_incarnation_starts(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()
    starts: list[int] = []

    class SlowAgain(Puppet):
        async def started(self, context: Context) -> None:
            starts.append(context.ref.incarnation)
            if context.ref.incarnation > 1:
                await gate.wait()

    supervisor = await supervise(child("a", SlowAgain))
    old = supervisor.whereis("a")
    old.send_nowait(Crash())
    await gate.reached.wait()

    with pytest.raises(ActorDownError, match="restarting, last exit: Boom: boom"):
        supervisor.whereis("a")
    with pytest.raises(ActorDownError, match="Boom: boom"):
        old.send_nowait("to the old one")

    gate.open()
    new = await supervisor.wait_restarted("a", old)
    assert (starts, supervisor.whereis("a").incarnation, new.is_alive) == ([1, 2], 2, True)


async def test_a_name_is_free_before_its_supervisor_has_come_to_the_end(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            await gate.wait()

    supervisor = await supervise(child("a"))
    old = supervisor.whereis("a")
    busy = asyncio.create_task(supervisor.start_child(child("b", Slow)))
    await gate.reached.wait()
    with pytest.raises(ActorDownError):
        await old.ask(Crash())
    await old.wait_down()

    with pytest.raises(ActorDownError, match="Boom: boom"):
        supervisor.whereis("a")
    waiting = asyncio.create_task(supervisor.wait_restarted("a", old))
    gate.open()
    await busy
    assert (await waiting).incarnation == 2


async def test_who_is_to_come_back_is_waited_for_while_its_siblings_are_stopped(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()

    class SlowToStop(Puppet):
        async def stopping(self, reason: Exit) -> None:
            await gate.wait()

    supervisor = await supervise(child("a"), child("b", SlowToStop), strategy=Strategy.REST_FOR_ONE)
    old = supervisor.whereis("a")
    old.send_nowait(Crash())
    await gate.reached.wait()

    states = [info.state for info in supervisor.which_children()]
    waiting = asyncio.create_task(supervisor.wait_restarted("a", old))
    gate.open()
    assert (await waiting).incarnation == 2
    assert states == [ChildState.RESTARTING, ChildState.RUNNING]


@pytest.mark.parametrize(
    ("outcome", "state"), [(None, ChildState.RUNNING), (Boom("no"), ChildState.STOPPED)]
)
async def test_who_is_being_replaced_is_not_taken_for_stopped(
    supervise: MakeSupervisor, outcome: Exception | None, state: ChildState
) -> None:
    gate = Gate()

    class SlowAgain(Puppet):
        async def started(self, context: Context) -> None:
            if context.ref.incarnation > 1:
                await gate.wait()
                if outcome is not None:
                    raise outcome

    supervisor = await supervise(child("a", SlowAgain))
    waiting = asyncio.create_task(supervisor.wait_restarted("a", supervisor.whereis("a")))
    replacing = asyncio.create_task(supervisor.replace_child("a"))
    await gate.reached.wait()
    in_between = supervisor.which_children()[0].state
    gate.open()
    told = (await asyncio.gather(waiting, replacing, return_exceptions=True))[0]

    assert in_between is ChildState.RESTARTING
    assert supervisor.which_children()[0].state is state
    assert isinstance(told, ActorDownError if outcome else Ref)


async def test_a_new_incarnation_has_none_of_the_old_ones_ties(
    supervise: MakeSupervisor,
) -> None:
    made: list[Puppet] = []

    def make() -> Puppet:
        made.append(Puppet())
        return made[-1]

    supervisor = await supervise(child("a", make), child("b", restart=Restart.TEMPORARY))
    old, b = supervisor.whereis("a"), supervisor.whereis("b")

    async def tie(context: Context) -> None:
        context.monitor(b)
        context.link(b)
        context.unlink(b)

    await old.ask(Run(tie))
    old.send_nowait(Crash())
    new = await supervisor.wait_restarted("a", old)
    b.send_nowait(Crash())
    await b.wait_down()

    await new.ask("last")
    assert made[1].seen == ["last"]


# --- asks to the dying -----------------------------------------------------------------


@pytest.mark.virtual_time
async def test_an_ask_to_one_that_cleans_up_fails_at_once_with_the_reason(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()

    class Slow(Puppet):
        async def stopping(self, reason: Exit) -> None:
            await gate.wait()

    supervisor = await supervise(child("a", Slow, restart=Restart.TEMPORARY))
    ref = supervisor.whereis("a")
    ref.send_nowait(Crash())
    await gate.reached.wait()

    with pytest.raises(ActorDownError, match="Boom: boom"):
        await ref.ask("too late", timeout_s=3600)

    assert asyncio.get_running_loop().time() == 0
    gate.open()


@pytest.mark.virtual_time
async def test_an_ask_does_not_wait_out_its_patience_when_the_actor_dies(
    supervise: MakeSupervisor,
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    ref = supervisor.whereis("a")
    asking = asyncio.create_task(ref.ask("never answered", timeout_s=3600))
    while not collector.replies:
        await asyncio.sleep(0)

    await supervisor.terminate_child("a")

    with pytest.raises(ActorDownError, match="shutdown"):
        await asking
    assert asyncio.get_running_loop().time() == 0


# --- late answers ----------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_late_answer_is_dropped_and_no_event(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    with pytest.raises(AskTimeoutError):
        await supervisor.whereis("a").ask("patience ends", timeout_s=1)

    (late,) = collector.replies
    assert not late.is_awaited
    late.answer("too late")
    late.fail(Boom("too late"))

    assert supervisor.whereis("a").is_alive
    assert [event.kind for event in recorder.events] == ["child_started"]


async def test_an_answer_that_was_never_given_is_no_event_but_the_askers_error(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    asking = asyncio.create_task(supervisor.whereis("a").ask("forgotten"))
    while not collector.replies:
        await asyncio.sleep(0)

    await supervisor.stop()
    collector.answer("after the end")

    with pytest.raises(ActorDownError, match="shutdown"):
        await asking
    assert recorder.of("message_dropped") == []


# --- the very moment -------------------------------------------------------------------


async def asked_for_a_second(supervisor: Supervisor) -> asyncio.Task[object]:
    asking = asyncio.create_task(supervisor.whereis("a").ask("now?", timeout_s=1))
    await asyncio.sleep(0)
    return asking


@pytest.mark.virtual_time
async def test_an_answer_in_the_moment_in_which_patience_ends_is_not_lost(
    supervise: MakeSupervisor,
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    asyncio.get_running_loop().call_at(1, collector.answer, "just in time")

    asking = await asked_for_a_second(supervisor)

    assert await asking == "just in time"


@pytest.mark.virtual_time
async def test_a_refusal_in_the_moment_in_which_patience_ends_is_not_lost(
    supervise: MakeSupervisor,
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    asyncio.get_running_loop().call_at(1, collector.refuse, Boom("just in time"))

    asking = await asked_for_a_second(supervisor)

    with pytest.raises(Boom, match="just in time"):
        await asking


@pytest.mark.virtual_time
async def test_a_cancellation_in_the_moment_of_the_answer_is_passed_on(
    supervise: MakeSupervisor,
) -> None:
    collector = Deferring()
    supervisor = await supervise(child("a", lambda: collector))
    loop = asyncio.get_running_loop()
    loop.call_at(0.5, collector.refuse, Boom("nobody is there to hear it"))
    asking = await asked_for_a_second(supervisor)
    loop.call_at(0.5, asking.cancel)

    await asyncio.wait((asking,))

    assert asking.cancelled()
    assert supervisor.whereis("a").is_alive


@pytest.mark.virtual_time
async def test_a_message_that_came_in_the_moment_of_an_interruption_is_a_dead_letter(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a", restart=Restart.TEMPORARY))
    ref = supervisor.whereis("a")
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "a#1")
    await ref.ask(Echo("it waits for the next"))

    ref.send_nowait("delivered")
    task.cancel()
    await recorder.wait_for("message_dropped a")

    assert recorder.story[-2:] == ["ended a#1 (killed)", "message_dropped a"]
