"""`run_command`: the allow-list, the environment, the bounds, and that nothing survives it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mnemosyne_core.agents import AgentSettings, ToolContext, Workspace, create_agent
from mnemosyne_core.agents._command import RUN_COMMAND
from mnemosyne_core.errors import CommandNotAllowedError, ToolError
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.work import WorkItem
from tests.core.agents.script import ScriptedClient, calling, result_text, said, use

ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-canary",
    "MY_TOKEN": "canary",
    "HOME": "/home/somebody",
}


def context_at(
    root: Path, *allowed: str, timeout_s: float = 20.0, path: str | None = None
) -> ToolContext:
    return ToolContext(
        workspace=Workspace(root, max_file_bytes=1000),
        settings=AgentSettings(
            allowed_commands=allowed, command_timeout_s=timeout_s, max_output_chars=200
        ),
        ids=CountedIds(),
        environment={**ENVIRONMENT, "PATH": path or os.environ["PATH"]},
    )


async def run(context: ToolContext, *argv: str) -> str:
    return await RUN_COMMAND.call({"argv": list(argv)}, context)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # Dead, but nobody has asked for its exit status yet.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return sys.platform != "linux"


async def becomes(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true; the kernel takes its time, so it is asked again."""
    for _ in range(1000):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False


async def test_a_command_runs_in_the_workspace_and_answers_with_status_and_output(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").touch()

    assert await run(context_at(tmp_path, "ls"), "ls") == "exit status 0\na.txt"


async def test_a_failing_command_is_an_answer_not_an_error(tmp_path: Path) -> None:
    answer = await run(context_at(tmp_path, "sh"), "sh", "-c", "echo out; echo err >&2; exit 3")

    assert answer == "exit status 3\nout\nerr"


async def test_there_is_no_shell_in_between(tmp_path: Path) -> None:
    answer = await run(context_at(tmp_path, "echo"), "echo", "$HOME; ls", "*", "|", "cat")

    assert answer == "exit status 0\n$HOME; ls * | cat"


@pytest.mark.parametrize("program", ["rm", "/bin/ls", "./ls", "LS", "ls ", ""])
async def test_only_what_is_on_the_list_word_for_word_is_run(program: str, tmp_path: Path) -> None:
    with pytest.raises(CommandNotAllowedError, match="allowed commands: ls"):
        await run(context_at(tmp_path, "ls"), program)


async def test_a_program_in_the_workspace_does_not_stand_in_for_an_allowed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "tool"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ToolError, match="allowed but not installed"):
        await run(context_at(tmp_path, "tool", path=".::/usr/bin"), "tool")


async def test_no_key_and_no_home_of_ours_reaches_a_command(tmp_path: Path) -> None:
    answer = await run(context_at(tmp_path, "env", path="/usr/bin:/bin"), "env")

    assert sorted(answer.splitlines()[1:]) == [f"HOME={tmp_path}", "PATH=/usr/bin:/bin"]


async def test_a_command_gets_no_input(tmp_path: Path) -> None:
    assert await run(context_at(tmp_path, "cat"), "cat") == "exit status 0\n(no output)"


async def test_the_middle_of_a_flood_is_dropped_as_it_comes(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('a' * 10**6 + 'z' * 10**6)"
    answer = await run(context_at(tmp_path, sys.executable), sys.executable, "-c", code)

    assert answer == "exit status 0\n" + "a" * 100 + "\n[...]\n" + "z" * 100


async def test_a_command_that_takes_too_long_is_killed_with_all_its_children(
    tmp_path: Path,
) -> None:
    script = "sleep 60 & echo $!; exec sleep 60"
    with pytest.raises(ToolError, match=r"longer than 0.2 s and was killed") as caught:
        await run(context_at(tmp_path, "sh", timeout_s=0.2), "sh", "-c", script)

    child = int(str(caught.value).splitlines()[-1])
    assert await becomes(lambda: not is_alive(child))


async def test_a_child_left_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    answer = await run(context_at(tmp_path, "sh"), "sh", "-c", "sleep 60 & echo $!")

    status, child = answer.splitlines()
    assert status == "exit status 0"
    assert await becomes(lambda: not is_alive(int(child)))


async def test_cancelling_kills_the_command_and_its_children(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > child; mv child ready; exec sleep 60"
    task = asyncio.create_task(run(context_at(tmp_path, "sh"), "sh", "-c", script))
    ready = tmp_path / "ready"
    assert await becomes(ready.exists)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    child = int(ready.read_text())
    assert await becomes(lambda: not is_alive(child))


async def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "broken"
    broken.parent.mkdir()
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)

    with pytest.raises(ToolError, match="'broken' cannot be started"):
        await run(context_at(tmp_path, "broken", path=str(broken.parent)), "broken")


async def test_an_argument_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"argv\.1"):
        await run(context_at(tmp_path, "ls"), "ls", "a\0b")


async def test_output_that_is_no_text_is_made_readable(tmp_path: Path) -> None:
    answer = await run(context_at(tmp_path, "printf"), "printf", r"\377ok")

    assert answer == "exit status 0\n\ufffdok"


async def test_an_agent_sees_the_tool_only_if_something_is_allowed(tmp_path: Path) -> None:
    item = WorkItem(id="w", description="Run it")
    for allowed, offered in (((), False), (("pwd",), True)):
        client = ScriptedClient(calling(use("run_command", argv=["pwd"])), said("Done."))
        settings = AgentSettings(allowed_commands=allowed)
        agent = create_agent("executor", client=client, workspace=tmp_path, settings=settings)
        async with agent:
            await agent.execute_work(item)

        names = [tool["name"] for tool in client.prompts[0].tools]
        assert ("run_command" in names) is offered
        if offered:
            # The workspace's own path would be another one in the next run.
            assert result_text(client.prompts[1]) == "exit status 0\n."
