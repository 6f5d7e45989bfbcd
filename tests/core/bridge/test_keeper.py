"""The keeper ends what a process leaves behind, and is there no longer than it has to be."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mnemosyne_core.bridge._keeper import Sessions
from mnemosyne_core.bridge._kept import KEPT_SESSIONS, KeptSessions, keeper_program
from tests.core.bridge.conformance.harness import Line
from tests.core.bridge.processes import family, is_running, needs_pidfd, wait_for_end

# --- what a process leaves behind ------------------------------------------------------


@needs_pidfd
@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "locked", "forked_and_stopped"])
async def test_nothing_survives_a_parent_that_is_killed_though_the_agent_cannot_run(
    how: str, tmp_path: Path
) -> None:
    async with family(how, tmp_path) as those:
        assert is_running(those.agent)
        assert is_running(those.program)
        those.parent.kill()

        await those.wait_for_end()


@needs_pidfd
@pytest.mark.slow
async def test_nothing_survives_when_the_parents_whole_group_is_killed(tmp_path: Path) -> None:
    async with family("stopped", tmp_path) as those:
        os.killpg(those.parent.pid, signal.SIGKILL)

        await those.wait_for_end()


@needs_pidfd
@pytest.mark.slow
@pytest.mark.parametrize("how", ["over", "over_without_a_word"])
async def test_nothing_survives_a_parent_that_ends_by_itself(how: str, tmp_path: Path) -> None:
    async with family(how, tmp_path) as those:
        assert await those.parent.wait() == 0

        await those.wait_for_end()


# --- how long it is there --------------------------------------------------------------


@needs_pidfd
async def test_it_comes_with_the_first_agent_and_goes_with_the_last() -> None:
    lines = [Line.to("subprocess") for _ in range(2)]
    keepers = []
    for line in lines:
        await line.start()
        keepers.append(KEPT_SESSIONS.keeper)
    keeper = keepers[0]
    assert keeper is not None
    assert await lines[0].stop()
    assert is_running(keeper)
    assert await lines[1].stop()

    assert keepers == [keeper, keeper]
    assert KEPT_SESSIONS.keeper is None
    assert not Path(f"/proc/{keeper}").exists()


async def test_it_goes_with_an_agent_that_could_not_start() -> None:
    with pytest.raises(Exception, match="status 3"):
        await Line.to_program("raise SystemExit(3)").start()

    assert KEPT_SESSIONS.keeper is None


@pytest.mark.slow
def test_agents_of_several_loops_have_one_keeper() -> None:
    everybody = threading.Barrier(2, timeout=30)
    keepers = []

    async def live() -> None:
        line = Line.to("subprocess")
        await line.start()
        everybody.wait()
        keepers.append(KEPT_SESSIONS.keeper)
        everybody.wait()
        await line.stop()

    threads = [threading.Thread(target=asyncio.run, args=(live(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keepers[0] is not None
    assert keepers == [keepers[0]] * 2
    assert KEPT_SESSIONS.keeper is None


@needs_pidfd
async def test_agents_work_on_when_it_was_killed_and_the_next_one_brings_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [Line.to("subprocess") for _ in range(2)]
    await lines[0].start()
    first = KEPT_SESSIONS.keeper
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await wait_for_end(first)
    assert (await lines[0].work()).success
    await lines[1].start()
    second = KEPT_SESSIONS.keeper
    assert second is not None
    assert is_running(second)
    for line in lines:
        assert (await line.work()).success
        assert await line.stop()

    (told,) = [record for record in caplog.records if "keeper" in record.message]
    assert told.levelno == logging.WARNING
    assert f"its process {first} was killed by SIGKILL" in told.message
    assert second != first


# --- what it is told -------------------------------------------------------------------


def test_one_that_cannot_be_started_is_told_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = KeptSessions(lambda: ("/nowhere/python",))
    kept.add(1)
    kept.discard(1)

    assert kept.keeper is None
    (told,) = caplog.messages
    assert "it cannot be started" in told
    assert "/nowhere/python" in told


def test_another_one_is_told_of_all_sessions_that_there_are(tmp_path: Path) -> None:
    note = tmp_path / "told"
    os.mkfifo(note)
    programs = iter(("read _; read _; read _", f"exec cat > {note}"))
    kept = KeptSessions(lambda: ("sh", "-c", next(programs)))
    for session in (1, 2, 3):
        kept.add(session)
    first = kept.keeper
    assert first is not None
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    kept.discard(2)
    kept.add(4)
    with note.open() as told:
        assert [next(told) for _ in range(3)] == ["+1\n", "+3\n", "+4\n"]
        for session in (1, 3):
            kept.discard(session)
            assert next(told) == f"-{session}\n"
        kept.discard(4)

    assert kept.keeper is None


def test_nobody_waits_for_one_that_does_not_listen(caplog: pytest.LogCaptureFixture) -> None:
    programs = iter((("sleep", "600"),))
    kept = KeptSessions(lambda: next(programs, ("/nowhere/python",)))
    kept.add(1)
    while kept.keeper is not None:
        kept.add(1)

    assert "it does not listen (Resource temporarily unavailable)" in caplog.messages[0]


def test_what_opens_a_door_is_not_in_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = tmp_path / "environment"
    os.mkfifo(note)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary")
    monkeypatch.setenv("HARMLESS", "yes")
    kept = KeptSessions(lambda: ("sh", "-c", f"env > {note}; exec cat"))
    kept.add(1)
    environment = note.read_text()
    kept.discard(1)

    assert "HARMLESS=yes" in environment
    assert "canary" not in environment


# --- what it does ----------------------------------------------------------------------


class Processes:
    """Programs of a test, which end with it."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def sleeper(self) -> subprocess.Popen[bytes]:
        """One that leads a session, and is stopped."""
        started = self._start("sleep", "600")
        started.send_signal(signal.SIGSTOP)
        return started

    def keeper(self, *, parent: int | None = None) -> subprocess.Popen[bytes]:
        *program, ours = keeper_program()
        return self._start(*program, ours if parent is None else str(parent))

    def shell(self, command: str) -> subprocess.Popen[bytes]:
        return self._start("sh", "-c", command)

    def _start(self, *program: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        started = subprocess.Popen(program, stdin=pipe, stdout=pipe, start_new_session=True)
        self._started.append(started)
        return started

    def end(self) -> None:
        for each in self._started:
            with each:
                each.kill()


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.end()


def tell(keeper: subprocess.Popen[bytes], words: str) -> None:
    assert keeper.stdin is not None
    keeper.stdin.write(words.encode())
    keeper.stdin.flush()


def test_it_ends_the_sessions_that_were_not_taken_back(processes: Processes) -> None:
    keeper, one, other = processes.keeper(), processes.sleeper(), processes.sleeper()
    tell(keeper, f"+{one.pid}\n+{other.pid}\n-{one.pid}\n")
    keeper.communicate(timeout=10)

    assert keeper.returncode == 0
    assert other.wait(timeout=10) == -signal.SIGKILL
    assert one.poll() is None


def test_it_does_not_wait_for_the_end_of_a_pipe_that_others_hold(processes: Processes) -> None:
    sleeper = processes.sleeper()
    keeper = processes.keeper(parent=0)
    tell(keeper, f"+{sleeper.pid}\n")

    assert keeper.wait(timeout=10) == 0
    assert sleeper.wait(timeout=10) == -signal.SIGKILL


def test_nobody_but_its_parent_asks_it_to_end(processes: Processes) -> None:
    keeper, sleeper = processes.keeper(), processes.sleeper()
    assert keeper.stdin is not None
    pipe = keeper.stdin.fileno()
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"-1\n" * 1_000)
    # There is room again when it has begun to read, and so has seen to its signals.
    assert select.select((), (pipe,), (), 10)[1]
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        keeper.send_signal(number)
    os.write(pipe, f"+{sleeper.pid}\n".encode())
    keeper.communicate(timeout=10)

    assert keeper.returncode == 0
    assert sleeper.wait(timeout=10) == -signal.SIGKILL


