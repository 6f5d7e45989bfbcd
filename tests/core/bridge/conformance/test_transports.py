"""What every transport keeps; another one joins by its name in `kind`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from mnemosyne_core import lane
from mnemosyne_core.bridge import AgentGoneError
from mnemosyne_core.claude import Block, Prompt, Reply
from mnemosyne_core.errors import (
    Abort,
    AnswerTooLongError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
)
from tests.core.agents.script import HangingClient, ScriptedClient, events_of, said
from tests.core.bridge.conformance.agents import (
    PROMPT,
    SomeAbort,
    impossible,
    keyless,
    opening,
    slow,
    unclosable,
)
from tests.core.bridge.conformance.harness import PATH, Line, seen_by


class LaneClient(ScriptedClient):
    """Notes in whose lane it is asked."""

    def __init__(self, *answers: Reply | BaseException) -> None:
        super().__init__(*answers)
        self.lanes: list[lane.Lane | None] = []

    async def open(self) -> None:
        self.lanes.append(lane.current.get())
        await super().open()

    async def send(self, prompt: Prompt) -> Reply:
        self.lanes.append(lane.current.get())
        return await super().send(prompt)


def other_tasks() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


# --- life ------------------------------------------------------------------------------


async def test_an_agent_beats_at_once_when_it_is_up_and_nothing_is_left_when_it_has_stopped(
    kind: str,
) -> None:
    line = Line.to(kind)
    states = [line.transport.is_up]
    await line.start()
    states.append(line.transport.is_up)
    assert line.beats == 1
    assert await line.stop()
    states.append(line.transport.is_up)

    assert states == [False, True, False]
    assert other_tasks() == set()


async def test_there_is_no_agent_before_the_start_and_none_after_the_stop(kind: str) -> None:
    line = Line.to(kind)
    with pytest.raises(AgentGoneError):
        await line.work()
    assert await line.stop()

    await line.start()
    assert await line.stop()
    assert await line.stop()
    with pytest.raises(AgentGoneError):
        await line.work()


async def test_a_new_start_is_a_new_agent(kind: str) -> None:
    line = Line.to(kind)
    for _ in range(2):
        await line.start()
        assert await line.data("recall") == []
        await line.work("tell", what="it")
        assert await line.data("wait", name="it") == "it"
        assert await line.data("recall") == ["waits for it"]
        assert await line.stop()


async def test_what_is_missing_at_the_start_is_told_as_it_was_found(kind: str) -> None:
    line = Line.to(kind, keyless)
    with pytest.raises(FileNotFoundError) as caught:
        await line.start()

    assert (caught.value.errno, caught.value.filename) == (2, "/nowhere")
    assert not line.transport.is_up
    assert other_tasks() == set()


async def test_a_missing_module_is_named(kind: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        await Line.to(kind, impossible).start()

    assert caught.value.name == "gone"


async def test_a_missing_key_is_found_where_the_client_is(kind: str) -> None:
    class Keyless(ScriptedClient):
        async def open(self) -> None:
            raise MissingKeyError(looked_in=("ANTHROPIC_API_KEY", "a drawer"))

    with pytest.raises(MissingKeyError) as caught:
        await Line.to(kind, opening, client=Keyless()).start()

    assert caught.value.looked_in == ("ANTHROPIC_API_KEY", "a drawer")


async def test_a_start_that_is_cancelled_leaves_nothing(kind: str) -> None:
    line = Line.to(kind, slow)
    starting = asyncio.create_task(line.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not line.transport.is_up
    assert other_tasks() == set()


async def test_what_the_end_of_a_session_raises_is_raised_when_all_has_ended(kind: str) -> None:
    line = Line.to(kind, unclosable)
    await line.start()
    with pytest.raises(AnswerTooLongError) as caught:
        await line.stop()

    assert caught.value.max_tokens == 7
    assert await line.stop()
    assert other_tasks() == set()


# --- work ------------------------------------------------------------------------------


@pytest.mark.parametrize(("deed", "is_traced"), [("crash", True), ("give_up", False)])
async def test_the_agents_log_says_where_a_crash_came_from_that_nobody_foresaw(
    kind: str, caplog: pytest.LogCaptureFixture, deed: str, is_traced: bool
) -> None:
    line = Line.to(kind)
    await line.start()
    await line.work(deed, 2)
    await line.stop()

    said = [text for text in ("work-1, attempt 2, crashed", "in do_crash") if text in caplog.text]
    assert len(said) == (2 if is_traced else 0)
    assert {record.name for record in caplog.records} <= {"mnemosyne.agent.executor.sub-1"}


async def test_stopping_ends_the_work_in_hand(kind: str) -> None:
    line = Line.to(kind)
    await line.start()
    work = asyncio.create_task(line.work("wait", name="ever"))
    while not await seen_by(line):
        await asyncio.sleep(0)
    assert await line.stop()

    with pytest.raises(AgentGoneError, match="stopped"):
        await work


# --- Claude ----------------------------------------------------------------------------


async def test_requests_to_claude_are_put_here_in_the_lane_of_the_work(kind: str) -> None:
    client = LaneClient(said("Hello."))
    line = Line.to(kind, opening, client=client)
    await line.start()
    result = await line.work("ask", 2)
    await line.stop()

    assert result.data == "Hello."
    assert client.prompts == [PROMPT]
    assert client.lanes == [lane.Lane(PATH, 1), lane.Lane(PATH, 2)]
    assert client.closed == 0


@pytest.mark.parametrize(
    "error",
    [
        ClaudeStatusError(
            status=529,
            error_type="overloaded_error",
            message="Overloaded",
            request_id="req_1",
            retry_after_s=1.5,
        ),
        ClaudeRequestError(status=400, error_type="invalid_request_error", message="No."),
        ClaudeStreamError(reason="it ended"),
    ],
)
async def test_an_error_of_claude_reaches_the_agent_as_itself(
    kind: str, error: ClaudeStatusError
) -> None:
    line = Line.to(kind, client=ScriptedClient(error))
    await line.start()
    told = await line.data("ask_and_tell_of_it")
    await line.stop()

    assert isinstance(told, dict)
    assert told["kind"] == type(error).__name__
    assert told["text"] == str(error)
    assert told.get("retry_after_s") == getattr(error, "retry_after_s", None)


async def test_an_abort_of_claude_comes_out_as_itself(kind: str) -> None:
    abort = SomeAbort(which="no such request was recorded")
    line = Line.to(kind, client=ScriptedClient(abort))
    await line.start()
    with pytest.raises(Abort) as caught:
        await line.work("ask")
    await line.stop()

    assert caught.value is abort


async def test_cancelling_work_abandons_its_request(kind: str) -> None:
    class Abandoned(HangingClient):
        def __init__(self) -> None:
            super().__init__()
            self.abandoned = asyncio.Event()

        async def send(self, prompt: Prompt) -> Reply:
            try:
                return await super().send(prompt)
            except asyncio.CancelledError:
                self.abandoned.set()
                raise

    client = Abandoned()
    line = Line.to(kind, client=client)
    await line.start()
    work = asyncio.create_task(line.work("ask"))
    await client.asked.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await client.abandoned.wait()

    assert (await line.work()).success
    await line.stop()


async def test_a_stream_arrives_event_by_event(kind: str) -> None:
    reply = said("Hello, and good-bye.")
    line = Line.to(kind, client=ScriptedClient(reply, reply))
    await line.start()

    assert await line.data("stream") == "Hello, and good-bye."
    assert await line.data("count_events") == len(events_of(reply))
    await line.stop()


async def test_leaving_a_stream_closes_it(kind: str) -> None:
    class Endless(ScriptedClient):
        def __init__(self) -> None:
            super().__init__()
            self.sent = 0
            self.left = asyncio.Event()

        async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            try:
                while True:
                    self.sent += 1
                    yield {"type": "ping", "number": self.sent}
                    await asyncio.sleep(0)
            finally:
                self.left.set()

    client = Endless()
    line = Line.to(kind, client=client)
    await line.start()
    assert await line.data("leave_stream") == {"type": "ping", "number": 1}
    await client.left.wait()
    await line.stop()

    assert client.sent <= 17
