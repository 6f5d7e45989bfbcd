"""Deadline: a bound on the whole call, and on nothing else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from mnemosyne_core import lane
from mnemosyne_core.claude.policies import Deadline, DeadlineSettings, Told
from mnemosyne_core.errors import Abort, ClaudeDeadlineError
from mnemosyne_core.events import ClaudeDeadlineExceeded
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import HELLO, FakeClaude, call, prompt


def bounded(claude: FakeClaude, call_s: float, told: Told, clock: VirtualClock) -> Deadline:
    return Deadline(claude, DeadlineSettings(call_s=call_s), told=told, clock=clock)


async def test_an_answer_in_time_is_the_answer(
    stream: bool, told: Told, clock: VirtualClock, log: EventList
) -> None:
    client = bounded(FakeClaude(took_s=59.0), 60.0, told, clock)

    assert await call(client, prompt(), stream=stream) == HELLO
    assert log.events == []


async def test_a_late_call_is_abandoned_and_told_to_whoever_made_it(
    stream: bool, told: Told, clock: VirtualClock, log: EventList
) -> None:
    claude = FakeClaude(took_s=61.0)
    client = bounded(claude, 60.0, told, clock)

    with (
        lane.entered(lane.Lane("executor", 2)),
        pytest.raises(ClaudeDeadlineError, match="longer than its 60 s"),
    ):
        await call(client, prompt(), stream=stream)

    assert clock.monotonic() == 60.0
    assert claude.abandoned == 1
    (event,) = log.events
    assert event.fact == ClaudeDeadlineExceeded(deadline_s=60.0)
    assert (event.agent, event.attempt) == ("executor", 2)


async def test_a_stream_has_to_be_complete_in_time(told: Told, clock: VirtualClock) -> None:
    client = bounded(FakeClaude(step_s=20.0), 60.0, told, clock)
    events = client.stream(prompt())

    assert [(await anext(events))["type"] for _ in range(2)] == [
        "message_start",
        "content_block_start",
    ]
    with pytest.raises(ClaudeDeadlineError):
        # The third event comes in the very moment in which the time is up; the fourth is late.
        [event async for event in events]
    assert clock.monotonic() == 60.0


async def test_a_reader_is_never_cancelled_in_its_own_work(told: Told, clock: VirtualClock) -> None:
    client = bounded(FakeClaude(), 60.0, told, clock)
    async with aclosing(client.stream(prompt())) as events:
        await anext(events)
        await asyncio.sleep(3600)

        # What the reader took is the answer's time, too.
        with pytest.raises(ClaudeDeadlineError):
            await anext(events)


async def test_a_stream_that_is_left_early_closes_the_one_within(
    told: Told, clock: VirtualClock
) -> None:
    claude = FakeClaude()
    async with aclosing(bounded(claude, 60.0, told, clock).stream(prompt())) as events:
        await anext(events)
    assert claude.abandoned == 1


async def test_somebody_else_s_timeout_is_not_taken_for_the_deadline(
    stream: bool, told: Told, clock: VirtualClock, log: EventList
) -> None:
    client = bounded(FakeClaude(TimeoutError("the disk")), 60.0, told, clock)

    with pytest.raises(TimeoutError, match="the disk") as caught:
        await call(client, prompt(), stream=stream)
    assert not isinstance(caught.value, ClaudeDeadlineError)
    assert log.events == []


async def test_an_abort_passes(
    stream: bool, told: Told, clock: VirtualClock, log: EventList
) -> None:
    client = bounded(FakeClaude(Abort("no such recording")), 60.0, told, clock)
    with pytest.raises(Abort):
        await call(client, prompt(), stream=stream)
    assert log.events == []
