"""Refs, asks, contexts and an actor's own tasks, seen from outside."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

import pytest

from mnemosyne_core import lane
from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    AskTimeoutError,
    ChildSpecError,
    MailboxFullError,
    StartError,
)
from mnemosyne_core.events import MessageDropped
from mnemosyne_core.supervision import (
    Actor,
    ChildSpec,
    Context,
    Exit,
    ExitKind,
    Ref,
    Reply,
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

# Bounds are a hundredth of a second here, and a busy machine takes that long for nothing.
pytestmark = pytest.mark.virtual_time


class Narrow(Puppet):
    mailbox_capacity: ClassVar[int] = 1


async def actor_in(supervise: MakeSupervisor, actor: Actor) -> Ref:
    """An actor that is not restarted, so that its first incarnation is the only one."""
    supervisor = await supervise(child("a", lambda: actor, restart=Restart.TEMPORARY))
    return supervisor.whereis("a")


async def test_an_ask_is_answered_with_what_receive_returns(supervise: MakeSupervisor) -> None:
    ref = await actor_in(supervise, Puppet())

    assert await ref.ask(Echo(42)) == 42


async def test_messages_are_handled_one_by_one_in_the_order_sent(
    supervise: MakeSupervisor,
) -> None:
    puppet = Puppet()
    ref = await actor_in(supervise, puppet)

    for number in range(200):
        ref.send_nowait(number)
    await ref.ask("last")

    assert puppet.seen == [*range(200), "last"]


async def test_a_busy_actor_lets_others_run(supervise: MakeSupervisor) -> None:
    puppet = Puppet()
    ref = await actor_in(supervise, puppet)
    for number in range(1_000):
        ref.send_nowait(number)

    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert 0 < len(puppet.seen) < 1_000


async def test_a_ref_knows_where_it_leads(supervise: MakeSupervisor) -> None:
    ref = await actor_in(supervise, Puppet())

    assert (ref.path, ref.incarnation, ref.is_alive) == ("a", 1, True)
    assert repr(ref) == "<Ref a#1 alive>"


async def test_a_sender_waits_while_the_mailbox_is_full(supervise: MakeSupervisor) -> None:
    narrow, gate = Narrow(), Gate()
    ref = await actor_in(supervise, narrow)
    ref.send_nowait(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    await ref.send("waits in the mailbox")

    with pytest.raises(MailboxFullError, match="mailbox of a holds 1"):
        ref.send_nowait("refused")
    sending = asyncio.create_task(ref.send("waits for room"))
    await asyncio.sleep(0)
    assert not sending.done()

    gate.open()
    await sending
    await ref.ask("last")
    assert narrow.seen[1:] == ["waits in the mailbox", "waits for room", "last"]


async def test_a_mailbox_without_room_fails_the_start(supervise: MakeSupervisor) -> None:
    class Useless(Puppet):
        mailbox_capacity: ClassVar[int] = 0

    with pytest.raises(StartError, match="at least 1 message") as failed:
        await supervise(child("a", Useless))
    assert isinstance(failed.value.__cause__, ChildSpecError)


# --- asks that end otherwise -----------------------------------------------------------


async def test_patience_ends_and_the_late_answer_is_dropped(supervise: MakeSupervisor) -> None:
    gate = Gate()
    ref = await actor_in(supervise, Puppet())

    with pytest.raises(AskTimeoutError, match=r"a did not answer within 0\.001 s"):
        await ref.ask(Run(lambda _: gate.wait()), timeout_s=0.001)

    gate.open()
    assert await ref.ask(Echo("alive")) == "alive"


async def test_patience_covers_the_wait_for_room(supervise: MakeSupervisor) -> None:
    narrow, gate = Narrow(), Gate()
    ref = await actor_in(supervise, narrow)
    ref.send_nowait(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    ref.send_nowait("waits")

    with pytest.raises(AskTimeoutError):
        await ref.ask("never gets in", timeout_s=0.001)

    gate.open()
    await ref.ask("last")
    assert "never gets in" not in narrow.seen


async def test_a_timeout_error_of_the_actor_is_not_taken_for_impatience(
    supervise: MakeSupervisor,
) -> None:
    async def refuse(context: Context) -> None:
        context.defer().fail(TimeoutError("the actor's own"))

    ref = await actor_in(supervise, Puppet())

    with pytest.raises(TimeoutError, match="the actor's own"):
        await ref.ask(Run(refuse), timeout_s=60)


async def test_an_ask_fails_with_the_reason_when_the_actor_crashes(
    supervise: MakeSupervisor,
) -> None:
    ref = await actor_in(supervise, Puppet())

    with pytest.raises(ActorDownError, match=r"a is down \(Boom: boom\)"):
        await ref.ask(Crash())


async def test_asks_that_wait_in_the_mailbox_fail_with_the_reason(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    ref = await actor_in(supervise, Puppet())
    async with asyncio.TaskGroup() as asking:
        asks = [asking.create_task(_outcome(ref, m)) for m in (Crash(), Echo(1), Echo(2))]

    assert [str(ask.result()).partition(";")[0] for ask in asks] == ["a is down (Boom: boom)"] * 3
    await recorder.wait_for("message_dropped a", times=2)
    (ended,) = recorder.of("child_terminated")
    assert {event.by for event in recorder.of("message_dropped")} == {ended.seq}
    facts = [event.fact for event in recorder.of("message_dropped")]
    assert facts == [MessageDropped(message="Echo", reason="Boom: boom")] * 2


async def _outcome(ref: Ref, message: object) -> object:
    try:
        return await ref.ask(message)
    except ActorDownError as error:
        return error


async def test_a_dead_ref_fails_at_once(supervise: MakeSupervisor) -> None:
    ref = await actor_in(supervise, Puppet())
    with pytest.raises(ActorDownError):
        await ref.ask(Crash())

    assert not ref.is_alive
    with pytest.raises(ActorDownError, match="Boom"):
        await ref.ask("anybody there?")
    with pytest.raises(ActorDownError, match="Boom"):
        await ref.send("anybody there?")
    with pytest.raises(ActorDownError, match="Boom"):
        ref.send_nowait("anybody there?")


async def test_an_actor_that_is_being_stopped_takes_no_more_messages(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()
    supervisor = await supervise(child("a"))
    ref = supervisor.whereis("a")
    in_hand = asyncio.create_task(ref.ask(Run(lambda _: gate.wait())))
    await gate.reached.wait()
    waiting = asyncio.create_task(ref.ask("waits"))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(supervisor.terminate_child("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    with pytest.raises(ActorDownError, match="shutdown"):
        await ref.ask("too late")
    with pytest.raises(ActorDownError, match="shutdown"):
        await waiting
    assert not in_hand.done()

    gate.open()
    assert await in_hand is None
    await stopping


async def test_an_abort_reaches_the_asker_as_itself(supervise: MakeSupervisor) -> None:
    abort = Abort("the run is over")
    supervisor = await supervise(child("a"))
    ref = supervisor.whereis("a")

    with pytest.raises(Abort) as raised:
        await ref.ask(Crash(abort))
    assert raised.value is abort
    with pytest.raises(Abort):
        await supervisor.wait()


async def test_a_cancelled_asker_leaves_the_actor_in_peace(supervise: MakeSupervisor) -> None:
    gate = Gate()
    ref = await actor_in(supervise, Puppet())
    asking = asyncio.create_task(ref.ask(Run(lambda _: gate.wait())))
    await gate.reached.wait()
    asking.cancel()
    await asyncio.wait((asking,))
    gate.open()

    assert asking.cancelled()
    assert await ref.ask(Echo("alive")) == "alive"


# --- answering later, and tasks of one's own -------------------------------------------


class Collector(Actor):
    """Answers its asks when it is told to, in any order, from tasks of its own."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[Reply] = asyncio.Queue()

    async def receive(self, message: object, context: Context) -> object:
        self.replies.put_nowait(context.defer())
        return "not the answer"


