"""Agents that ask for streams: the same outcome, and the same failures."""

from __future__ import annotations

from pathlib import Path

from mnemosyne_core.agents import AgentSettings, create_agent
from mnemosyne_core.claude import AnthropicClient
from mnemosyne_core.work import WorkItem, WorkResult
from pytest_mnemosyne import ScriptedClaude
from pytest_mnemosyne.simulation import tool_use

ITEM = WorkItem(id="greet", description="Write a greeting to hello.txt.")


def writing() -> ScriptedClaude:
    claude = ScriptedClaude()
    claude.reply(tool_use("write_file", path="hello.txt", content="hello\n"))
    return claude.reply("hello.txt says hello.")


async def done(claude: ScriptedClaude, folder: Path, *, stream: bool) -> WorkResult:
    async with claude.client(max_retries=0) as sdk:
        agent = create_agent(
            "executor",
            client=AnthropicClient(sdk),
            workspace=folder,
            settings=AgentSettings(stream=stream),
        )
        async with agent:
            return await agent.execute_work(ITEM)


async def test_an_answer_that_is_streamed_is_the_same_answer(tmp_path: Path) -> None:
    whole, streamed = writing(), writing()
    results = [
        await done(whole, tmp_path, stream=False),
        await done(streamed, tmp_path, stream=True),
    ]

    assert results[0].success
    assert results[1] == results[0].model_copy(update={"duration_s": results[1].duration_s})
    assert [request.stream for request in streamed.requests] == [True, True]
    assert [request.messages for request in streamed.requests] == [
        request.messages for request in whole.requests
    ]


async def test_a_stream_that_fails_is_a_failed_result(tmp_path: Path) -> None:
    claude = ScriptedClaude()
    claude.fail(529, times=None)
    result = await done(claude, tmp_path, stream=True)
    assert result.error is not None
    assert result.error.retryable
    assert "529" in result.error.message
