"""The program of the keeper: it ends the agents that outlive their parent.

An agent's own leash ends it when the parent is gone, but only once its process runs: not
while it is stopped, nor while native code holds the interpreter's lock. The keeper runs
nothing of anybody's, so it can always do it. It is told which sessions there are, a line
for each (`+` and a number, `-` and a number), and waits for the end of its pipe, or for
the end of its parent: a program that was forked from the parent may hold the pipe for
longer. Then it kills the sessions that are left, and ends.

A number outlives its process as long as its session has members. After that somebody
else's process may have it, and must not be harmed. So each leader is held by a descriptor
where there are such (Linux), and a number that is no longer its leader's, but somebody
is called by, is let go. Elsewhere a number is trusted until it is taken back.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from mnemosyne_core.bridge._session import end_session

_LOOK_MS = 1_000
"""How often it looks who its parent is."""


def main() -> None:
    """Be the keeper; the parent's number is the first argument, standard input the pipe."""
    # Whoever asks a whole tree of processes to end asks the agents, too: it ends last.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sessions = Sessions()
    _listen(0, int(sys.argv[1]), sessions)
    sessions.end()


def _listen(pipe: int, parent: int, sessions: Sessions) -> None:
    """Do what is said, until there is nobody left to say anything."""
    told = select.poll()
    told.register(pipe, select.POLLIN)
    begun = b""
    while True:
        # Asked first: what the parent has said by its end is in the pipe by then.
        is_gone = os.getppid() != parent
        if told.poll(0 if is_gone else _LOOK_MS):
            data = os.read(pipe, 65_536)
            if not data:
                return
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                sessions.note(line)
        elif is_gone:
            return


class Sessions:
    """The sessions that there are, each with what holds its leader."""

    def __init__(self) -> None:
        self._leaders: dict[int, int | None] = {}

    def note(self, line: bytes) -> None:
        """Take a line of the parent's."""
        session = int(line[1:])
        if line.startswith(b"+"):
            self._add(session)
        else:
            self._discard(session)

    def end(self) -> None:
        """Kill all that is left of them."""
        for session, leader in self._leaders.items():
            if leader is None or _is_theirs(session, leader):
                end_session(session)

    def _add(self, session: int) -> None:
        self._discard(session)
        try:
            leader = os.pidfd_open(session) if hasattr(os, "pidfd_open") else None
        except ProcessLookupError:
            # The parent has heard of its end already, and ends the session.
            return
        except OSError:
            leader = None
        self._leaders[session] = leader

    def _discard(self, session: int) -> None:
        leader = self._leaders.pop(session, None)
        if leader is not None:
            os.close(leader)


def _is_theirs(session: int, leader: int) -> bool:
    """Whether the number cannot be that of somebody else's session."""
    try:
        signal.pidfd_send_signal(leader, 0)
    except ProcessLookupError:
        return not _is_taken(session)
    except PermissionError:
        # It is there, under another user's name.
        pass
    return True


def _is_taken(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
