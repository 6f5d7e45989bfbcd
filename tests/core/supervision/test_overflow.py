"""A mailbox that is full: back-pressure or rejection, by the actor's choice."""

from __future__ import annotations

import asyncio
import pickle
from typing import ClassVar

import pytest

from mnemosyne_core.errors import ChildSpecError, MailboxFullError, StartError
from mnemosyne_core.supervision import Context, Down, Mailbox, Overflow, Ref, Restart
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Crash,
    Echo,
    Gate,
    MemoryRecorder,
    Puppet,
    Run,
    child,
)


class Rejecting(Puppet):
    mailbox_capacity: ClassVar[int] = 1
    mailbox_overflow: ClassVar[Overflow] = Overflow.REJECT


class Full:
    """An actor with one message in hand and its only place taken, until it is let go on."""

    def __init__(self, ref: Ref, gate: Gate, waiting: asyncio.Task[object]) -> None:
        self.ref = ref
        self._gate = gate
        self._waiting = waiting

    async def go_on(self) -> None:
        self._gate.open()
        await self._waiting


async def fill(ref: Ref) -> Full:
    gate = Gate()
    ref.send_nowait(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    waiting = asyncio.create_task(ref.ask("takes the only place"))
    await asyncio.sleep(0)
    return Full(ref, gate, waiting)


async def full_one(supervise: MakeSupervisor, actor: Puppet) -> Full:
    supervisor = await supervise(child("a", lambda: actor, restart=Restart.TEMPORARY))
    return await fill(supervisor.whereis("a"))


async def test_an_actor_that_rejects_lets_nobody_wait(supervise: MakeSupervisor) -> None:
    rejecting = Rejecting()
    full = await full_one(supervise, rejecting)

    with pytest.raises(MailboxFullError) as by_send:
        await full.ref.send("refused")
    with pytest.raises(MailboxFullError):
        await full.ref.ask("refused")
    with pytest.raises(MailboxFullError):
        await full.ref.ask("refused", timeout_s=60)
    with pytest.raises(MailboxFullError):
        full.ref.send_nowait("refused")

    assert (by_send.value.path, by_send.value.can_wait) == ("a", False)
    assert "send again later" in str(by_send.value)
    await full.go_on()
    assert await full.ref.ask(Echo("room again")) == "room again"
    assert "refused" not in rejecting.seen


async def test_what_was_rejected_is_told_to_the_sender_and_to_nobody_else(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    full = await full_one(supervise, Rejecting())
    with pytest.raises(MailboxFullError):
        full.ref.send_nowait("refused")

    await full.go_on()
    full.ref.send_nowait(Crash())
    await full.ref.wait_down()
    await recorder.wait_for("ended a#1 (Boom: boom)")

    assert recorder.of("message_dropped") == []


async def test_system_messages_are_never_rejected(supervise: MakeSupervisor) -> None:
    other = (await supervise(child("b", restart=Restart.TEMPORARY))).whereis("b")

    class Watching(Rejecting):
        async def started(self, context: Context) -> None:
            context.monitor(other)

    watching = Watching()
    full = await full_one(supervise, watching)

    other.send_nowait(Crash())
    end = await other.wait_down()
    await full.go_on()

    assert watching.seen[1:] == [Down(other, end), "takes the only place"]


async def test_an_error_of_a_mailbox_that_lets_senders_wait_says_so(
    supervise: MakeSupervisor,
) -> None:
    class Waiting(Puppet):
        mailbox_capacity: ClassVar[int] = 1

    full = await full_one(supervise, Waiting())

    with pytest.raises(MailboxFullError, match="await send\\(\\) to wait for room") as refused:
        full.ref.send_nowait("refused")

    assert refused.value.can_wait
    await full.go_on()


def test_the_error_survives_pickling() -> None:
    error = MailboxFullError(path="a", capacity=1, can_wait=False)
    copy = pickle.loads(pickle.dumps(error))

    assert (copy.path, copy.capacity, copy.can_wait) == ("a", 1, False)
    assert str(copy) == str(error)


async def test_a_choice_that_does_not_exist_fails_the_start(supervise: MakeSupervisor) -> None:
    class Undecided(Puppet):
        mailbox_overflow: ClassVar[Overflow] = "drop"  # type: ignore[assignment]

    with pytest.raises(StartError, match="must wait or reject, that of a is to 'drop'") as failed:
        await supervise(child("a", Undecided))
    assert isinstance(failed.value.__cause__, ChildSpecError)


async def test_a_mailbox_that_rejects_refuses_a_put_that_would_wait() -> None:
    box: Mailbox[str] = Mailbox(path="a", capacity=1, overflow=Overflow.REJECT)
    await box.put("1")

    with pytest.raises(MailboxFullError):
        await box.put("2")

    assert await box.get() == "1"
    await box.put("3")
    assert len(box) == 1


async def test_a_system_message_can_be_taken_back_until_it_is_taken() -> None:
    box: Mailbox[str] = Mailbox(path="a")
    box.put_system("1")
    box.put_system("2")

    box.take_back("1")
    assert await box.get() == "2"
    box.take_back("2")
    assert not box.has_message


async def test_closing_forgets_the_system_messages_that_nobody_took() -> None:
    box: Mailbox[str] = Mailbox(path="a")
    box.put_system("down")
    box.put_nowait("1")

    assert box.close() == ["1"]
    assert not box.has_message
