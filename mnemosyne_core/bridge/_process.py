"""One child process on a leash: its pipes, its log, its end.

The process is started in a session of its own, which ends with it: what it has started
goes, too. It has five descriptors of ours. Standard output and error are its log, and
nothing that is printed there can be taken for a message. Messages have a pair of pipes.
The fifth is the leash, a pipe that nobody ever writes to: its end tells the process that
this one is gone, even if it was killed, and even while the process is busy. For one that
cannot run at that moment there is the keeper, which is told of the session.

The end of a process is told once it has ended, and all that it wrote has been read.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, cast

from mnemosyne_core.bridge._ending import ProcessEnd
from mnemosyne_core.bridge._holding import holding, release_process
from mnemosyne_core.bridge._kept import KEPT_SESSIONS
from mnemosyne_core.bridge._log import STDERR, STDOUT, ProcessLog
from mnemosyne_core.bridge._pipes import FramePipes, OnFrame
from mnemosyne_core.bridge._session import end_session
from mnemosyne_core.errors import ProtocolError

if TYPE_CHECKING:
    from mnemosyne_core.failpoints import ProcessFailpoints

# How long the pipes of a process may stay open when it and all its session are dead.
_DRAIN_S: Final = 1.0

# How long a process may live that has closed its pipe, which is how it ends.
_EXIT_S: Final = 1.0


class ChildProcess(asyncio.SubprocessProtocol):
    """A process that was started here, and that ends here."""

    def __init__(
        self, name: str, on_frame: OnFrame, *, failpoints: ProcessFailpoints | None = None
    ) -> None:
        """A process that has not been started.

        Args:
            name: The path of its agent.
            on_frame: Called with each message of its.
            failpoints: Where a test lets something go wrong.
        """
        loop = asyncio.get_running_loop()
        self._name = name
        self._failpoints = failpoints
        self._log = ProcessLog(name)
        received = None if failpoints is None else failpoints.received
        self._pipes = FramePipes(on_frame, self._unreadable, received=received)
        self._leash: int | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._open = {STDOUT, STDERR, "messages", "process"}
        self._problem = ""
        self._timer: asyncio.TimerHandle | None = None
        self.over: asyncio.Future[ProcessEnd] = loop.create_future()
        """Done when it has ended and its last word was read."""

    @property
    def pid(self) -> int:
        """Its number."""
        return self._log.pid

    async def start(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; the numbers of its three descriptors follow the program's arguments.

        Not to be cancelled: give it a task of its own, and wait for its end.

        Raises:
            OSError: It cannot be started; nothing is left.
        """
        if self._failpoints is not None:
            program = self._failpoints.program(program)
        loop = asyncio.get_running_loop()
        with closing(_Descriptors()) as ends:
            await loop.subprocess_exec(
                lambda: self,
                *program,
                *map(str, ends.theirs),
                self._name,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                pass_fds=ends.theirs,
                start_new_session=True,
            )
            self._leash = ends.keep_leash()
            release_process(self._log.pid)
            try:
                await self._pipes.open(*ends.keep_messages())
            except BaseException:
                self._open.discard("messages")
                self.kill("its pipes could not be opened")
                raise
        if self._failpoints is not None:
            self._failpoints.started(self.pid)

    def write(self, frame: bytes) -> None:
        """Send it a message; one that it will not read any more is dropped."""
        if self._failpoints is not None:
            frame = self._failpoints.sent(frame)
        self._pipes.write(frame)

    def terminate(self) -> None:
        """Ask it to end, in the words of the operating system."""
        self._send_signal(signal.SIGTERM)

    def kill(self, problem: str = "") -> None:
        """Kill it.

        Args:
            problem: Why; told where its end is told. The first one counts.
        """
        self._problem = self._problem or problem
        self._send_signal(signal.SIGKILL)
        self._cut_leash()

    async def ended(self, within_s: float) -> bool:
        """Wait for its end, but not for ever; whether it has come."""
        with holding(f"the process {self.pid} of {self._name} to end", firm_s=within_s):
            await asyncio.wait({self.over}, timeout=within_s)
        return self.over.done()

    def _send_signal(self, number: signal.Signals) -> None:
        if self._transport is not None and self._transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                # Not by the transport: that of Python 3.11 asks first whether the process
                # has ended, and takes the exit status from whoever waits for it.
                os.kill(self.pid, number)

    def _cut_leash(self) -> None:
        leash, self._leash = self._leash, None
        if leash is not None:
            os.close(leash)

    # --- called by asyncio -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        pid = self._transport.get_pid()
        assert pid is not None, "it has just been started"
        self._log.pid = pid
        KEPT_SESSIONS.add(pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It prints something."""
        self._log.feed(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """It will print nothing more."""
        self._log.finish(fd)
        self._close(fd)

    def process_exited(self) -> None:
        """It has ended."""
        end_session(self.pid)
        KEPT_SESSIONS.discard(self.pid)
        self._set_timer(_DRAIN_S, self._stop_reading)
        self._close("process")

    # --- its end -----------------------------------------------------------------------

    def _unreadable(self, error: ProtocolError | None) -> None:
        """Nothing more can be read from it: it ends, or something is wrong with it."""
        if error is not None:
            self.kill(str(error))
        elif "process" in self._open:
            self._set_timer(_EXIT_S, lambda: self.kill("it closed its pipe and went on"))
        self._close("messages")

    def _set_timer(self, seconds: float, then: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_reading(self) -> None:
        """Somebody outside of its session has its output, and keeps it."""
        for part in (STDOUT, STDERR):
            if part in self._open:
                self._log.finish(part)
        self._open = {"process"}
        self._close("process")

    def _close(self, part: int | str) -> None:
        self._open.discard(part)
        if self._open or self.over.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._cut_leash()
        self._pipes.close()
        returncode = None
        if self._transport is not None:
            returncode = self._transport.get_returncode()
            self._transport.close()
        if self._failpoints is not None:
            self._failpoints.ended()
        self.over.set_result(
            ProcessEnd(
                pid=self.pid,
                returncode=returncode,
                problem=self._problem,
                log=self._log.last_lines,
            )
        )


class _Descriptors:
    """The ends of one process's pipes while it is being started; closed unless they are kept."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._to_agent = self._pipe()
        self._from_agent = self._pipe()
        self._leash = self._pipe()

    @property
    def theirs(self) -> tuple[int, int, int]:
        """What the process gets: one to read, one to write, the leash."""
        return self._to_agent[0], self._from_agent[1], self._leash[0]

    def keep_messages(self) -> tuple[int, int]:
        """What is ours: one to read, one to write."""
        return self._keep(self._from_agent[0]), self._keep(self._to_agent[1])

    def keep_leash(self) -> int:
        """Our end of the leash."""
        return self._keep(self._leash[1])

    def _keep(self, descriptor: int) -> int:
        self._open.discard(descriptor)
        return descriptor

    def _pipe(self) -> tuple[int, int]:
        try:
            ends = os.pipe()
        except OSError:
            self.close()
            raise
        self._open.update(ends)
        return ends

    def close(self) -> None:
        """Close what is not kept."""
        while self._open:
            os.close(self._open.pop())
