"""Nothing survives: neither the end of the agent, nor that of the process that has it."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mnemosyne_core.agents import Agent, AgentPlace, AgentSettings, create_agent
from mnemosyne_core.bridge import AgentProcessGoneError
from mnemosyne_core.work import AgentRole
from tests.core.agents.script import ScriptedClient, calling, said, use
from tests.core.bridge.conformance.harness import Line

HERE = Path(__file__).parents[3]

# A parent that says who its children are, and then is busy with nothing.
PARENT = """
import asyncio
from tests.core.bridge.conformance.harness import Line

async def main():
    line = Line.to("subprocess")
    await line.start()
    agent = await line.data("look_at_itself")
    program = await line.data("start_program")
    print(agent["pid"], program, flush=True)
    await {then}

asyncio.run(main())
"""


# It keeps the parent's descriptors open, but for the output that this test reads to its end.
FORKING = """
import os, time

async def fork():
    if os.fork() == 0:
        os.close(1)
        time.sleep(600)
"""


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


needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux lets us wait for a stranger's process"
)


@needs_pidfd
@pytest.mark.slow
@pytest.mark.parametrize(
    "then",
    [
        pytest.param("asyncio.Event().wait()", id="idle"),
        pytest.param("line.work('block')", id="busy"),
    ],
)
async def test_nothing_survives_a_parent_that_is_killed(then: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT.format(then=then), cwd=HERE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    agent, program = map(int, (await parent.stdout.readline()).split())
    assert is_running(agent)
    assert is_running(program)
    parent.kill()
    await parent.wait()

    await wait_for_end(agent)
    await wait_for_end(program)


@needs_pidfd
@pytest.mark.slow
async def test_a_program_that_the_parent_forked_does_not_keep_the_agent_alive() -> None:
    then = "fork()\n    await asyncio.Event().wait()"
    code = FORKING + PARENT.format(then=then)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=HERE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    agent, program = map(int, (await parent.stdout.readline()).split())
    parent.kill()
    await parent.wait()
    try:
        await wait_for_end(agent)
        await wait_for_end(program)
    finally:
        # The one that was forked.
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """More open files than `select` can count."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_048:
        pytest.skip("no process may have so many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2_048, hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_024)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_the_leash_is_watched_whatever_its_number(many_descriptors: None) -> None:
    line = Line.to("subprocess")
    await line.start()
    threads = await line.data("name_threads")
    assert await line.stop()

    assert threads == ["MainThread", "leash"]


@needs_pidfd
@pytest.mark.parametrize("end", ["stop", "kill", "exit"])
async def test_what_the_agent_started_goes_with_it(end: str) -> None:
    line = Line.to("subprocess")
    await line.start()
    program = await line.data("start_program")
    assert isinstance(program, int)
    assert is_running(program)
    match end:
        case "stop":
            assert await line.stop()
        case "kill":
            with pytest.raises(AgentProcessGoneError):
                await line.work("kill_itself", signal="SIGKILL")
        case _:
            with pytest.raises(AgentProcessGoneError):
                await line.work("exit", status=0)

    await wait_for_end(program, within_s=2.0)
    assert await line.stop()


def commanding(place: AgentPlace) -> Agent:
    settings = AgentSettings(allowed_commands=("sh",))
    return create_agent(AgentRole.EXECUTOR, client=place.client, settings=settings)


@needs_pidfd
async def test_a_command_of_an_agents_tool_goes_with_the_agents_process(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    os.mkfifo(note)
    run = use("run_command", argv=["sh", "-c", f"echo $$ > {note}; exec sleep 600"])
    line = Line.to("subprocess", commanding, client=ScriptedClient(calling(run), said("Done.")))
    await line.start()
    work = asyncio.create_task(line.work())
    program = int(await asyncio.to_thread(note.read_text))
    agent = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(agent, signal.SIGKILL)
    with pytest.raises(AgentProcessGoneError, match="SIGKILL"):
        await work

    await wait_for_end(program, within_s=2.0)
    assert await line.stop()


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


@pytest.mark.slow
async def test_no_descriptor_is_left_when_an_agent_has_ended() -> None:
    async def once() -> None:
        line = Line.to("subprocess")
        await line.start()
        await line.stop()

    await once()
    before = descriptors()
    await once()

    assert descriptors() == before


async def test_no_descriptor_is_left_when_an_agent_could_not_start() -> None:
    before = descriptors()
    for _ in range(2):
        with pytest.raises(Exception, match="status 3"):
            await Line.to_program("raise SystemExit(3)").start()

    assert descriptors() == before
