"""The ten tests that started this: delegation over the bridge, end to end.

They ask for structure, not for wording, so that they stay green whoever answers:
the cassettes (always), the scripted Claude (when they are recorded without a key)
or Claude itself (when they are recorded with one).
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mnemosyne_core.bridge import BridgeSettings, BridgeState
from mnemosyne_core.errors import (
    BridgeSpawnError,
    DependencyCycleError,
    InvalidWorkItemError,
    UnknownDependencyError,
)
from mnemosyne_core.tree import HealthStatus
from mnemosyne_core.work import (
    AgentRole,
    Decision,
    Failure,
    Gate,
    Guidance,
    Verdict,
    WorkItem,
    WorkResult,
    WorkState,
)
from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    has_no_tool_result,
    has_tool_result,
    system_contains,
    text_contains,
    tool_use,
)

if TYPE_CHECKING:
    from mnemosyne_core.events import Event
    from mnemosyne_core.tree import SupervisionTree
    from pytest_mnemosyne import BridgeMaker, Cassette, EventLog, TreeMaker

ALL_HOLD = {gate.value: True for gate in Gate}
APPROVAL = {
    "decision": "approve",
    "gates": ALL_HOLD,
    "confidence": 0.9,
    "issues": [],
    "suggested_tests": [],
}
REFUSAL = {
    "decision": "revise",
    "gates": {**ALL_HOLD, "tests": False, "constraints": False},
    "confidence": 0.8,
    "issues": ["add() is not tested"],
    "suggested_tests": ["add(1, 2) is 3"],
}


def script_of_file(claude: ScriptedClaude, path: str, content: str) -> None:
    """The executor writes `path` when it is asked about it, and says so."""
    about = (system_contains("You are the executor"), text_contains(path))
    claude.when(*about, has_no_tool_result()).reply(
        tool_use("write_file", path=path, content=content)
    )
    claude.when(*about, has_tool_result()).reply(f"I wrote {path} and checked that it parses.")


def functions_in(file: Path) -> list[str]:
    """The names of the functions that a Python file defines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def events_of(log: EventLog, agent: str) -> list[Event]:
    """What happened to one agent."""
    return [event for event in log if event.agent == agent]


class ToldAgent:
    """An executor whose answer the test gives."""

    role = AgentRole.EXECUTOR

    def __init__(self, answer: Callable[[WorkItem], WorkResult]) -> None:
        self.answer = answer
        self.sessions: list[str] = []

    async def start_session(self) -> None:
        self.sessions.append("started")

    async def stop_session(self) -> None:
        self.sessions.append("stopped")

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        return self.answer(item)


# --- the bridge ------------------------------------------------------------------------


async def test_bridge_error_handling(
    agent_bridge: BridgeMaker, event_log: EventLog, work_item: Callable[..., WorkItem]
) -> None:
    broken = Failure(code="crash", message="the agent is not itself")
    answers: list[Failure | None] = [broken] * 5
    agents: list[ToldAgent] = []

    def answer(item: WorkItem) -> WorkResult:
        failure = answers.pop(0) if answers else None
        return (
            WorkResult.failed(item, failure)
            if failure
            else WorkResult(item_id=item.id, success=True, data="recovered")
        )

    def make_agent() -> ToldAgent:
        agents.append(ToldAgent(answer))
        return agents[-1]

    bridge = await agent_bridge("executor", make_agent=make_agent)
    states, counts = [], []
    for _ in range(5):
        result = await bridge.send_work(work_item())
        assert result.error == broken, "an error comes back as it is, not as a crash"
        states.append(bridge.state)
        counts.append(bridge.error_count)

    assert counts[:4] == [1, 2, 3, 4]
    assert states[:4] == [BridgeState.READY] * 2 + [BridgeState.DEGRADED] * 2
    recovered = await bridge.send_work(work_item())
    assert recovered.success
    assert bridge.state is BridgeState.READY
    assert bridge.error_count == 0

    event_log.assert_order(
        "agent_registered",
        *["agent_erred"] * 3,
        "agent_degraded",
        *["agent_erred"] * 2,
        "agent_restarted",
        "agent_registered",
    )
    assert len(event_log.of("agent_restarted")) == 1
    assert [agent.sessions for agent in agents] == [["started", "stopped"], ["started"]]

    def cannot_be_made() -> ToldAgent:
        raise ModuleNotFoundError("No module named 'vision'", name="vision")

    with pytest.raises(BridgeSpawnError, match="vision") as caught:
        await agent_bridge("executor", path="executor/blind", make_agent=cannot_be_made)
    assert caught.value.hint


