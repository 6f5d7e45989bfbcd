"""The end of a whole session of processes.

An agent's process leads a session of its own, and what it starts stays in it, in
whatever process group. So the session is all that there is of an agent, and it can be
ended when its leader no longer can be asked. A program that makes a session of its own
has left, as daemons do; it is not found.

The keeper lives on this module and the standard library, and starts with every tree: so
it imports only what it must.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

_PROCESSES: Final = "/proc"

# A process may start another one while it is being looked for.
_ROUNDS: Final = 10


def end_session(session: int) -> None:
    """Kill every process of a session but the one that asks.

    Args:
        session: The number of the process that leads, or led, it.
    """
    for _ in range(_ROUNDS):
        found = list(_members(session))
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _members(session: int) -> Iterator[int]:
    own = os.getpid()
    for pid in _all_processes():
        with suppress(ProcessLookupError, PermissionError):
            if pid != own and os.getsid(pid) == session and not _is_dead(pid):
                yield pid


def _all_processes() -> Iterator[int]:
    if os.access(f"{_PROCESSES}/self", os.F_OK):
        return (int(name) for name in os.listdir(_PROCESSES) if name.isdecimal())  # noqa: PTH208
    import subprocess

    listed = subprocess.run(("/bin/ps", "-A", "-o", "pid="), capture_output=True, check=False)
    return map(int, listed.stdout.split())


def _is_dead(pid: int) -> bool:
    """Whether it has ended and only its parent has not asked yet; unknown counts as alive."""
    try:
        with open(f"{_PROCESSES}/{pid}/stat", "rb") as file:  # noqa: PTH123
            status = file.read()
    except OSError:
        return False
    # The name of the program stands in brackets before it, and may hold anything.
    return status.rpartition(b")")[2].split()[0] in (b"Z", b"X")
