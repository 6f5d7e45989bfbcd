"""`create_agent` typed into `python -m asyncio`, as its first user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mnemosyne.simulation import ScriptedClaude, tool_use

SESSION = """
from mnemosyne_core import WorkItem, create_agent
agent = create_agent("executor")
await agent.start_session()
result = await agent.execute_work(WorkItem(id="greet", description="Write a greeting."))
print("said:", result.data["summary"], result.data["files"])
await agent.stop_session()
"""


@pytest.mark.slow
def test_an_agent_made_in_the_repl_does_work(tmp_path: Path) -> None:
    with ScriptedClaude() as claude:
        claude.reply(tool_use("write_file", path="hello.txt", content="hello\n"))
        claude.reply("hello.txt says hello.")
        ran = subprocess.run(
            [sys.executable, "-m", "asyncio"],
            input=SESSION,
            env={
                "ANTHROPIC_BASE_URL": claude.url,
                "ANTHROPIC_API_KEY": "any",
                "HOME": str(tmp_path),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        claude.assert_all_played()
    assert "said: hello.txt says hello. ['hello.txt']" in ran.stdout, ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_without_a_key_the_repl_says_what_to_do(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        input=SESSION,
        env={"HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "MissingKeyError: no Anthropic API key" in ran.stderr
    assert "set ANTHROPIC_API_KEY" in ran.stderr