async def test_graceful_degradation_without_bridges(
    make_supervision_tree: TreeMaker, event_log: EventLog, work_item: Callable[..., WorkItem]
) -> None:
    def no_agent(_: object) -> ToldAgent:
        raise ModuleNotFoundError("No module named 'agents'", name="agents")

    tree = await make_supervision_tree(agents=dict.fromkeys(AgentRole, no_agent))

    health = tree.health()
    assert health.status is HealthStatus.DEGRADED
    assert all("agents" in (agent.reason or "") for agent in health.agents.values())
    assert [child.state for child in tree.children()] == ["running"] * 4, "the actors live on"
    assert {event.agent for event in event_log.of("agent_failed")} == set(AgentRole)

    result = await (await tree.submit(work_item("write a poem"))).result(timeout=5)
    assert not result.success, "nobody makes a success up"
    assert result.error is not None
    assert result.error.code == "agent_unavailable"
    assert tree.health().status is HealthStatus.DEGRADED
    event_log.none("child_terminated")

    waiting = await make_supervision_tree(
        agents=dict.fromkeys(AgentRole, no_agent), missing_agent="wait"
    )
    handle = await waiting.submit(work_item("write another one"))
    await event_log.wait_for("work_blocked")
    assert handle.state is WorkState.WAITING


async def test_bridge_spawn_and_registration(
    supervision_tree: SupervisionTree, event_log: EventLog, claude_cassette: Cassette
) -> None:
    assert supervision_tree.is_healthy()
    for role in AgentRole:
        registered = events_of(event_log, role)
        assert [event.kind for event in registered] == [
            "agent_registered",
            "agent_heartbeat",
            "child_started",
        ]
        assert registered[1].by == registered[0].seq
        agent = supervision_tree.state.agent(role)
        assert agent is not None
        assert (agent.role, agent.status, agent.incarnation) == (role, "registered", 1)
        assert agent.last_heartbeat is not None
    assert {child.id: child.incarnation for child in supervision_tree.children()} == (
        dict.fromkeys(AgentRole, 1)
    )
    assert claude_cassette.turns == [], "an agent registers without a word to Claude"


async def test_concurrent_bridges(
    agent_bridge: BridgeMaker,
    event_log: EventLog,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
    claude_cassette: Cassette,
    tmp_path: Path,
) -> None:
    script_of_file(scripted_claude, "greet.py", "def greet() -> str:\n    return 'hi'\n")
    scripted_claude.when(system_contains("You are the reviewer")).reply(json=APPROVAL)
    scripted_claude.when(system_contains("You are the optimizer")).reply(
        json={"guidance": ["Handle an empty name."]}
    )
    scripted_claude.when(system_contains("You are the orchestrator")).reply(
        "First the parser, then the writer."
    )
    items = [
        work_item("Write greet.py with a function greet() that returns a greeting."),
        work_item(
            "Judge whether a function that adds two numbers was delivered.",
            role="reviewer",
            context={"result": {"summary": "def add(a, b): return a + b, tested, documented"}},
        ),
        work_item(
            "Word guidance for a function that greets people by name.",
            role="optimizer",
            context={"findings": ["It fails for an empty name."]},
        ),
        work_item(
            "In one sentence and without tools: in which order would you build a parser and "
            "a writer that shares its types?",
            role="orchestrator",
        ),
    ]
    bridges = [await agent_bridge(item.role) for item in items]

    executed, judged, improved, planned = await asyncio.gather(
        *(bridge.send_work(item) for bridge, item in zip(bridges, items, strict=True))
    )

    assert [r.error for r in (executed, judged, improved, planned)] == [None] * 4
    assert functions_in(tmp_path / "workspace" / "greet.py") == ["greet"]
    assert Verdict.model_validate(judged.data).gates.keys() <= set(Gate)
    assert Guidance.model_validate(improved.data).guidance
    assert isinstance(planned.data, dict)
    assert planned.data["summary"]
    assert {turn.agent for turn in claude_cassette.turns} == set(AgentRole)
    for result in (executed, judged, improved, planned):
        assert result.usage.output_tokens > 0
    for item in items:
        kinds = [event.kind for event in events_of(event_log, item.role)]
        assert kinds == ["agent_registered", "agent_heartbeat", "agent_active", "agent_idle"]


