"""The sessions that do not outlive this process, whatever becomes of it.

They are told to a keeper, a small process that ends what is left of them when this
process is gone; its program says how. There is one for all loops and threads, since there
is one process that may be killed. It starts with the first session and ends with the
last. It has a session of its own, so that what ends this process's group spares it, and
all that it has of ours is the end of a pipe.

A session is told as soon as there is a process, in the step in which its number is known;
so nothing that an agent does can be earlier. Until then there is only an interpreter that
starts, and the first that it does is to watch its own leash. It is taken back in the step
in which the end of the process is heard and the rest of the session is killed.

Telling never waits. Whoever cannot be told is ended and replaced at the next start, and
the agents work on: they have their leashes.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from mnemosyne_core.bridge._ending import ProcessEnd
from mnemosyne_core.bridge._environment import child_environment, interpreter

_log = logging.getLogger(__name__)

_ROOT: Final = str(Path(__file__).absolute().parents[2])


def keeper_program() -> tuple[str, ...]:
    """The program of a keeper of this process: no site packages, no settings of Python's.

    Raises:
        FileNotFoundError: This process does not know its interpreter.
    """
    code = (
        f"import sys; sys.path.append({_ROOT!r}); "
        "from mnemosyne_core.bridge._keeper import main; main()"
    )
    return interpreter(), "-I", "-S", "-c", code, str(os.getpid())


class KeptSessions:
    """Sessions of processes, and the keeper that is there as long as there are some."""

    def __init__(self, program: Callable[[], Sequence[str]] = keeper_program) -> None:
        """No sessions yet, and no keeper.

        Args:
            program: What the keeper runs.
        """
        self._program = program
        self._lock = threading.Lock()
        self._sessions: dict[int, None] = {}
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def keeper(self) -> int | None:
        """The keeper's number, as far as there is one."""
        return None if self._keeper is None else self._keeper.pid

    def add(self, session: int) -> None:
        """See to it that a session ends with this process, if not before."""
        with self._lock:
            self._sessions[session] = None
            self._tell("+", session)
            if self._keeper is None:
                self._start()

    def discard(self, session: int) -> None:
        """Let go of a session that has ended; of one that is unknown, nothing."""
        with self._lock:
            if session not in self._sessions:
                return
            del self._sessions[session]
            if self._sessions:
                self._tell("-", session)
            elif self._keeper is not None:
                self._end(self._keeper)

    def forget(self) -> None:
        """Be without any: this is a copy of the process, and they are not its own."""
        self._lock = threading.Lock()
        self._sessions.clear()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            _pipe_of(keeper).close()
            # It finds no such child, and then nobody will wait for it here.
            keeper.poll()

    def _start(self) -> None:
        try:
            self._keeper = subprocess.Popen(  # noqa: S603 - this interpreter
                self._program(),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=child_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            _warn(f"it cannot be started: {error}")
            return
        os.set_blocking(_pipe_of(self._keeper).fileno(), False)
        for session in self._sessions:
            self._tell("+", session)

    def _tell(self, sign: str, session: int) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        try:
            # In one piece, or not at all: it is shorter than what a pipe takes at once.
            os.write(_pipe_of(keeper).fileno(), f"{sign}{session}\n".encode())
        except OSError as error:
            self._end(keeper)
            problem = f"it does not listen ({error.strerror})"
            end = ProcessEnd(pid=keeper.pid, returncode=keeper.returncode, problem=problem)
            _warn(str(end))

    def _end(self, keeper: subprocess.Popen[bytes]) -> None:
        # Killed, because it has nothing left to do and this takes the least time.
        self._keeper = None
        _pipe_of(keeper).close()
        keeper.kill()
        keeper.wait()


def _pipe_of(keeper: subprocess.Popen[bytes]) -> IO[bytes]:
    assert keeper.stdin is not None, "a keeper is started with a pipe"
    return keeper.stdin


def _warn(what: str) -> None:
    _log.warning(
        "the keeper of the agents' processes is gone: %s; the agents work on, and the next one "
        "that starts brings another; until then, one that is stopped or blocked when this "
        "process is killed outlives it",
        what,
    )


KEPT_SESSIONS: Final = KeptSessions()
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=KEPT_SESSIONS.forget)
