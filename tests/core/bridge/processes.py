"""Processes that are strangers to a test: whether they run, and waiting for their end."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mnemosyne_core.bridge._session import end_session

ROOT = Path(__file__).parents[3]

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux lets us wait for a stranger's process"
)


async def wait_for_end(pid: int, within_s: float = 10.0) -> None:
    """Wait until a process has ended, whoever's it is."""
    with suppress(ProcessLookupError):
        watched = os.pidfd_open(pid)
        try:
            found = await asyncio.to_thread(lambda: select.select((watched,), (), (), within_s)[0])
        finally:
            os.close(watched)
        assert found, f"process {pid} goes on"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A process that has an agent, and those that must not outlive it."""

    parent: asyncio.subprocess.Process
    agent: int
    program: int
    keeper: int

    async def wait_for_end(self) -> None:
        for pid in (self.agent, self.program, self.keeper):
            await wait_for_end(pid)


@asynccontextmanager
async def family(how: str, folder: Path) -> AsyncIterator[Family]:
    """Those of `tests.core.bridge.parent`; afterwards nobody is left, whatever happened."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.core.bridge.parent", how, str(folder)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    sessions = [parent.pid]
    try:
        assert parent.stdout is not None
        agent, program, keeper = map(int, (await parent.stdout.readline()).split())
        sessions += (agent, keeper)
        yield Family(parent=parent, agent=agent, program=program, keeper=keeper)
    finally:
        for session in sessions:
            end_session(session)
        await parent.wait()