# --- the tree --------------------------------------------------------------------------


async def test_work_delegation_to_agent(
    supervision_tree: SupervisionTree,
    event_log: EventLog,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
    claude_cassette: Cassette,
    tmp_path: Path,
) -> None:
    script_of_file(
        scripted_claude, "add.py", 'def add(a, b):\n    """The sum."""\n    return a + b\n'
    )
    scripted_claude.when(system_contains("You are the reviewer")).reply(json=APPROVAL)

    item = work_item(
        "Write add.py with one documented function add(a, b) that returns the sum. Nothing else "
        "is needed, no tests either.",
        requirements=["add.py defines add(a, b)"],
    )
    handle = await supervision_tree.submit(item)
    result = await handle.result(timeout=120)

    assert result.success
    assert handle.state is WorkState.COMPLETED
    assert functions_in(tmp_path / "workspace" / "add.py") == ["add"]
    assert isinstance(result.data, dict)
    assert result.data["files"] == ["add.py"]
    chain = event_log.assert_order(
        "work_submitted",
        "work_claimed",
        "agent_active",
        "work_returned",
        "work_reviewed",
        "work_completed",
    )
    assert [event.by for event in chain[1:3]] == [event.seq for event in chain[:2]]
    assert all(event.attempt >= 1 for event in chain)
    turns = claude_cassette.turns
    assert {turn.agent for turn in turns} >= {"executor", "reviewer"}
    assert all(turn.status == 200 for turn in turns)
    spent = supervision_tree.metrics.snapshot().usage
    assert spent.output_tokens == sum(turn.tokens.output for turn in turns)


async def test_concurrent_work_processing(
    make_supervision_tree: TreeMaker,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
    claude_cassette: Cassette,
    tmp_path: Path,
) -> None:
    names = [f"part_{n}" for n in range(1, 5)]
    for name in names:
        script_of_file(scripted_claude, f"{name}.py", f"def {name}():\n    return '{name}'\n")

    tree = await make_supervision_tree(max_concurrent_agents=2)
    handles = await tree.submit_all(
        work_item(
            f"Write {name}.py with one function {name}() that returns its own name as a string. "
            "No tests, no comments, nothing else.",
            review=False,
        )
        for name in names
    )
    results = await asyncio.gather(*(handle.result(timeout=120) for handle in handles))

    assert [result.success for result in results] == [True] * 4
    for name, result in zip(names, results, strict=True):
        assert isinstance(result.data, dict)
        assert result.data["files"] == [f"{name}.py"], "each got the answer to its own question"
        assert functions_in(tmp_path / "workspace" / f"{name}.py") == [name]
    at_work, most = 0, 0
    for event in tree.journal.events():
        at_work += {"work_claimed": 1, "work_completed": -1}.get(event.kind, 0)
        most = max(most, at_work)
    assert most == 2, "two at once, and never more"
    assert {turn.agent for turn in claude_cassette.turns} == {"executor", "executor/sub-1"}


async def test_simple_work_execution_with_claude(
    agent_bridge: BridgeMaker,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
    claude_cassette: Cassette,
    tmp_path: Path,
) -> None:
    script_of_file(scripted_claude, "hello.py", "def hello_world():\n    return 'Hello, world!'\n")
    bridge = await agent_bridge("executor")

    result = await bridge.send_work(
        work_item("Write hello.py with a function hello_world() that returns 'Hello, world!'.")
    )

    assert result.success
    scope: dict[str, Callable[[], str]] = {}
    source = (tmp_path / "workspace" / "hello.py").read_text(encoding="utf-8")
    exec(compile(source, "hello.py", "exec"), scope)
    assert scope["hello_world"]() == "Hello, world!"
    assert result.metrics["tool_calls"] >= 1
    assert result.metrics["turns"] == len(claude_cassette.turns) >= 2
    assert result.usage.output_tokens > 0


