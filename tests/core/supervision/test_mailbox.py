from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import ChildSpecError, MailboxFullError
from mnemosyne_core.supervision import Mailbox
from mnemosyne_core.supervision._mailbox import MailboxClosedError


def mailbox(capacity: float = 2) -> Mailbox[str]:
    return Mailbox(path="a", capacity=capacity)


async def turn() -> None:
    """Lets every task that is ready run once."""
    await asyncio.sleep(0)


async def test_system_messages_come_before_users_messages() -> None:
    box = mailbox()
    box.put_nowait("user")
    box.put_system("system")

    assert [await box.get(), await box.get()] == ["system", "user"]


async def test_a_full_mailbox_refuses_and_says_how_much_it_holds() -> None:
    box = mailbox(capacity=1)
    box.put_nowait("first")

    with pytest.raises(MailboxFullError) as refused:
        box.put_nowait("second")

    assert (refused.value.path, refused.value.capacity) == ("a", 1)
    assert len(box) == 1


async def test_a_sender_waits_for_room_and_senders_keep_their_order() -> None:
    box = mailbox(capacity=1)
    box.put_nowait("1")
    async with asyncio.TaskGroup() as senders:
        for text in ("2", "3"):
            senders.create_task(box.put(text))
            await turn()
        assert len(box) == 1

        assert [await box.get() for _ in range(3)] == ["1", "2", "3"]


async def test_nobody_slips_in_before_a_sender_that_waits() -> None:
    box = mailbox(capacity=1)
    box.put_nowait("1")
    waiting = asyncio.create_task(box.put("2"))
    await turn()

    await box.get()
    with pytest.raises(MailboxFullError):
        box.put_nowait("3")

    assert await box.get() == "2"
    await waiting


async def test_a_cancelled_sender_leaves_nothing_behind() -> None:
    box = mailbox(capacity=1)
    box.put_nowait("1")
    waiting = asyncio.create_task(box.put("2"))
    await turn()
    waiting.cancel()
    await asyncio.wait((waiting,))

    assert await box.get() == "1"
    box.put_nowait("3")
    assert await box.get() == "3"


async def test_a_cancelled_receiver_has_taken_nothing() -> None:
    box = mailbox()
    receiving = asyncio.create_task(box.get())
    await turn()
    box.put_nowait("1")
    receiving.cancel()
    await asyncio.wait((receiving,))

    assert receiving.cancelled()
    assert await box.get() == "1"


async def test_closing_hands_back_what_waits_and_turns_senders_away() -> None:
    box = mailbox(capacity=1)
    box.put_nowait("1")
    waiting = asyncio.create_task(box.put("2"))
    await turn()

    assert box.close() == ["1"]

    with pytest.raises(MailboxClosedError):
        await waiting
    with pytest.raises(MailboxClosedError):
        box.put_nowait("3")
    with pytest.raises(MailboxClosedError):
        await box.put("3")


async def test_a_closed_mailbox_still_takes_system_messages() -> None:
    box = mailbox()
    box.close()
    box.put_system("stop")

    assert await box.get() == "stop"


@pytest.mark.parametrize("capacity", [0, -1, float("nan")])
def test_a_mailbox_without_room_is_refused(capacity: float) -> None:
    with pytest.raises(ChildSpecError, match="at least 1 message"):
        mailbox(capacity=capacity)


@given(
    capacity=st.integers(1, 3),
    steps=st.lists(st.sampled_from(["put", "put_nowait", "get", "cancel"]), max_size=40),
)
def test_messages_arrive_in_the_order_in_which_they_were_sent(
    capacity: int, steps: list[str]
) -> None:
    async def play() -> None:
        box: Mailbox[int] = Mailbox(path="a", capacity=capacity)
        expected: list[int] = []
        waiting: list[tuple[int, asyncio.Task[None]]] = []
        for number, step in enumerate(steps):
            match step:
                case "put":
                    task = asyncio.create_task(box.put(number))
                    await turn()
                    expected.append(number)
                    if not task.done():
                        waiting.append((number, task))
                case "put_nowait":
                    if len(expected) < capacity:
                        box.put_nowait(number)
                        expected.append(number)
                    else:
                        with pytest.raises(MailboxFullError):
                            box.put_nowait(number)
                case "get" if expected:
                    assert await box.get() == expected.pop(0)
                    waiting = [(n, task) for n, task in waiting if n in expected[capacity:]]
                case "cancel" if waiting:
                    number, task = waiting.pop()
                    task.cancel()
                    await asyncio.wait((task,))
                    expected.remove(number)
            assert len(box) == min(len(expected), capacity)
        for number in expected:
            assert await box.get() == number
        await turn()

    asyncio.run(play())