async def test_an_actor_answers_several_asks_in_its_own_order(supervise: MakeSupervisor) -> None:
    collector = Collector()
    ref = await actor_in(supervise, collector)
    first, second = (asyncio.create_task(ref.ask(n)) for n in (1, 2))
    reply_to_first = await collector.replies.get()
    reply_to_second = await collector.replies.get()

    reply_to_second.answer("two")
    assert await second == "two"
    assert not first.done()
    reply_to_first.fail(Boom("one"))
    with pytest.raises(Boom, match="one"):
        await first
    assert ref.is_alive


async def test_only_the_first_answer_counts(supervise: MakeSupervisor) -> None:
    async def answer_twice(context: Context) -> None:
        reply = context.defer()
        assert reply.is_awaited
        reply.answer("first")
        reply.answer("second")
        reply.fail(Boom())
        assert not reply.is_awaited

    ref = await actor_in(supervise, Puppet())

    assert await ref.ask(Run(answer_twice)) == "first"


async def test_an_answer_to_a_message_that_was_not_asked_goes_nowhere(
    supervise: MakeSupervisor,
) -> None:
    async def answer(context: Context) -> None:
        reply = context.defer()
        assert not reply.is_awaited
        reply.answer("to nobody")

    ref = await actor_in(supervise, Puppet())
    await ref.send(Run(answer))

    assert await ref.ask(Echo("alive")) == "alive"