async def test_error_recovery_with_invalid_work(
    supervision_tree: SupervisionTree,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
    tmp_path: Path,
) -> None:
    script_of_file(scripted_claude, "after.py", "def after():\n    return True\n")
    stored = supervision_tree.journal.last_seq

    with pytest.raises(InvalidWorkItemError) as caught:
        await supervision_tree.submit({"description": "", "priority": 99, "role": "janitor"})
    assert {field for field, _ in caught.value.problems} == {"description", "priority", "role"}
    with pytest.raises(UnknownDependencyError):
        await supervision_tree.submit(work_item("wait", dependencies=["nobody"]))
    with pytest.raises(DependencyCycleError):
        await supervision_tree.submit_all(
            [
                work_item("one", id="one", dependencies=["two"]),
                work_item("two", id="two", dependencies=["one"]),
            ]
        )

    assert supervision_tree.journal.last_seq == stored, "nothing of it was stored"
    assert supervision_tree.is_healthy()
    good = await supervision_tree.submit(
        work_item(
            "Write after.py with a function after() that returns True. Nothing else.",
            review=False,
        )
    )
    assert (await good.result(timeout=120)).success
    assert functions_in(tmp_path / "workspace" / "after.py") == ["after"]


async def test_reviewer_agent_quality_checks(
    supervision_tree: SupervisionTree,
    event_log: EventLog,
    work_item: Callable[..., WorkItem],
    scripted_claude: ScriptedClaude,
) -> None:
    scripted_claude.when(
        system_contains("You are the reviewer"), text_contains("test_add.py passes")
    ).reply(json=APPROVAL)
    scripted_claude.when(system_contains("You are the reviewer")).reply(json=REFUSAL)

    def review(summary: str) -> WorkItem:
        return work_item(
            "Deliver add(a, b), documented and with tests. Judge by the summary alone: the "
            "workspace is not at hand.",
            role="reviewer",
            requirements=["add(a, b) returns the sum", "tests exist and pass"],
            context={"result": {"summary": summary}},
        )

    untested, tested = [
        Verdict.model_validate((await handle.result(timeout=120)).data)
        for handle in await supervision_tree.submit_all(
            [
                review("add(a, b) returns a + b and has a docstring. I wrote no tests."),
                review(
                    "add(a, b) returns a + b and has a docstring; test_add.py passes: it covers "
                    "integers, negative numbers, floats and zero, and each requirement is met."
                ),
            ]
        )
    ]

    assert untested.decision is not Decision.APPROVE
    assert not untested.gates[Gate.TESTS]
    assert untested.issues, "a refusal says what has to change"
    assert tested.decision is Decision.APPROVE
    assert all(tested.gates.values())
    for verdict in (untested, tested):
        assert 0 <= verdict.confidence <= 1
    event_log.none("work_reviewed")


async def test_work_timeout_handling(
    make_supervision_tree: TreeMaker, event_log: EventLog, work_item: Callable[..., WorkItem]
) -> None:
    cancelled: list[int] = []

    class Slow(ToldAgent):
        async def execute_work(
            self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
        ) -> WorkResult:
            if item.timeout_s is None:
                return self.answer(item)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(attempt)
                raise
            raise AssertionError("nothing wakes it")

    agent = Slow(lambda item: WorkResult(item_id=item.id, success=True))
    tree = await make_supervision_tree(
        agents={AgentRole.EXECUTOR: lambda _: agent}, bridge=BridgeSettings(degraded_after=2)
    )

    slow = await tree.submit(work_item("sleep", timeout_s=0.002, max_attempts=2, review=False))
    result = await slow.result(timeout=5)

    assert not result.success
    assert result.error is not None
    assert result.error.code == "attempts_exhausted"
    assert "0.002 s" in result.error.message
    assert cancelled == [1, 2], "the agent's work was cancelled, not only the waiting"
    stored = [each.error.code for each in tree.journal.results(slow.id) if each.error]
    assert stored == ["work_timeout", "attempts_exhausted"], "one word on each attempt"
    event_log.assert_order(
        "work_claimed", "agent_erred", "work_released", "agent_erred", "agent_degraded"
    )
    assert tree.health().agents[AgentRole.EXECUTOR].status == "degraded"

    quick = await tree.submit(work_item("be quick", review=False))
    assert (await quick.result(timeout=5)).success, "the agent is there for the next item"
