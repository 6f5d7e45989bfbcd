"""What an agent's process gets of ours, and what we get of it: environment, log, Claude."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from mnemosyne_core.bridge import ClaudeAgentBridge, SubprocessTransport
from mnemosyne_core.bridge._environment import child_environment
from mnemosyne_core.bridge._log import (
    MAX_AT_ONCE,
    MAX_KEPT,
    MAX_LINE,
    STDERR,
    Lines,
    ProcessLog,
)
from mnemosyne_core.claude import Block, Prompt
from mnemosyne_core.errors import Abort, UnusableAnswerError
from tests.core.agents.script import ScriptedClient, said
from tests.core.bridge.conformance.agents import SomeAbort, opening
from tests.core.bridge.conformance.harness import Line, source_of
from tests.core.bridge.doubles import ITEM, EventList

CANARY = "sk-ant-canary-0123456789"


# --- environment -----------------------------------------------------------------------


def test_nothing_that_opens_a_door_is_passed_on() -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "ANTHROPIC_API_KEY": CANARY,
        "ANTHROPIC_AUTH_TOKEN": "token-0123456789",
        "ANTHROPIC_BASE_URL": "http://me:pass@gateway",
        "MY_COPY": f"x{CANARY}x",
        "github_token": "abc",
        "DB_PASSWORD": "abc",
        "ALPHABET": "abc",
    }

    assert child_environment(ours) == {"PATH": "/bin", "HOME": "/home/me", "ALPHABET": "abc"}


async def test_the_key_is_nowhere_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    monkeypatch.setenv("CANARY_UNDER_ANOTHER_NAME", CANARY)
    monkeypatch.setenv("HARMLESS", "yes")
    line = Line.to("subprocess")
    await line.start()
    seen = await line.data("look_at_itself")
    assert isinstance(seen, dict)
    environment = seen["environment"]
    process = Path(f"/proc/{seen['pid']}")
    told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    await line.stop()

    assert CANARY not in str(environment)
    assert CANARY.encode() not in told
    assert isinstance(environment, dict)
    assert environment["HARMLESS"] == "yes"
    assert seen["pid"] != os.getpid()
    assert seen["folder"] == str(Path.cwd())


async def test_the_process_does_without_the_sdk() -> None:
    line = Line.to("subprocess", client=ScriptedClient(said("Hello.")))
    await line.start()
    assert await line.data("ask") == "Hello."
    modules = await line.data("modules")
    await line.stop()

    assert isinstance(modules, list)
    assert "mnemosyne_core" in modules
    assert not {"anthropic", "httpx2", "sqlite3"} & {str(name) for name in modules}


# --- log -------------------------------------------------------------------------------


async def test_what_the_agent_prints_is_in_the_log_and_never_a_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line.to("subprocess")
    await line.start()
    await line.work("print", words='{"kind": "ready"}')
    agent = await line.data("look_at_itself")
    await line.stop()

    assert isinstance(agent, dict)
    message = f'[{agent["pid"]}] {{"kind": "ready"}}'
    assert sorted(caplog.record_tuples, key=lambda each: each[1]) == [
        ("mnemosyne.agent.executor.sub-1", logging.INFO, message),
        ("mnemosyne.agent.executor.sub-1", logging.WARNING, message),
    ]


async def test_the_last_words_of_a_process_are_never_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    code = "import sys; print('x' * 5000 + '\\n' + 'last words', end='', file=sys.stderr)"
    with pytest.raises(Exception, match="last words"):
        await Line.to_program(code).start()

    long, last = (record.getMessage().partition("] ")[2] for record in caplog.records)
    assert long == "x" * MAX_LINE + f" [... {5000 - MAX_LINE} bytes left out]"
    assert last == "last words"


def test_lines_are_cut_where_they_end_and_not_where_the_pipe_cuts_them() -> None:
    lines = Lines(max_line=6)

    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\r\n\nthree and ") == ["two", ""]
    assert lines.feed(b"more\n\xff") == ["three  [... 8 bytes left out]"]
    assert lines.finish() == ["\\xff"]
    assert lines.finish() == []


def test_a_flood_is_few_records_and_nothing_of_it_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    words = [f"line {number}" for number in range(5_000)]
    log = ProcessLog("executor")
    log.feed(STDERR, "\n".join([*words, ""]).encode())
    found = [record.getMessage().removeprefix("[0] ") for record in caplog.records]

    assert len(found) == MAX_AT_ONCE
    assert "\n".join(found) == "\n".join(words)
    assert log.last_lines == tuple(words[-MAX_KEPT:])


def test_only_the_last_lines_are_kept() -> None:
    log = ProcessLog("executor")
    log.feed(STDERR, b"".join(b"line %d\n" % number for number in range(100)))

    assert log.last_lines == tuple(f"line {number}" for number in range(80, 100))


# --- Claude ----------------------------------------------------------------------------


async def test_an_abort_comes_out_even_if_the_agent_swallows_everything() -> None:
    abort = SomeAbort(which="no such request was recorded")
    line = Line.to("subprocess", client=ScriptedClient(abort))
    await line.start()
    with pytest.raises(Abort) as caught:
        await line.work("ask_and_swallow")
    await line.stop()

    assert caught.value is abort


async def test_an_abort_at_the_start_comes_out_of_the_start() -> None:
    abort = SomeAbort(which="it is not to be opened")

    class Closed(ScriptedClient):
        async def open(self) -> None:
            raise abort

    with pytest.raises(Abort) as caught:
        await Line.to("subprocess", opening, client=Closed()).start()

    assert caught.value is abort


async def test_an_abort_inside_a_stream_comes_out() -> None:
    abort = SomeAbort(which="the rest was not recorded")

    class Broken(ScriptedClient):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            yield {"type": "message_start"}
            raise abort

    line = Line.to("subprocess", client=Broken())
    await line.start()
    with pytest.raises(Abort) as caught:
        await line.work("count_events")
    await line.stop()

    assert caught.value is abort


async def test_a_long_stream_crosses_whole_with_few_events_under_way() -> None:
    class Long(ScriptedClient):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            for number in range(1_000):
                yield {"type": "ping", "number": number}

    line = Line.to("subprocess", client=Long())
    await line.start()
    assert await line.data("count_events") == 1_000
    await line.stop()


async def test_an_error_in_the_middle_of_a_stream_reaches_the_agent() -> None:
    class Breaking(ScriptedClient):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            yield {"type": "message_start"}
            raise UnusableAnswerError(problem="it breaks", excerpt="off")

    line = Line.to("subprocess", client=Breaking())
    await line.start()
    result = await line.work("count_events")
    await line.stop()

    assert result.error is not None
    assert (result.error.code, "it breaks" in result.error.message) == ("unusable_answer", True)


async def test_the_death_of_the_process_abandons_its_requests() -> None:
    class Watched(ScriptedClient):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()
            self.abandoned = asyncio.Event()

        async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
            self.asked.set()
            try:
                await asyncio.Event().wait()
                yield {}
            finally:
                self.abandoned.set()

    client = Watched()
    line = Line.to("subprocess", client=client)
    await line.start()
    work = asyncio.create_task(line.work("stream"))
    await client.asked.wait()
    with pytest.raises(Exception, match="exit status 1"):
        await line.work("exit", status=1)
    with pytest.raises(Exception, match="exit status 1"):
        await work
    await client.abandoned.wait()
    assert await line.stop()


async def test_the_whole_road_over_a_process_is_the_same_as_in_this_one() -> None:
    log = EventList()
    transport = SubprocessTransport(source_of())
    async with ClaudeAgentBridge("executor", recorder=log, transport=transport) as bridge:
        result = await bridge.send_work(ITEM)

    assert result.success
    assert log.kinds == [
        "agent_registered",
        "agent_heartbeat",
        "agent_active",
        "agent_idle",
        "agent_stopped",
    ]
