"""Sessions, prompts and what each role's answer means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel, JsonValue

from mnemosyne_core.agents import AgentSettings, AnyTool, Tool, ToolContext, create_agent, tools_for
from mnemosyne_core.agents._toolset import BUILT_IN
from mnemosyne_core.errors import (
    InvalidWorkItemError,
    MissingKeyError,
    PluginError,
    SessionNotStartedError,
    UnknownRoleError,
)
from mnemosyne_core.hooks import hookimpl, plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.work import AgentRole, Gate, Verdict, WorkItem, WorkResult
from tests.core.agents.script import ScriptedClient, calling, said, use

ITEM = WorkItem(
    id="work-4711",
    description="Create hello_world()",
    requirements=("It returns a string.",),
    context={"b": 1, "a": {"z": None, "y": "ä"}},
)
APPROVAL: dict[str, JsonValue] = {
    "decision": "approve",
    "gates": {gate.value: True for gate in Gate},
    "confidence": 0.9,
    "issues": [],
    "suggested_tests": ["an empty name"],
}


async def work(role: str, client: ScriptedClient, workspace: Path) -> WorkResult:
    async with create_agent(role, client=client, workspace=workspace, ids=CountedIds()) as agent:
        return await agent.execute_work(ITEM)


async def test_the_prompt_holds_all_of_the_item_and_nothing_that_changes_from_run_to_run(
    tmp_path: Path,
) -> None:
    client = ScriptedClient(said("Done."))
    settings = AgentSettings(model="claude-haiku-5-5", allowed_commands=("pytest", "git"))
    agent = create_agent("executor", client=client, workspace=tmp_path, settings=settings)
    async with agent:
        await agent.execute_work(ITEM, attempt=2, guidance=("Return, do not print.",))

    (prompt,) = client.prompts
    assert prompt.model == "claude-haiku-5-5"
    assert prompt.messages == (
        {
            "role": "user",
            "content": """\
# Work item

Create hello_world()

Phase of the project: plan_to_artifacts
Attempt: 2

## Requirements

- It returns a string.

## Context

```json
{
  "a": {
    "y": "ä",
    "z": null
  },
  "b": 1
}
```

## Guidance from earlier attempts

- Return, do not print.

## Programs that you may run

