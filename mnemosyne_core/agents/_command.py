"""The tool that runs a program: from an allow-list, without a shell, in bounded time.

The program gets a small environment of its own, so no key of ours is in it, and a
process group of its own, so that whatever it starts can be ended with it. Its
output comes through a protocol rather than `asyncio.subprocess`: a grandchild that
keeps the pipe open can then neither hold the call nor leave the pipe behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mnemosyne_core.agents._tool import Tool, ToolContext
from mnemosyne_core.errors import CommandNotAllowedError, ToolError

Argument = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

# All that a program gets to know of our environment.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV")

# How long the rest of the output may take once the program and its group are dead.
_DRAIN_S = 1.0


class RunCommand(BaseModel):
    """Arguments of `run_command`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    argv: list[Argument] = Field(
        min_length=1, description='Program and arguments, such as ["pytest", "-q"]; no shell.'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int | None
    """Exit status, negative for a signal; `None`: killed because its time was up."""

    output: bytes
    """Standard output and error as they came, the middle left out beyond the bound."""

    dropped: int
    """How many bytes were left out."""


class _Process(asyncio.SubprocessProtocol):
    """Collects the first and the last bytes of a process's output."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max(max_bytes // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        excess = len(self._tail) - self._half
        if excess > 0:
            self._dropped += excess
            del self._tail[:excess]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if not self.drained.done():
            self.drained.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def ended(self, status: int | None) -> Ended:
        note = b"\n[...]\n" if self._dropped else b""
        output = bytes(self._head) + note + bytes(self._tail)
        return Ended(status=status, output=output, dropped=self._dropped)


async def run_process(
    argv: list[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    max_bytes: int,
) -> Ended:
    """Run a program to its end, or to the end of its time or of the caller's.

    Whatever it started in its process group is killed when this returns.

    Raises:
        OSError: It cannot be started.
    """
    # In a task of its own: a cancellation in the middle of the start would leave the
    # program running, out of reach of the group that it may have begun to fill.
    starting = asyncio.create_task(_start(argv, folder, environment, max_bytes))
    try:
        await asyncio.wait({starting})
        transport, process = starting.result()
        done, _ = await asyncio.wait({process.exited}, timeout=timeout_s)
    finally:
        await _see_out(starting)
    return process.ended(transport.get_returncode() if done else None)


_Started = tuple[asyncio.SubprocessTransport, _Process]


async def _start(
    argv: list[str], folder: Path, environment: Mapping[str, str], max_bytes: int
) -> _Started:
    in_session = _leads_session_without_terminal()
    return await asyncio.get_running_loop().subprocess_exec(
        lambda: _Process(max_bytes),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env=dict(environment),
        start_new_session=not in_session,
        process_group=0 if in_session else None,
    )


def _leads_session_without_terminal() -> bool:
    """Whether a program may stay in our session, with a process group of its own.

    That is so in an agent's process. Whoever ends its session then ends the program, too,
    when nobody here can do that any more.
    """
    if os.getsid(0) != os.getpid():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False


async def _see_out(starting: asyncio.Task[_Started]) -> None:
    """Kill what was started, and its group, as soon as its start is over."""
    await asyncio.wait({starting})
    if starting.cancelled() or starting.exception() is not None:
        return
    transport, process = starting.result()
    try:
        _kill_group(transport.get_pid())
        await asyncio.wait({process.exited, process.drained}, timeout=_DRAIN_S)
    finally:
        transport.close()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def command_environment(ours: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """What a program gets of our environment; its home is the workspace."""
    passed_on = {name: ours[name] for name in PASSED_ON if name in ours}
    return {**passed_on, "HOME": str(home)}


def find_program(name: str, allowed: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """The full path of an allowed program.

    Raises:
        CommandNotAllowedError: It is not on the list, word for word.
        ToolError: It is, but it is not installed.
    """
    if name not in allowed:
        raise CommandNotAllowedError(command=name, allowed=allowed)
    # A relative entry would be looked up in the workspace, where Claude writes.
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    found = shutil.which(name, path=os.pathsep.join(filter(os.path.isabs, folders)))
    if found is None:
        raise ToolError(f"{name!r} is allowed but not installed here")
    return found


async def _run_command(given: RunCommand, context: ToolContext) -> str:
    settings, root = context.settings, context.workspace.root
    environment = command_environment(context.environment, home=root)
    program = find_program(given.argv[0], settings.allowed_commands, environment)
    try:
        ended = await run_process(
            [program, *given.argv[1:]],
            folder=root,
            environment=environment,
            timeout_s=settings.command_timeout_s,
            max_bytes=settings.max_output_chars,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ToolError(f"{given.argv[0]!r} cannot be started: {reason}") from error
    output = ended.output.decode(errors="replace").strip() or "(no output)"
    if ended.status is None:
        raise ToolError(
            f"{given.argv[0]!r} took longer than {settings.command_timeout_s:g} s and was killed; "
            f"its output until then:\n{output}"
        )
    return f"exit status {ended.status}\n{output}"


RUN_COMMAND = Tool(
    name="run_command",
    description=(
        "Run one of the allowed programs in the workspace and answer with its exit status "
        "and output. There is no shell: no pipes, no redirection, no variables."
    ),
    input_model=RunCommand,
    run=_run_command,
)