async def test_an_unanswered_ask_fails_when_the_actor_ends(supervise: MakeSupervisor) -> None:
    collector = Collector()
    supervisor = await supervise(child("a", lambda: collector))
    asking = asyncio.create_task(supervisor.whereis("a").ask("forgotten"))
    await collector.replies.get()

    await supervisor.stop()

    with pytest.raises(ActorDownError, match="shutdown"):
        await asking


async def test_a_context_keeps_the_cause_of_its_own_message(supervise: MakeSupervisor) -> None:
    causes: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
    gate = Gate()

    async def note_later(context: Context) -> None:
        await gate.wait()
        causes.put_nowait(("first", context.by))

    async def begin(context: Context) -> None:
        context.spawn(note_later(context))

    async def note(context: Context) -> None:
        causes.put_nowait(("second", context.by))

    ref = await actor_in(supervise, Puppet())
    await ref.ask(Run(begin), by=7)
    await ref.ask(Run(note), by=8)
    gate.open()

    assert [await causes.get(), await causes.get()] == [("second", 8), ("first", 7)]


async def test_a_crashing_task_crashes_its_actor_in_the_middle_of_a_message(
    supervise: MakeSupervisor,
) -> None:
    async def crash() -> None:
        raise Boom("in the task")

    async def wait_in_vain(context: Context) -> None:
        context.spawn(crash())
        await asyncio.Event().wait()

    puppet = Puppet()
    ref = await actor_in(supervise, puppet)

    with pytest.raises(ActorDownError, match="Boom: in the task"):
        await ref.ask(Run(wait_in_vain))
    assert puppet.stopped_for is not None
    assert puppet.stopped_for.kind is ExitKind.CRASH


async def test_a_task_crash_is_not_lost_when_receive_swallows_its_interruption(
    supervise: MakeSupervisor,
) -> None:
    async def crash() -> None:
        raise Boom("in the task")

    async def swallow(context: Context) -> None:
        context.spawn(crash())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    ref = await actor_in(supervise, Puppet())

    with pytest.raises(ActorDownError, match="Boom: in the task"):
        await ref.ask(Run(swallow))


async def test_an_actor_takes_its_tasks_with_it(supervise: MakeSupervisor) -> None:
    cancelled: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append("linger")

    async def begin(context: Context) -> None:
        context.spawn(linger(), name="lingering")

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(begin))
    assert "a:lingering" in {task.get_name() for task in asyncio.all_tasks()}

    await supervisor.stop()

    assert cancelled == ["linger"]


