"""The tool loop, seen through `execute_work`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel

from mnemosyne_core.agents import AgentSettings, AnyTool, Tool, ToolContext, create_agent
from mnemosyne_core.claude import Block, ClaudeClient, Reply
from mnemosyne_core.errors import (
    Abort,
    ClaudeConnectionError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    ToolError,
)
from mnemosyne_core.work import Usage, WorkItem, WorkResult
from tests.core.agents.script import (
    HangingClient,
    ScriptedClient,
    calling,
    reply,
    result_text,
    results_in,
    said,
    use,
)

ITEM = WorkItem(id="work-1", description="Create hello_world()")


class Nothing(BaseModel):
    pass


def tool(name: str, run: object) -> AnyTool:
    return Tool(name=name, description=name, input_model=Nothing, run=run)  # type: ignore[arg-type]


async def work(
    client: ClaudeClient, tmp_path: Path, *tools: AnyTool, max_turns: int = 5
) -> WorkResult:
    settings = AgentSettings(max_turns=max_turns, max_tokens=1000)
    agent = create_agent(
        "executor", client=client, workspace=tmp_path, settings=settings, tools=tools or None
    )
    async with agent:
        return await agent.execute_work(ITEM, attempt=2)


async def test_an_answer_without_tools_is_the_summary(tmp_path: Path) -> None:
    result = await work(ScriptedClient(said("Nothing to do.")), tmp_path)

    assert result.success
    assert (result.item_id, result.attempt) == ("work-1", 2)
    assert result.data == {"summary": "Nothing to do.", "files": [], "memories": []}
    assert result.usage == Usage(input_tokens=10, output_tokens=3)
    assert result.metrics == {"turns": 1, "tool_calls": 0, "tool_errors": 0}


async def test_tools_do_the_work_and_the_tokens_of_all_turns_are_counted(tmp_path: Path) -> None:
    client = ScriptedClient(
        calling(use("write_file", path="hello.py", content="def hello_world(): ...\n")),
        calling(
            use("edit_file", path="./hello.py", old="...", new="return 'hello'"),
            use("write_file", "toolu_2", path="docs/hello.md", content="Says hello.\n"),
        ),
        said("Done."),
    )
    result = await work(client, tmp_path)

    assert (tmp_path / "hello.py").read_text() == "def hello_world(): return 'hello'\n"
    assert result.data == {
        "summary": "Done.",
        "files": ["hello.py", "docs/hello.md"],
        "memories": [],
    }
    assert result.usage == Usage(input_tokens=30, output_tokens=9)
    assert result.metrics == {"turns": 3, "tool_calls": 3, "tool_errors": 0}


async def test_calls_of_one_turn_run_together_and_are_answered_in_their_order(
    tmp_path: Path,
) -> None:
    second_has_run = asyncio.Event()

    async def first(given: Nothing, context: ToolContext) -> str:
        await second_has_run.wait()
        return "first"

    async def second(given: Nothing, context: ToolContext) -> str:
        second_has_run.set()
        return "second"

    client = ScriptedClient(calling(use("first", "a"), use("second", "b")), said("Done."))
    await work(client, tmp_path, tool("first", first), tool("second", second))

    assert results_in(client.prompts[1]) == [
        {"type": "tool_result", "tool_use_id": "a", "content": "first"},
        {"type": "tool_result", "tool_use_id": "b", "content": "second"},
    ]


async def test_everything_that_claude_says_goes_back_unchanged(tmp_path: Path) -> None:
    blocks: tuple[Block, ...] = (
        {"type": "thinking", "thinking": "Hm.", "signature": "sig=="},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"new": None}]},
        use("list_files"),
    )
    client = ScriptedClient(reply(*blocks, stop_reason="tool_use"), said("Done."))
    await work(client, tmp_path)

    first, second = client.prompts
    assert second.messages[: len(first.messages)] == first.messages
    assert second.messages[-2] == {"role": "assistant", "content": list(blocks)}
    assert [r["tool_use_id"] for r in results_in(second)] == ["toolu_1"]
    assert (second.system, second.tools) == (first.system, first.tools)


async def test_a_paused_turn_is_continued_from_where_it_is(tmp_path: Path) -> None:
    client = ScriptedClient(said("Searching", stop_reason="pause_turn"), said("Found it."))
    result = await work(client, tmp_path)

    assert result.success
    last = client.prompts[1].messages[-1]
    assert last == {"role": "assistant", "content": [{"type": "text", "text": "Searching"}]}


async def refuse(given: Nothing, context: ToolContext) -> str:
    raise ToolError("not today")


async def break_down(given: Nothing, context: ToolContext) -> str:
    raise KeyError(str(context.workspace.root))


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(use("fly"), "there is no tool 'fly'; the tools are: refuse", id="unknown"),
        pytest.param(use("refuse"), "not today", id="refused"),
        pytest.param(use("break_down"), "break_down failed: KeyError: '.'", id="broken"),
        pytest.param(
            use("read_file", first_line=0),
            "invalid arguments for read_file: path: Field required; "
            "first_line: Input should be greater than 0",
            id="bad-arguments",
        ),
        pytest.param(
            {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": '{"path"'},
            "invalid arguments for read_file",
            id="arguments-that-are-no-object",
        ),
    ],
)
async def test_a_call_that_fails_is_answered_with_an_error(
    call: Block, answer: str, tmp_path: Path
) -> None:
    from mnemosyne_core.agents._file_tools import READ_FILE

    client = ScriptedClient(calling(call), said("I see."))
    tools = (tool("refuse", refuse), tool("break_down", break_down), READ_FILE)
    result = await work(client, tmp_path, *tools)

    (block,) = results_in(client.prompts[1])
    assert str(block["content"]).startswith(answer)
    assert block["is_error"] is True
    assert result.success
    assert result.metrics == {"turns": 2, "tool_calls": 1, "tool_errors": 1}


async def test_an_agent_that_never_stops_calling_tools_fails_and_says_so(tmp_path: Path) -> None:
    calls = [calling(use("list_files")) for _ in range(3)]
    client = ScriptedClient(*calls)
    result = await work(client, tmp_path, max_turns=3)

    assert not result.success
    assert result.error is not None
    assert result.error.code == "iteration_limit"
    assert "after 3 turns" in result.error.message
    assert result.metrics == {"turns": 3, "tool_calls": 2, "tool_errors": 0}
    assert result.usage == Usage(input_tokens=30, output_tokens=9)


@pytest.mark.parametrize(
    ("answer", "code", "message", "retryable"),
    [
        pytest.param(
            said("def hel", "max_tokens"), "answer_too_long", "1000 tokens", True, id="max-tokens"
        ),
        pytest.param(
            said("", "model_context_window_exceeded"),
            "answer_too_long",
            "context_window",
            True,
            id="context-window",
        ),
        pytest.param(
            reply(stop_reason="refusal", details={"type": "refusal", "explanation": "Harmful."}),
            "refusal",
            "Harmful.",
            False,
            id="refusal",
        ),
        pytest.param(
            said("I will not.", "refusal"), "refusal", "I will not.", False, id="refusal-in-words"
        ),
        pytest.param(
            said("Hm", "coffee_break"), "unusable_answer", "'coffee_break'", True, id="unknown"
        ),
        pytest.param(
            said("Hm", "tool_use"), "unusable_answer", "calls none", True, id="tool-without-call"
        ),
        pytest.param(reply(), "unusable_answer", "says nothing", True, id="silence"),
    ],
)
async def test_an_answer_that_is_none_is_a_failure(
    answer: Reply, code: str, message: str, retryable: bool, tmp_path: Path
) -> None:
    result = await work(ScriptedClient(answer), tmp_path)

    assert not result.success
    assert result.data is None
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == (code, retryable)
    assert message in result.error.message
    assert result.usage.output_tokens == 3


def status(kind: type[ClaudeStatusError], code: int) -> ClaudeStatusError:
    return kind(status=code, error_type="e", message="m")


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        pytest.param(status(ClaudeStatusError, 429), True, id="429"),
        pytest.param(status(ClaudeStatusError, 529), True, id="529"),
        pytest.param(status(ClaudeStatusError, 200), True, id="error-event"),
        pytest.param(status(ClaudeStatusError, 401), False, id="401"),
        pytest.param(status(ClaudeStatusError, 404), False, id="404"),
        pytest.param(status(ClaudeRequestError, 400), False, id="400"),
        pytest.param(ClaudeConnectionError(reason="reset"), True, id="connection"),
        pytest.param(ClaudeStreamError(reason="cut"), True, id="stream"),
    ],
)
async def test_a_turn_that_fails_fails_the_attempt(
    error: ClaudeError, retryable: bool, tmp_path: Path
) -> None:
    result = await work(ScriptedClient(calling(use("list_files")), error), tmp_path)

    assert result.error is not None
    assert (result.error.code, result.error.message) == (error.code, str(error))
    assert result.error.retryable is retryable
    assert result.metrics == {"turns": 1, "tool_calls": 1, "tool_errors": 0}


async def test_cancelling_the_work_ends_every_call_under_way(tmp_path: Path) -> None:
    started = asyncio.Event()
    ended: list[str] = []

    async def wait(given: Nothing, context: ToolContext) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("call")
        return "never"

    client = ScriptedClient(calling(use("wait", "a"), use("wait", "b")))
    task = asyncio.create_task(work(client, tmp_path, tool("wait", wait)))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["call", "call"]


async def test_cancelling_the_work_abandons_the_request(tmp_path: Path) -> None:
    client = HangingClient()
    task = asyncio.create_task(work(client, tmp_path))
    await client.asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_abort_in_a_turn_passes_through(tmp_path: Path) -> None:
    with pytest.raises(Abort, match="no recording"):
        await work(ScriptedClient(Abort("no recording")), tmp_path)


async def test_an_abort_in_one_call_ends_the_others_and_passes_as_itself(tmp_path: Path) -> None:
    ended: list[str] = []

    async def wait(given: Nothing, context: ToolContext) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("call")
        return "never"

    async def abort(given: Nothing, context: ToolContext) -> str:
        raise Abort("no recording")

    client = ScriptedClient(calling(use("wait", "a"), use("abort", "b")))
    with pytest.raises(Abort, match="no recording"):
        await work(client, tmp_path, tool("wait", wait), tool("abort", abort))
    assert ended == ["call"]


async def test_an_abort_while_calls_are_cancelled_is_not_lost(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def wait(given: Nothing, context: ToolContext) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Abort("no recording") from None
        return "never"

    client = ScriptedClient(calling(use("wait")))
    task = asyncio.create_task(work(client, tmp_path, tool("wait", wait)))
    await started.wait()
    task.cancel()

    with pytest.raises(Abort, match="no recording"):
        await task


async def test_the_middle_of_a_long_answer_is_left_out(tmp_path: Path) -> None:
    async def talk(given: Nothing, context: ToolContext) -> str:
        return "a" * 20_000 + "b" * 20_000

    client = ScriptedClient(calling(use("talk")), said("Done."))
    await work(client, tmp_path, tool("talk", talk))

    text = result_text(client.prompts[1])
    assert text == "a" * 10_000 + "\n[... 20000 characters left out ...]\n" + "b" * 10_000
