"""What a tree leaves behind: tasks, threads, sockets."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DESCRIPTORS: Final = Path("/dev/fd")

# Threads that belong to the event loop and end with it.
_OF_THE_LOOP: Final = ("asyncio_", "AnyIO worker thread")

# Threads in which asyncio waits for the end of a child process, up to Python 3.11.
_OF_A_PROCESS: Final = "asyncio-waitpid-"
_LAST_STEP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What exists at one moment, inside a running loop."""

    tasks: frozenset[asyncio.Task[Any]]
    threads: frozenset[threading.Thread]
    sockets: frozenset[tuple[int, int]]
    """Descriptor and inode, so that a number that was reused counts as new."""

    @classmethod
    def now(cls) -> Footprint:
        """Take stock."""
        return cls(
            # Whoever takes stock is not part of it.
            tasks=frozenset(asyncio.all_tasks()) - {asyncio.current_task()},
            threads=frozenset(threading.enumerate()),
            sockets=frozenset(_open_sockets()),
        )

    def leaked_since(self, before: Footprint, *, sockets: bool = True) -> list[str]:
        """What exists now and did not at `before`, one line each.

        Args:
            before: The earlier footprint.
            sockets: Whether sockets count; a client that goes on keeps its connections.
        """
        found = [
            f"a task: {_task_name(task)}" for task in self.tasks - before.tasks if not task.done()
        ]
        found += [
            f"a thread: {thread.name}"
            for thread in self.threads - before.threads
            if not thread.name.startswith(_OF_THE_LOOP) and _goes_on(thread)
        ]
        if sockets:
            found += [
                f"a socket: descriptor {number}" for number, _inode in self.sockets - before.sockets
            ]
        return sorted(found)


def _goes_on(thread: threading.Thread) -> bool:
    if thread.name.startswith(_OF_A_PROCESS):
        # It has told the loop of the end of its process, and is about to end itself.
        thread.join(_LAST_STEP_S)
    return thread.is_alive()


def _task_name(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    return f"{task.get_name()} ({getattr(work, '__qualname__', work)})"


def _open_sockets() -> list[tuple[int, int]]:
    """Every socket of this process; empty where the system has no list of descriptors."""
    try:
        numbers = [int(entry.name) for entry in _DESCRIPTORS.iterdir()]
    except OSError:
        return []
    found = []
    for number in numbers:
        try:
            status = os.fstat(number)
        except OSError:  # closed since it was listed
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.append((number, status.st_ino))
    return found