@needs_pidfd
async def test_it_ends_the_rest_of_a_session_whose_leader_has_gone(processes: Processes) -> None:
    leader = processes.shell("sleep 600 & echo $!; read _")
    assert leader.stdout is not None
    assert leader.stdin is not None
    program = int(leader.stdout.readline())
    sessions = Sessions()
    sessions.note(f"+{leader.pid}".encode())
    leader.stdin.close()
    leader.wait()
    assert is_running(program)
    sessions.end()

    await wait_for_end(program)


@needs_pidfd
def test_it_harms_nobody_who_has_the_number_of_one_that_has_gone(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, somebody = processes.shell("read _"), processes.sleeper()
    held = os.pidfd_open(gone.pid)
    monkeypatch.setattr(os, "pidfd_open", lambda pid: held)
    sessions = Sessions()
    sessions.note(f"+{somebody.pid}".encode())
    gone.kill()
    gone.wait()
    sessions.end()
    sessions.note(f"-{somebody.pid}".encode())

    assert somebody.poll() is None


def test_it_is_small() -> None:
    interpreter, *options, code, _ = keeper_program()
    code = code.replace("main()", "import sys; print(*sys.modules)")
    ran = subprocess.run((interpreter, *options, code), capture_output=True, text=True, check=True)

    assert "mnemosyne_core.bridge._session" in ran.stdout.split()
    assert not {"asyncio", "logging", "pathlib", "pydantic", "subprocess"} & {*ran.stdout.split()}
