"""Nothing survives: neither the end of the agent, nor that of the process that has it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemosyne_core.agents import Agent, AgentPlace, AgentSettings, create_agent
from mnemosyne_core.bridge import AgentProcessGoneError
from mnemosyne_core.work import AgentRole
from tests.core.agents.script import ScriptedClient, calling, said, use
from tests.core.bridge.conformance.harness import Line
from tests.core.bridge.processes import family, is_running, needs_pidfd, wait_for_end


@needs_pidfd
@pytest.mark.slow
@pytest.mark.parametrize("how", ["idle", "busy", "forked"])
async def test_nothing_survives_a_parent_that_is_killed_though_it_has_no_keeper(
    how: str, tmp_path: Path
) -> None:
    async with family(how, tmp_path) as those:
        os.kill(those.keeper, signal.SIGKILL)
        assert is_running(those.agent)
        assert is_running(those.program)
        those.parent.kill()

        await those.wait_for_end()


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
