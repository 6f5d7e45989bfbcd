"""A program that has an agent in a process of its own, says who there is, and meets its end.

    python -m tests.core.bridge.parent HOW FOLDER

It prints the numbers of the agent's process, of a program that the agent started, and of
the keeper, once all is as `HOW` says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from mnemosyne_core.bridge._kept import KEPT_SESSIONS
from tests.core.bridge.conformance.harness import Line


class Parent:
    """A process with one agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.line = Line.to("subprocess")
        self.agent = 0
        self.program = 0

    async def start(self) -> None:
        await self.line.start()
        seen = await self.line.data("look_at_itself")
        assert isinstance(seen, dict)
        self.agent = int(str(seen["pid"]))
        self.program = int(str(await self.line.data("start_program")))

    def say(self) -> None:
        sys.stdout.write(f"{self.agent} {self.program} {KEPT_SESSIONS.keeper}\n")
        sys.stdout.flush()

    async def say_and_stay(self) -> None:
        self.say()
        await asyncio.Event().wait()

    # --- how it is ---------------------------------------------------------------------

    async def be_idle(self) -> None:
        await self.say_and_stay()

    async def be_busy(self) -> None:
        self.say()
        await self.line.work("block")

    async def be_stopped(self) -> None:
        self.stop_agent()
        await self.say_and_stay()

    async def be_locked(self) -> None:
        note = self.folder / "pid"
        os.mkfifo(note)
        work = asyncio.create_task(self.line.work("hold_the_lock", note=str(note)))
        self.program = int(await asyncio.to_thread(note.read_text))
        self.say()
        await work

    async def be_forked(self) -> None:
        self.fork()
        await self.say_and_stay()

    async def be_forked_and_stopped(self) -> None:
        self.fork()
        self.stop_agent()
        await self.say_and_stay()

    async def be_over(self) -> None:
        self.say()
        await self.line.stop()

    async def be_over_without_a_word(self) -> None:
        self.say()

    # --- deeds -------------------------------------------------------------------------

    def stop_agent(self) -> None:
        """As a job is stopped; returns when it is."""
        os.kill(self.agent, signal.SIGSTOP)
        os.waitid(os.P_PID, self.agent, os.WSTOPPED)

    def fork(self) -> None:
        """Make a copy that says what is not for it to say, and lives on; returns when it has."""
        hearing, telling = os.pipe()
        # Of the last session nothing is said: its end is the keeper's.
        KEPT_SESSIONS.add(self.program)
        if os.fork() == 0:
            KEPT_SESSIONS.discard(self.agent)
            # Standard output is read to its end.
            os.close(1)
            os.close(telling)
            time.sleep(600)
        os.close(telling)
        os.read(hearing, 1)


async def main(how: str, folder: str) -> None:
    parent = Parent(Path(folder))
    await parent.start()
    await getattr(parent, f"be_{how}")()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
