"""What every transport keeps of the work that it carries; one agent for all, left as it was.

A process takes its time to start, so the tests share it, and the loop that it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from mnemosyne_core import lane, origins
from mnemosyne_core.bridge import AgentGoneError
from mnemosyne_core.bridge._endpoint import handle
from mnemosyne_core.errors import EnvelopeError
from tests.core.bridge.conformance.agents import ObedientAgent, SomeAbort
from tests.core.bridge.conformance.harness import PATH, Line, seen_by

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(kind: str) -> AsyncIterator[Line]:
    """A line to an agent that is up."""
    found = Line.to(kind)
    await found.start()
    yield found
    assert await found.stop()


async def test_the_answer_is_the_bytes_that_the_agent_would_have_written_here(line: Line) -> None:
    envelope = line.envelope("echo", 3, words="ä \u2028 \x00 🙂")

    assert await line.transport.execute(envelope) == await handle(ObedientAgent(None), envelope)


async def test_work_is_done_in_the_lane_of_the_agent_and_its_attempt(line: Line) -> None:
    result = await line.work("lanes", 2)

    assert result.data == [[PATH, 1], [PATH, 2]]


async def test_what_the_agent_makes_and_no_other_run_will_is_told_here(line: Line) -> None:
    class Heard:
        def minted(self, value: str, kind: str) -> None:
            told.append([value, kind, lane.current.get()])

        def told(self, instant: datetime) -> None:
            told.append(instant.isoformat(timespec="seconds"))

    told: list[object] = []
    with origins.listening(Heard()):
        made = await line.data("make")

    assert isinstance(made, list)
    assert [made[0], "memory", lane.Lane(PATH)] in told
    assert made[1] in told


async def test_several_pieces_are_under_way_at_once_and_each_gets_its_own_answer(
    line: Line,
) -> None:
    waiting = [asyncio.create_task(line.data("wait", name=name)) for name in "abc"]
    for name in "cab":
        await line.work("tell", what=name)

    assert await asyncio.gather(*waiting) == ["a", "b", "c"]


async def test_a_large_item_crosses_and_comes_back(line: Line) -> None:
    words = "0123456789" * 200_000

    assert await line.data("echo", words=words) == words


@pytest.mark.parametrize(("deed", "code"), [("crash", "crash"), ("give_up", "answer_too_long")])
async def test_an_error_of_the_agent_is_a_failed_result(line: Line, deed: str, code: str) -> None:
    result = await line.work(deed)

    assert result.error is not None
    assert result.error.code == code
    assert (await line.work()).success


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00garbage", b"[1, 2]"])
async def test_what_is_no_work_is_refused_and_the_agent_goes_on(line: Line, content: bytes) -> None:
    with pytest.raises(EnvelopeError):
        await line.transport.execute(content)

    assert (await line.work()).success


async def test_an_abort_of_the_agent_comes_out(line: Line) -> None:
    with pytest.raises(SomeAbort, match="the agent says so") as caught:
        await line.work("abort")

    assert caught.value.which == "the agent says so"


async def test_cancelling_ends_the_agents_work_and_nothing_else(line: Line) -> None:
    before = len(await seen_by(line))
    other = asyncio.create_task(line.data("wait", name="later"))
    work = asyncio.create_task(line.work("wait", name="ever"))
    while len(await seen_by(line)) < before + 2:
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    seen = await seen_by(line)
    assert seen[before:] == ["waits for later", "waits for ever", "cancelled"]
    await line.work("tell", what="later")
    assert await other == "later"


async def test_work_that_is_cancelled_from_outside_is_no_result(line: Line) -> None:
    with pytest.raises(AgentGoneError, match="from outside"):
        await line.work("cancel_itself")