async def test_a_cancelled_task_ends_alone(supervise: MakeSupervisor) -> None:
    async def begin_and_cancel(context: Context) -> None:
        context.spawn(asyncio.sleep(60)).cancel()

    ref = await actor_in(supervise, Puppet())
    await ref.ask(Run(begin_and_cancel))

    assert await ref.ask(Echo("alive")) == "alive"


async def test_a_dead_actor_starts_no_tasks(supervise: MakeSupervisor) -> None:
    contexts: list[Context] = []

    async def keep(context: Context) -> None:
        contexts.append(context)

    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").ask(Run(keep))
    await supervisor.stop()

    with pytest.raises(ActorDownError, match="shutdown"):
        contexts[0].spawn(asyncio.sleep(0))


# --- beginning and end -----------------------------------------------------------------


def _same(puppet: Puppet) -> Puppet:
    return puppet


async def test_stopping_is_told_why(supervise: MakeSupervisor) -> None:
    quitter, crasher, survivor = Puppet(), Puppet(), Puppet()
    specs = [
        child(name, partial(_same, puppet), restart=Restart.TEMPORARY)
        for name, puppet in (("q", quitter), ("c", crasher), ("s", survivor))
    ]
    supervisor = await supervise(*specs)
    await supervisor.whereis("q").ask(Quit())
    with pytest.raises(ActorDownError):
        await supervisor.whereis("c").ask(Crash())
    await supervisor.stop()

    reasons = [puppet.stopped_for and puppet.stopped_for.reason for puppet in (quitter, crasher)]
    assert reasons == ["normal", "Boom: boom"]
    assert survivor.stopped_for == Exit(ExitKind.SHUTDOWN)


async def test_an_error_in_stopping_is_reported_and_stops_nobody(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    class Clumsy(Puppet):
        async def stopping(self, reason: Exit) -> None:
            raise Boom("on the way out")

    supervisor = await supervise(child("a"), child("b", Clumsy))
    await supervisor.stop()

    assert recorder.story[-3:] == [
        "ended b#1 (Boom: on the way out)",
        "stopped badly b (Boom: on the way out)",
        "ended a#1 (shutdown)",
    ]
    assert supervisor.failure is None


async def test_an_actor_may_send_to_itself_while_it_starts(supervise: MakeSupervisor) -> None:
    class Eager(Puppet):
        async def started(self, context: Context) -> None:
            await context.ref.send("to myself")

    eager = Eager()
    ref = await actor_in(supervise, eager)
    await ref.ask("from outside")

    assert eager.seen == ["to myself", "from outside"]


async def test_an_actor_talks_to_claude_in_its_own_lane(supervise: MakeSupervisor) -> None:
    lanes: list[lane.Lane | None] = []

    async def note(context: Context) -> None:
        lanes.append(lane.current.get())
        await context.spawn(note_in_task())

    async def note_in_task() -> None:
        lanes.append(lane.current.get())

    ref = await actor_in(supervise, Puppet())
    await ref.ask(Run(note))

    assert lanes == [lane.Lane("a"), lane.Lane("a")]
    assert lane.current.get() is None


async def test_a_context_shows_the_actor_its_surroundings(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    contexts: list[Context] = []

    async def keep(context: Context) -> None:
        contexts.append(context)

    ref = await actor_in(supervise, Puppet())
    await ref.ask(Run(keep))

    (context,) = contexts
    assert (context.path, context.ref, context.recorder) == ("a", ref, recorder)
    assert context.clock.monotonic() == 0.0


async def test_a_plain_async_function_can_be_a_child(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    supervisor: Supervisor = await supervise(ChildSpec(id="work", start=work))
    await supervisor.stop()

    assert recorder.story == ["started work#1", "ended work#1 (shutdown)"]
