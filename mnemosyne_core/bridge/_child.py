"""The program of an agent's process.

It makes one agent from a blueprint, lets it work, and ends when it is told to, or when
nobody is left who could tell it. For that a thread waits at the leash: the loop may be
busy, and then nothing on the loop would hear of the end. Whoever holds the other end of
the leash may have been killed; so the thread asks nobody and ends the whole session. If
the process cannot run at that moment, the keeper does the same from outside.
"""

from __future__ import annotations

import asyncio
import io
import os
import platform
import select
import sys
import threading
from typing import Any, Final, assert_never

from mnemosyne_core import lane, origins
from mnemosyne_core.agents import Agent, AgentPlace
from mnemosyne_core.bridge._bridged import BridgedClaude, current_work
from mnemosyne_core.bridge._crossing import ErrorData
from mnemosyne_core.bridge._endpoint import handle
from mnemosyne_core.bridge._made import Making
from mnemosyne_core.bridge._messages import (
    Answered,
    Ask,
    Beat,
    Cancel,
    Cancelled,
    Failed,
    Hello,
    Message,
    Ping,
    Ready,
    Refused,
    Result,
    Start,
    Stop,
    Stopped,
    StreamEnded,
    StreamEvent,
    Unable,
    Work,
    check_version,
    decode_to_agent,
    encode,
)
from mnemosyne_core.bridge._pipes import FramePipes
from mnemosyne_core.bridge._session import end_session
from mnemosyne_core.bridge._source import AgentBlueprint, made_by, maker_at
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.errors import ProtocolError
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.ids import RandomIds

EXIT_LEASH: Final = 70
"""Exit status of a process whose other end is gone."""

EXIT_PROTOCOL: Final = 71
"""Exit status of a process that was told something that it cannot understand."""

_LOOK_S: Final = 1.0
"""How often a process looks who its parent is."""


def main() -> None:
    """Be an agent's process; its three descriptors are the first arguments."""
    reading, writing, leash = map(int, sys.argv[1:4])
    for descriptor in (reading, writing, leash):
        # What the agent starts must not keep them open.
        os.set_inheritable(descriptor, False)
    parent = os.getppid()
    threading.Thread(target=_watch, args=(leash, parent), name="leash", daemon=True).start()
    for output in (sys.stdout, sys.stderr):
        # A line that was printed is to be read, whatever happens next.
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(line_buffering=True, errors="backslashreplace")
    left = asyncio.run(_live(reading, writing))
    if left:
        # Work that cannot be ended would keep the loop from closing.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _watch(leash: int, parent: int) -> None:
    """End everything when the other end of the leash is gone."""
    # Not `select`, which knows no descriptor beyond 1023; ours has the parent's number.
    end = select.poll()
    end.register(leash, select.POLLIN)
    # A program that was forked from the parent may hold the leash for longer than it lives.
    while not end.poll(_LOOK_S * 1_000) and os.getppid() == parent:
        pass
    end_session(os.getsid(0))
    os._exit(EXIT_LEASH)


async def _live(reading: int, writing: int) -> int:
    return await _Host().run(reading, writing)


