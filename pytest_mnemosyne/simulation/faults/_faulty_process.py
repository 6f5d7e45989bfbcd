"""An agent's process to which things happen, between it and the bridge that started it.

Signals are real ones, sent to the real process. What is wrong with a message is done to
it when it has been read: messages are put together first, so that the n-th one is the
n-th, in whatever pieces the pipe has handed it out.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from mnemosyne_core.bridge._frames import FrameReader, frame
from mnemosyne_core.errors import ProtocolError
from pytest_mnemosyne.simulation.faults._address import Moment
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion
from pytest_mnemosyne.simulation.faults._process import (
    DescriptorsExhausted,
    Garbage,
    HalfMessage,
    ProcessExit,
    ProcessKilled,
    ProcessNoise,
    ProcessStopped,
    SlowStart,
    WrongVersion,
)
from pytest_mnemosyne.simulation.faults._running import Armed, RunningPlan

_OBEDIENT: Final = """\
import os as _os, signal as _signal
if {ends_now}:
    _os._exit({exit_code})
_signal.signal(_signal.SIGUSR1, lambda *_: _os._exit({exit_code}))
_signal.signal(
    _signal.SIGUSR2,
    lambda *_: [_os.write(1, b"noise %d of {lines}\\n" % (each + 1)) for each in range({lines})],
)
"""
"""What comes before the program of a process that is to end, or to print, when it is told to."""


class FaultyProcess:
    """What a plan does to one process of an agent."""

    def __init__(self, running: RunningPlan, moment: Moment) -> None:
        """A process that has not been started.

        Args:
            running: The plan.
            moment: The agent, and which of its processes this is.
        """
        self._running = running
        self._moment = moment
        self._pid: int | None = None
        self._at_start: Armed | None = None
        self._frames = FrameReader()
        self._is_cut = False
        """Whether nothing more arrives of what the process writes."""
        self._wake_ups: list[asyncio.TimerHandle] = []

    # --- its start -------------------------------------------------------------------------

    async def starting(self) -> None:
        """Find out what happens to this process, and let happen what comes before it."""
        self._at_start = self._running.reach(Occasion.PROCESS, self._moment)
        match self._fault_at_start():
            case DescriptorsExhausted():
                self._strike_at_start()
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            case SlowStart(by_s=by_s):
                self._strike_at_start()
                await asyncio.sleep(by_s)

    def program(self, program: Sequence[str]) -> Sequence[str]:
        """The program, able to obey, where the plan wants it to end or to print."""
        planned = [
            each.fault
            for each in self._running.plan
            if replace(each.address, message=None).fits(self._moment)
        ]
        codes = [fault.exit_code for fault in planned if isinstance(fault, ProcessExit)]
        lines = [fault.lines for fault in planned if isinstance(fault, ProcessNoise)]
        if len(set(codes)) > 1 or len(set(lines)) > 1:
            raise FaultPlanError(
                f"the processes of {self._moment.agent} end with one exit code, and print one "
                f"number of lines, in a plan; got {codes or lines}; give the faults an attempt"
            )
        if not codes and not lines:
            return program
        *before, option, code = program
        if option != "-c":
            raise FaultPlanError(
                f"process_exit and process_noise need a program that is started as python -c, "
                f"got {' '.join(program)}; leave them out for this agent"
            )
        ends_now = isinstance(self._fault_at_start(), ProcessExit) and self._strike_at_start()
        obedient = _OBEDIENT.format(
            exit_code=codes[0] if codes else 0,
            lines=lines[0] if lines else 0,
            ends_now=bool(ends_now),
        )
        return (*before, option, f"{obedient}{code}")

    def started(self, pid: int) -> None:
        """There is a process."""
        self._pid = pid
        fault = self._fault_at_start()
        if isinstance(fault, ProcessKilled | ProcessStopped) and self._strike_at_start():
            self._happen(fault)

    def ended(self) -> None:
        """Its number belongs to somebody else from now on."""
        self._pid = None
        for wake_up in self._wake_ups:
            wake_up.cancel()

    def _fault_at_start(self) -> Fault | None:
        return None if self._at_start is None else self._at_start.fault

    def _strike_at_start(self) -> bool:
        return self._at_start is not None and self._at_start.strikes()

    # --- its messages ----------------------------------------------------------------------

    def sent(self, content: bytes) -> bytes:
        """Let happen what happens when the process is sent this message."""
        if self._running.has(Occasion.SENT):
            for head, _ in FrameReader().feed(content):
                self._meet(Occasion.SENT, head)
        return content

    def received(self, content: bytes) -> bytes:
        """What arrives of this; a message arrives when all of it has been read."""
        if self._is_cut:
            return b""
        if not self._bends_messages:
            return content
        arrived = bytearray()
        try:
            for head, body in self._frames.feed(content):
                arrived += self._arriving(head, body)
        except ProtocolError:
            # What it has really written is no message, and that is not for us to say.
            arrived += content
        return bytes(arrived)

    @property
    def _bends_messages(self) -> bool:
        return self._running.has(Occasion.RECEIVED) or isinstance(
            self._fault_at_start(), WrongVersion
        )

    def _arriving(self, head: bytes, body: bytes) -> bytes:
        if self._is_cut:
            return b""
        message = frame(head, body)
        if isinstance(version := self._fault_at_start(), WrongVersion):
            head = self._of_another_version(head, version)
            message = frame(head, body)
        match self._meet(Occasion.RECEIVED, head):
            case HalfMessage():
                self._is_cut = True
                self._signal(signal.SIGKILL)
                return message[: len(message) // 2]
            case Garbage(text=text):
                self._is_cut = True
                return text.encode()
        return message

    def _of_another_version(self, head: bytes, fault: WrongVersion) -> bytes:
        if _kind_of(head) != "hello" or not self._strike_at_start():
            return head
        return json.dumps({**json.loads(head), "version": [fault.major, 0]}).encode()

    def _meet(self, occasion: Occasion, head: bytes) -> Fault | None:
        armed = self._running.reach(occasion, replace(self._moment, message=_kind_of(head)))
        if armed is None or not armed.strikes():
            return None
        self._happen(armed.fault)
        return armed.fault

    # --- what happens to it ----------------------------------------------------------------

    def _happen(self, fault: Fault) -> None:
        match fault:
            case ProcessKilled():
                self._signal(signal.SIGKILL)
            case ProcessStopped(for_s=for_s):
                self._signal(signal.SIGSTOP)
                loop = asyncio.get_running_loop()
                self._wake_ups.append(loop.call_later(for_s, self._signal, signal.SIGCONT))
            case ProcessExit():
                self._signal(signal.SIGUSR1)
            case ProcessNoise():
                self._signal(signal.SIGUSR2)

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _kind_of(head: bytes) -> str | None:
    try:
        said = json.loads(head)
    except ValueError:
        return None
    return said.get("kind") if isinstance(said, dict) else None