- pytest
- git""",
        },
    )
    whole = json.dumps(prompt.body())
    assert "work-4711" not in whole
    assert str(tmp_path) not in whole


async def test_two_sessions_ask_the_same_bytes(tmp_path: Path) -> None:
    bodies = []
    for name in ("one", "two"):
        workspace = tmp_path / name
        workspace.mkdir()
        client = ScriptedClient(
            calling(use("write_file", path="a.txt", content="a")),
            calling(use("remember", text="It was easy."), use("read_file", "t2", path="../b")),
            said("Done."),
        )
        await work("executor", client, workspace)
        bodies.append([json.dumps(prompt.body()) for prompt in client.prompts])

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("role", list(AgentRole))
def test_every_role_has_its_instructions_and_sound_tool_definitions(role: AgentRole) -> None:
    from mnemosyne_core.agents._prompts import system_prompt

    assert system_prompt(role).startswith(f"You are the {role} in a team of agents.")
    for tool in tools_for(role, plugin_manager(load_entry_points=False)):
        definition = tool.definition()
        schema = definition["input_schema"]
        assert isinstance(schema, dict)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert "title" not in json.dumps(schema)


async def test_what_the_executor_remembers_gets_ids_that_claude_does_not_see(
    tmp_path: Path,
) -> None:
    client = ScriptedClient(
        calling(use("remember", "a", text="Tabs."), use("remember", "b", text="No, spaces.")),
        said("Done."),
    )
    result = await work("executor", client, tmp_path)

    assert result.memory_ids == ("memory-1", "memory-2")
    assert isinstance(result.data, dict)
    assert result.data["memories"] == ["Tabs.", "No, spaces."]
    assert "memory-1" not in json.dumps(client.prompts[1].body())


async def test_a_reviewer_answers_with_a_verdict(tmp_path: Path) -> None:
    client = ScriptedClient(said(json.dumps(APPROVAL)))
    result = await work("reviewer", client, tmp_path)

    assert result.success
    assert Verdict.model_validate(result.data) == Verdict.model_validate(APPROVAL)
    schema = client.prompts[0].output_schema
    assert schema is not None
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(Verdict.model_fields) == set(APPROVAL)


async def test_a_rejection_is_a_successful_review(tmp_path: Path) -> None:
    verdict = {**APPROVAL, "decision": "reject", "issues": ["It cannot be done."]}
    result = await work("reviewer", ScriptedClient(said(json.dumps(verdict))), tmp_path)

    assert result.success
    assert isinstance(result.data, dict)
    assert result.data["decision"] == "reject"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param("Looks good to me!", "Invalid JSON", id="words"),
        pytest.param(json.dumps({**APPROVAL, "confidence": 7}), "confidence", id="out-of-bounds"),
        pytest.param(json.dumps({**APPROVAL, "mood": "fine"}), "mood", id="unknown-field"),
        pytest.param(
            json.dumps({**APPROVAL, "gates": {"tests": False}}),
            "approved although these gates fail: tests",
            id="contradiction",
        ),
    ],
)
async def test_an_answer_that_is_no_verdict_is_never_taken_for_one(
    answer: str, problem: str, tmp_path: Path
) -> None:
    result = await work("reviewer", ScriptedClient(said(answer)), tmp_path)

    assert not result.success
    assert result.error is not None
    assert result.error.code == "unusable_answer"
    assert problem in result.error.message


async def test_an_optimizer_answers_with_guidance(tmp_path: Path) -> None:
    client = ScriptedClient(said('{"guidance": ["Return the string.", "Test it."]}'))
    result = await work("optimizer", client, tmp_path)

    assert result.data == {"guidance": ["Return the string.", "Test it."]}
    assert client.prompts[0].tools == ()


async def test_no_guidance_is_no_answer(tmp_path: Path) -> None:
    result = await work("optimizer", ScriptedClient(said('{"guidance": []}')), tmp_path)

    assert result.error is not None
    assert result.error.code == "unusable_answer"


async def test_work_outside_a_session_is_refused() -> None:
    agent = create_agent("Executor", client=ScriptedClient())

    with pytest.raises(SessionNotStartedError, match="await start_session"):
        await agent.execute_work(ITEM)
    await agent.start_session()
    await agent.stop_session()
    with pytest.raises(SessionNotStartedError):
        await agent.execute_work(ITEM)


async def test_starting_and_stopping_twice_is_harmless_and_spares_what_was_handed_in(
    tmp_path: Path,
) -> None:
    client = ScriptedClient(said("Done."))
    agent = create_agent("executor", client=client, workspace=tmp_path)
    await agent.start_session()
    await agent.start_session()
    assert (await agent.execute_work(ITEM)).success
    await agent.stop_session()
    await agent.stop_session()

    assert client.closed == 0
    assert tmp_path in tmp_path.parent.iterdir()


async def test_a_workspace_of_its_own_ends_with_the_session() -> None:
    places: list[Path] = []

    class Nothing(BaseModel):
        pass

    async def look(given: Nothing, context: ToolContext) -> str:
        places.append(context.workspace.root)
        (context.workspace.root / "left.txt").write_text("left")
        return "looked"

    tool = Tool(name="look", description="Look.", input_model=Nothing, run=look)
    client = ScriptedClient(calling(use("look")), said("Done."))
    async with create_agent("executor", client=client, tools=[tool]) as agent:
        await agent.execute_work(ITEM)
        assert places[0].is_dir()

    assert not places[0].exists()


async def test_a_session_without_a_key_fails_and_leaves_no_workspace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    agent = create_agent("executor")

    with pytest.raises(MissingKeyError):
        await agent.start_session()
    assert list(tmp_path.iterdir()) == []
    await agent.stop_session()


async def test_a_workspace_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    agent = create_agent("executor", client=ScriptedClient(), workspace=tmp_path / "missing")

    with pytest.raises(FileNotFoundError):
        await agent.start_session()


def test_an_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(UnknownRoleError, match="orchestrator, optimizer, reviewer, executor"):
        create_agent("janitor")


class Ping(BaseModel):
    pass


async def ping(given: Ping, context: ToolContext) -> str:
    return "pong"


def a_tool(name: str) -> AnyTool:
    return Tool(name=name, description="Ping.", input_model=Ping, run=ping)


class Offering:
    """A plug-in with one tool for executors."""

    def __init__(self, name: str) -> None:
        self._tool = a_tool(name)

    @hookimpl
    def mnemosyne_tools(self, role: AgentRole) -> Sequence[AnyTool]:
        return [self._tool] if role is AgentRole.EXECUTOR else []


def test_tools_of_plugins_follow_the_built_in_ones_in_order_of_registration() -> None:
    plugins = plugin_manager([Offering("ping"), Offering("pong")], load_entry_points=False)

    names = [tool.name for tool in tools_for(AgentRole.EXECUTOR, plugins)]
    again = [tool.name for tool in tools_for(AgentRole.EXECUTOR, plugins)]
    assert names[-3:] == ["remember", "ping", "pong"]
    assert again == names
    assert tools_for(AgentRole.OPTIMIZER, plugins) == ()


def test_the_built_in_tools_can_be_blocked() -> None:
    plugins = plugin_manager([Offering("ping")], load_entry_points=False)
    plugins.set_blocked(BUILT_IN)

    assert [tool.name for tool in tools_for(AgentRole.EXECUTOR, plugins)] == ["ping"]


def test_two_tools_of_one_name_are_refused() -> None:
    plugins = plugin_manager([Offering("read_file")], load_entry_points=False)

    with pytest.raises(PluginError, match=r"'read_file'.*two tools"):
        tools_for(AgentRole.EXECUTOR, plugins)
    with pytest.raises(PluginError, match=r"'x'.*two tools"):
        create_agent("executor", tools=[a_tool("x"), a_tool("x")])


def test_a_tool_name_that_the_api_would_refuse_is_refused_here() -> None:
    with pytest.raises(PluginError, match="1 to 128 letters"):
        a_tool("no blanks please")


async def test_a_workspace_may_be_named_by_its_path_alone(tmp_path: Path) -> None:
    client = ScriptedClient(calling(use("write_file", path="a.txt", content="a")), said("Done."))
    async with create_agent("executor", client=client, workspace=str(tmp_path)) as agent:
        await agent.execute_work(ITEM)

    assert (tmp_path / "a.txt").read_text() == "a"


async def test_what_is_no_work_item_is_refused_with_what_is_expected() -> None:
    async with create_agent("executor", client=ScriptedClient()) as agent:
        with pytest.raises(InvalidWorkItemError, match="expected a WorkItem or a mapping"):
            await agent.execute_work("Say hello.")  # type: ignore[arg-type]


async def test_an_agent_says_who_it_is_and_whether_it_can_work() -> None:
    agent = create_agent("executor", client=ScriptedClient())
    said_before = repr(agent)
    async with agent:
        assert (said_before, repr(agent)) == (
            "<ClaudeAgent executor, no session>",
            "<ClaudeAgent executor, in session>",
        )
