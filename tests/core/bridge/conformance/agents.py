"""An agent that does what its work items say, so that it can be told from afar."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from mnemosyne_core import lane
from mnemosyne_core.agents import AgentPlace
from mnemosyne_core.claude import ClaudeClient, Prompt, collect
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.errors import Abort, AnswerTooLongError, ClaudeError
from mnemosyne_core.ids import RandomIds
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult

PROMPT = Prompt(
    model="claude-sonnet-5-5",
    max_tokens=100,
    system="Be brief.",
    messages=({"role": "user", "content": "Hello, Claude."},),
)


class SomeAbort(Abort):
    """An `Abort` with facts."""

    def __init__(self, *, which: str) -> None:
        self.which = which
        super().__init__(f"everything is off: {which}")


@dataclass
class ObedientAgent:
    """Does what `context["do"]` says, with what else is in the context."""

    client: ClaudeClient | None
    role: AgentRole = AgentRole.EXECUTOR
    events: dict[str, asyncio.Event] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    session_lane: lane.Lane | None = None

    async def start_session(self) -> None:
        self.session_lane = lane.current.get()

    async def stop_session(self) -> None:
        pass

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        deed = getattr(self, f"do_{item.context.get('do', 'nothing')}")
        data = await deed(item)
        return WorkResult(item_id=item.id, attempt=attempt, success=True, data=data)

    # --- deeds -------------------------------------------------------------------------

    async def do_nothing(self, item: WorkItem) -> JsonValue:
        return "done"

    async def do_echo(self, item: WorkItem) -> JsonValue:
        return item.context["words"]

    async def do_recall(self, item: WorkItem) -> JsonValue:
        return list(self.seen)

    async def do_lanes(self, item: WorkItem) -> JsonValue:
        found = (self.session_lane, lane.current.get())
        return [None if it is None else [it.agent, it.attempt] for it in found]

    async def do_make(self, item: WorkItem) -> JsonValue:
        return [RandomIds().mint("memory"), LoopClock().now().isoformat(timespec="seconds")]

    async def do_wait(self, item: WorkItem) -> JsonValue:
        name = str(item.context["name"])
        self.seen.append(f"waits for {name}")
        try:
            await self._event(name).wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        return name

    async def do_tell(self, item: WorkItem) -> JsonValue:
        self._event(str(item.context["what"])).set()
        return None

    async def do_ignore(self, item: WorkItem) -> JsonValue:
        """Not to be ended."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def do_crash(self, item: WorkItem) -> JsonValue:
        raise RuntimeError("boom")

    async def do_give_up(self, item: WorkItem) -> JsonValue:
        raise AnswerTooLongError(stop_reason="max_tokens", max_tokens=7)

    async def do_abort(self, item: WorkItem) -> JsonValue:
        raise SomeAbort(which="the agent says so")

    async def do_cancel_itself(self, item: WorkItem) -> JsonValue:
        raise asyncio.CancelledError

    async def do_print(self, item: WorkItem) -> JsonValue:
        for output in (sys.stdout, sys.stderr):
            output.write(f"{item.context['words']}\n")
        return None

    async def do_exit(self, item: WorkItem) -> JsonValue:
        sys.stderr.write("leaving now\n")
        os._exit(int(str(item.context["status"])))

    async def do_leave(self, item: WorkItem) -> JsonValue:
        sys.exit(int(str(item.context["status"])))

    async def do_kill_itself(self, item: WorkItem) -> JsonValue:
        os.kill(os.getpid(), signal.Signals[str(item.context["signal"])])
        await asyncio.Event().wait()
        return None

    async def do_block(self, item: WorkItem) -> JsonValue:
        """Nothing else goes on in this process; for long enough."""
        time.sleep(600)  # noqa: ASYNC251 - that is the deed
        return None

    async def do_look_at_itself(self, item: WorkItem) -> JsonValue:
        return {"pid": os.getpid(), "environment": dict(os.environ), "folder": str(Path.cwd())}

    async def do_modules(self, item: WorkItem) -> JsonValue:
        return [name for name in sys.modules if "." not in name]

    async def do_name_threads(self, item: WorkItem) -> JsonValue:
        return [thread.name for thread in threading.enumerate()]

    async def do_fill(self, item: WorkItem) -> JsonValue:
        return "x" * int(str(item.context["length"]))

    async def do_start_program(self, item: WorkItem) -> JsonValue:
        """In a process group of its own, as the tool does it."""
        program = subprocess.Popen(("sleep", "600"), process_group=0)  # noqa: ASYNC220
        return program.pid

    async def do_hold_the_lock(self, item: WorkItem) -> JsonValue:
        """Native code has the interpreter's lock; what it started has noted its number."""
        command = f"echo $$ > {item.context['note']}; exec sleep 600"
        return int(ctypes.PyDLL(None).system(command.encode()))

    # --- with Claude -------------------------------------------------------------------

    async def do_ask(self, item: WorkItem) -> JsonValue:
        return (await self._claude.send(PROMPT)).text

    async def do_ask_and_tell_of_it(self, item: WorkItem) -> JsonValue:
        try:
            return (await self._claude.send(PROMPT)).text
        except ClaudeError as error:
            return {"kind": type(error).__name__, "text": str(error), **_facts(error)}

    async def do_ask_and_swallow(self, item: WorkItem) -> JsonValue:
        try:
            await self._claude.send(PROMPT)
        except BaseException:
            await asyncio.sleep(0)
        return "nothing happened"

    async def do_stream(self, item: WorkItem) -> JsonValue:
        return (await collect(self._claude.stream(PROMPT))).text

    async def do_count_events(self, item: WorkItem) -> JsonValue:
        return sum([1 async for _ in self._claude.stream(PROMPT)])

    async def do_leave_stream(self, item: WorkItem) -> JsonValue:
        async with aclosing(self._claude.stream(PROMPT)) as events:
            return await anext(events)

    @property
    def _claude(self) -> ClaudeClient:
        assert self.client is not None
        return self.client

    def _event(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())


def _facts(error: Exception) -> dict[str, JsonValue]:
    return {
        name: value
        for name, value in vars(error).items()
        if isinstance(value, (str, int, float)) and name != "message"
    }


class KeylessAgent(ObedientAgent):
    """Its session finds that something is missing."""

    async def start_session(self) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/nowhere")


class OpeningAgent(ObedientAgent):
    """Its session begins with Claude."""

    async def start_session(self) -> None:
        await self._claude.open()


class UnclosableAgent(ObedientAgent):
    """Its session breaks as it is closed."""

    async def stop_session(self) -> None:
        raise AnswerTooLongError(stop_reason="max_tokens", max_tokens=7)


class SlowAgent(ObedientAgent):
    """Its session does not open."""

    async def start_session(self) -> None:
        await asyncio.Event().wait()


def obedient(place: AgentPlace) -> ObedientAgent:
    return ObedientAgent(place.client)


def keyless(place: AgentPlace) -> ObedientAgent:
    return KeylessAgent(place.client)


def opening(place: AgentPlace) -> ObedientAgent:
    return OpeningAgent(place.client)


def unclosable(place: AgentPlace) -> ObedientAgent:
    return UnclosableAgent(place.client)


def slow(place: AgentPlace) -> ObedientAgent:
    return SlowAgent(place.client)


def impossible(place: AgentPlace) -> ObedientAgent:
    raise ModuleNotFoundError("No module named 'gone'", name="gone")