class _Host:
    """Makes the agent, and does what the messages say."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._pipes = FramePipes(self._on_frame, self._on_end)
        self._claude = BridgedClaude(self._send)
        self._making = Making()
        self._agent: Agent | None = None
        self._starting: asyncio.Future[Start] = loop.create_future()
        self._stopping: asyncio.Future[Stop] = loop.create_future()
        self._work: dict[int, asyncio.Task[None]] = {}

    async def run(self, reading: int, writing: int) -> int:
        """Be there until the end; how many pieces of work did not end."""
        await self._pipes.open(reading, writing)
        self._send(Hello(pid=os.getpid(), python=platform.python_version()))
        start = await self._starting
        here = lane.Lane(start.blueprint.path)
        with lane.entered(here), origins.listening(self._making):
            session = asyncio.create_task(self._open_session(start.blueprint))
            signs: set[asyncio.Future[Any]] = {session, self._stopping}
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
            agent = await self._agent_of(session, start.cancel_s)
            if agent is None:
                return 0
            stop = await self._stopping
            left = await self._end_work(start.cancel_s)
            error = await self._close_session(agent, stop.session_s)
        self._send(Stopped(error=error, left=left))
        return left

    # --- the agent ---------------------------------------------------------------------

    async def _agent_of(self, session: asyncio.Task[Agent], cancel_s: float) -> Agent | None:
        """The agent whose session is open, if it is; says so."""
        if not session.done():
            session.cancel()
            await asyncio.wait({session}, timeout=cancel_s)
        try:
            self._agent = session.result() if session.done() else None
        except asyncio.CancelledError:
            self._agent = None
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is data there
            self._send(Unable(error=ErrorData.of(error, with_trace=True)))
            return None
        if self._agent is not None:
            self._send(Ready())
        return self._agent

    async def _open_session(self, blueprint: AgentBlueprint) -> Agent:
        place = AgentPlace(
            path=blueprint.path,
            role=blueprint.role,
            client=self._claude,
            workspace=blueprint.workspace,
            settings=blueprint.settings,
            ids=RandomIds(),
            clock=LoopClock(),
            plugins=plugin_manager(),
        )
        agent = made_by(maker_at(blueprint.maker), place)
        try:
            await agent.start_session()
        except BaseException:
            await agent.stop_session()
            raise
        return agent

    async def _close_session(self, agent: Agent, within_s: float) -> ErrorData | None:
        """What went wrong, if something did."""
        try:
            async with asyncio.timeout(within_s):
                await agent.stop_session()
        except BaseException as error:  # noqa: BLE001 - the process ends, and says of what
            return ErrorData.of(error, with_trace=True)
        return None

    # --- its work ----------------------------------------------------------------------

    def _begin(self, seq: int, envelope: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._do(seq, envelope), name=f"work {seq}")
        self._work[seq] = task
        task.add_done_callback(lambda task: self._ended(seq, task))

    def _ended(self, seq: int, task: asyncio.Task[None]) -> None:
        del self._work[seq]
        if task.cancelled():
            # Said here, because work that is cancelled before its first step says nothing.
            self._send(Cancelled(seq=seq))

    async def _do(self, seq: int, envelope: bytes) -> None:
        current_work.set(seq)
        try:
            assert self._agent is not None, "work comes after the agent is ready"
            self._send(Result(seq=seq), await handle(self._agent, envelope))
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            # The first is told by `_ended`; by the others the agent ends its process.
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is data there
            self._send(Failed(seq=seq, error=ErrorData.of(error, with_trace=True)))

    async def _end_work(self, within_s: float) -> int:
        """How much of it did not end."""
        tasks = tuple(self._work.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        return sum(not task.done() for task in tasks)

    # --- messages ----------------------------------------------------------------------

    def _send(self, message: Message, body: bytes = b"") -> None:
        if isinstance(message, Ask | Failed | Result):
            # Before anybody there can see it.
            message = message.model_copy(update={"made": self._making.take()})
        self._pipes.write(encode(message, body))

    def _on_frame(self, head: bytes, body: bytes) -> None:
        message = decode_to_agent(head)
        match message:
            case Work(seq=seq):
                self._begin(seq, body)
            case Answered() | StreamEvent() | StreamEnded() | Refused():
                self._claude.on_message(message, body)
            case Ping():
                self._send(Beat())
            case Cancel(seq=seq):
                if seq in self._work:
                    self._work[seq].cancel()
            case Hello(version=version):
                check_version(version)
            case Start():
                if not self._starting.done():
                    self._starting.set_result(message)
            case Stop():
                if not self._stopping.done():
                    self._stopping.set_result(message)
            case _:
                assert_never(message)

    def _on_end(self, error: ProtocolError | None) -> None:
        """The other end is gone, or says what cannot be understood."""
        if error is not None:
            sys.stderr.write(f"{error}\n")
        end_session(os.getsid(0))
        os._exit(EXIT_LEASH if error is None else EXIT_PROTOCOL)
