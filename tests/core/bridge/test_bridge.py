"""Spawn, work, lanes, timeouts and shutdown of a bridge with the agent in the same loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

import pytest

from mnemosyne_core import lane
from mnemosyne_core.agents import Agent, AgentPlace, create_agent
from mnemosyne_core.bridge import (
    BridgeSettings,
    BridgeState,
    ClaudeAgentBridge,
    TaskTransport,
    WorkEnvelope,
)
from mnemosyne_core.errors import (
    Abort,
    AgentUnavailableError,
    BridgeSpawnError,
    InvalidWorkItemError,
    MissingKeyError,
    MissingSdkError,
    NoAgentError,
    UsageError,
)
from mnemosyne_core.events import AgentFailed, AgentRegistered, ChildLeaked
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult
from pytest_mnemosyne.simulation.loop import VirtualClock
from tests.core.agents.script import ScriptedClient, said
from tests.core.bridge.conformance.harness import Line
from tests.core.bridge.doubles import (
    IMPATIENT,
    ITEM,
    QUICK,
    BusyAgent,
    DoingAgent,
    EventList,
    Scene,
    StubbornAgent,
    crash,
    fail,
    succeed,
)


def other_tasks() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_spawn_registers_the_agent_at_once_and_shutdown_leaves_nothing() -> None:
    scene = Scene()
    assert scene.bridge.state == "new"

    await scene.bridge.spawn(by=None)
    assert scene.bridge.state == "ready"
    assert scene.bridge.incarnation == 1
    assert scene.log.kinds == ["agent_registered", "agent_heartbeat"]
    assert scene.log.events[0].agent == "executor"
    assert scene.log.events[0].fact == AgentRegistered(role=AgentRole.EXECUTOR, incarnation=1)
    assert scene.log.cause_of(scene.log.events[1]) == "agent_registered"

    await scene.bridge.shutdown()
    assert scene.bridge.state == "stopped"
    assert scene.log.kinds[-1] == "agent_stopped"
    assert (scene.agents[0].started, scene.agents[0].stopped) == (1, 1)
    assert other_tasks() == set()


async def test_spawn_and_shutdown_can_be_repeated() -> None:
    scene = Scene()
    await scene.bridge.shutdown()
    assert scene.log.kinds == []
    for _ in range(2):
        await scene.bridge.spawn()
        await scene.bridge.spawn()
        await scene.bridge.shutdown()
        await scene.bridge.shutdown()

    assert scene.log.kinds == ["agent_registered", "agent_heartbeat", "agent_stopped"] * 2
    assert scene.bridge.incarnation == 2


async def test_work_comes_back_as_a_result_and_every_event_names_its_cause() -> None:
    scene = Scene()
    async with scene.bridge as bridge:
        result = await bridge.send_work(ITEM, attempt=2, guidance=("Return it.",), by=1)

    assert result == WorkResult(item_id="work-1", attempt=2, success=True, data="done")
    active, idle = scene.log.only("agent_active"), scene.log.only("agent_idle")
    assert (active.by, active.attempt) == (1, 2)
    assert (idle.by, idle.attempt) == (active.seq, 2)


async def test_the_agent_works_in_the_lane_of_its_path_and_attempt() -> None:
    agent = DoingAgent()
    bridge = ClaudeAgentBridge(
        "executor",
        path="executor/sub-1",
        recorder=EventList(),
        transport=TaskTransport(lambda: agent),
    )
    with lane.entered(lane.Lane("test")):
        async with bridge:
            await asyncio.gather(*(bridge.send_work(ITEM, attempt=n) for n in (1, 2, 3)))
        assert lane.current.get() == lane.Lane("test")

    expected = [lane.Lane("executor/sub-1", attempt) for attempt in (1, 1, 2, 3)]
    assert agent.lanes == expected


async def test_a_real_agent_behind_the_bridge_does_the_work() -> None:
    client = ScriptedClient(said("Done."))
    log = EventList()
    transport = TaskTransport(lambda: create_agent("executor", client=client))
    async with ClaudeAgentBridge("executor", recorder=log, transport=transport) as bridge:
        result = await bridge.send_work(ITEM)

    assert result.success
    assert result.metrics["turns"] == 1


async def test_several_items_are_worked_on_at_once_but_never_more_than_allowed() -> None:
    agent = BusyAgent()
    settings = QUICK.model_copy(update={"max_concurrent": 2})
    scene = Scene(agent, settings=settings)
    items = [WorkItem(id=f"work-{n}", description="Wait") for n in range(5)]
    async with scene.bridge as bridge:
        work = asyncio.gather(*(bridge.send_work(item) for item in items))
        await agent.busy.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert agent.at_work == 2
        agent.release.set()
        results = await work

    assert [result.item_id for result in results] == [item.id for item in items]
    assert agent.most_at_work == 2
    assert scene.log.kinds.count("agent_active") == 5


async def test_idle_is_said_only_when_nothing_is_left_to_do() -> None:
    agent = BusyAgent()
    scene = Scene(agent)
    async with scene.bridge as bridge:
        work = asyncio.gather(bridge.send_work(ITEM), bridge.send_work(ITEM))
        await agent.busy.wait()
        agent.release.set()
        await work

    assert scene.log.kinds[2:-1] == ["agent_active", "agent_active", "agent_idle"]


@pytest.mark.parametrize(
    ("timeout_s", "default_s"),
    [pytest.param(0.02, 60.0, id="of-the-item"), pytest.param(None, 0.02, id="of-the-bridge")],
)
async def test_work_that_takes_too_long_is_cancelled_and_fails(
    timeout_s: float | None, default_s: float
) -> None:
    agent = BusyAgent()
    settings = QUICK.model_copy(update={"default_timeout_s": default_s})
    scene = Scene(agent, settings=settings)
    async with scene.bridge as bridge:
        item = ITEM.model_copy(update={"timeout_s": timeout_s})
        result = await bridge.send_work(item, attempt=3)

        assert agent.at_work == 0
        assert bridge.error_count == 1
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("work_timeout", True)
    assert "0.02 s" in result.error.message
    assert result.attempt == 3


async def test_a_caller_that_is_cancelled_ends_the_agents_work() -> None:
    agent = BusyAgent()
    scene = Scene(agent)
    async with scene.bridge as bridge:
        task = asyncio.create_task(bridge.send_work(ITEM))
        await agent.busy.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert agent.at_work == 0
        assert bridge.error_count == 0
        agent.release.set()
        assert (await bridge.send_work(ITEM)).success


async def test_work_that_ignores_cancellation_is_left_behind_and_reported() -> None:
    agent = StubbornAgent()
    scene = Scene(agent, settings=IMPATIENT)
    await scene.bridge.spawn()
    result = await scene.bridge.send_work(ITEM.model_copy(update={"timeout_s": 0.01}))
    async with asyncio.timeout(2):
        await scene.bridge.shutdown()

    assert result.error is not None
    assert result.error.code == "work_timeout"
    assert scene.log.only("child_leaked").fact == ChildLeaked(child="executor", shutdown_s=0.02)
    assert agent.stopped == 1
    (left,) = other_tasks()
    agent.release.set()
    await left


async def test_shutdown_fails_the_work_under_way_and_refuses_more() -> None:
    agent = BusyAgent()
    settings = QUICK.model_copy(update={"max_concurrent": 1})
    scene = Scene(agent, settings=settings)
    await scene.bridge.spawn()
    working = asyncio.create_task(scene.bridge.send_work(ITEM))
    waiting = asyncio.create_task(scene.bridge.send_work(ITEM))
    await agent.busy.wait()
    await scene.bridge.shutdown()

    result = await working
    assert result.error is not None
    assert result.error.code == "agent_gone"
    with pytest.raises(AgentUnavailableError, match="stopped"):
        await waiting
    assert scene.log.kinds[-1] == "agent_stopped"
    assert "agent_erred" not in scene.log.kinds
    assert other_tasks() == set()


async def test_a_session_that_does_not_close_is_ended_in_bounded_time() -> None:
    class Clinging(DoingAgent):
        async def stop_session(self) -> None:
            await asyncio.Event().wait()

    scene = Scene(Clinging(), settings=IMPATIENT)
    await scene.bridge.spawn()
    async with asyncio.timeout(2):
        await scene.bridge.shutdown()

    assert scene.log.kinds[-1] == "agent_stopped"
    assert other_tasks() == set()


async def test_a_session_that_breaks_while_it_closes_is_reported() -> None:
    class Breaking(DoingAgent):
        async def stop_session(self) -> None:
            raise RuntimeError("the socket is gone")

    scene = Scene(Breaking())
    async with scene.bridge:
        pass

    assert scene.log.kinds[-2:] == ["agent_erred", "agent_stopped"]
    assert "the socket is gone" in str(scene.log.only("agent_erred").fact)


async def test_heartbeats_come_while_the_agent_lives_and_end_with_it(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(on_loop_time=True)
    await scene.bridge.spawn()
    await virtual_clock.advance(3 * QUICK.heartbeat_s)
    assert scene.log.kinds == ["agent_registered", *["agent_heartbeat"] * 4]
    await scene.bridge.shutdown()
    so_far = len(scene.log.events)
    await virtual_clock.advance(3 * QUICK.heartbeat_s)

    assert len(scene.log.events) == so_far


@pytest.mark.parametrize(
    ("error", "missing", "hint"),
    [
        pytest.param(
            MissingKeyError(looked_in=("A", "B")),
            "no API key (looked in A, B)",
            "set ANTHROPIC_API_KEY",
            id="key",
        ),
        pytest.param(
            MissingSdkError(reason="No module named 'anthropic'"),
            "no anthropic package",
            "pip install anthropic",
            id="sdk",
        ),
        pytest.param(
            ModuleNotFoundError("No module named 'x'", name="x"),
            "no module x",
            "install the package",
            id="module",
        ),
        pytest.param(
            FileNotFoundError(2, "No such file or directory", "/nowhere"),
            "'/nowhere' cannot be used (No such file or directory)",
            "create it",
            id="folder",
        ),
        pytest.param(ValueError("odd"), "ValueError: odd", "log", id="anything-else"),
    ],
)
async def test_an_agent_that_cannot_start_says_what_is_missing_and_what_to_do(
    error: Exception, missing: str, hint: str
) -> None:
    class Failing(DoingAgent):
        async def start_session(self) -> None:
            raise error

    scene = Scene(Failing())
    with pytest.raises(BridgeSpawnError) as caught:
        await scene.bridge.spawn(by=None)

    assert missing in caught.value.missing
    assert hint in caught.value.hint
    assert caught.value.__cause__ is error
    assert scene.bridge.state is BridgeState.FAILED
    fact = scene.log.only("agent_failed").fact
    assert isinstance(fact, AgentFailed)
    assert fact.error.message == str(caught.value)
    with pytest.raises(AgentUnavailableError, match="cannot start"):
        await scene.bridge.send_work(ITEM)
    await scene.bridge.shutdown()
    assert scene.log.kinds == ["agent_failed"]
    assert other_tasks() == set()


async def test_a_failed_bridge_can_be_spawned_again() -> None:
    class Failing(DoingAgent):
        async def start_session(self) -> None:
            raise MissingKeyError(looked_in=("A",))

    scene = Scene(Failing(), DoingAgent())
    with pytest.raises(BridgeSpawnError):
        await scene.bridge.spawn()
    async with scene.bridge as bridge:
        assert (await bridge.send_work(ITEM)).success
        assert bridge.incarnation == 1


async def test_an_agent_whose_making_fails_is_a_failed_spawn() -> None:
    def make() -> DoingAgent:
        raise ImportError("no such agent")

    log = EventList()
    bridge = ClaudeAgentBridge("executor", recorder=log, transport=TaskTransport(make))
    with pytest.raises(BridgeSpawnError, match="no such agent"):
        await bridge.spawn()


class NoAgent:
    """Made by mistake."""

    role = AgentRole.EXECUTOR

    def __repr__(self) -> str:
        return "NoAgent()"


def no_agent(place: AgentPlace) -> Agent:
    return cast("Agent", NoAgent())


@pytest.mark.parametrize("kind", ["task", "subprocess"])
async def test_what_is_no_agent_is_refused_with_what_it_lacks(kind: str) -> None:
    transport = Line.to(kind, no_agent).transport
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    with pytest.raises(BridgeSpawnError, match=r"no_agent.* made NoAgent.*is no agent") as it:
        await bridge.spawn()

    cause = it.value.__cause__
    assert isinstance(cause, NoAgentError)
    assert cause.missing == ("start_session", "stop_session", "execute_work")
    assert not it.value.may_pass


def broken(place: AgentPlace) -> Agent:
    raise LookupError("nothing found")


@pytest.mark.parametrize("kind", ["task", "subprocess"])
async def test_where_a_start_failed_as_nobody_foresaw_is_in_the_agents_log(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Line.to(kind, broken).transport
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    with pytest.raises(BridgeSpawnError, match=r"\(LookupError: nothing found\); the agent's log"):
        await bridge.spawn()

    assert {record.name for record in caplog.records} == {"mnemosyne.agent.executor"}
    assert "in broken" in caplog.text


class Starting(DoingAgent):
    """Never gets ready."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def start_session(self) -> None:
        self.begun.set()
        await asyncio.Event().wait()


async def test_a_start_that_takes_too_long_is_given_up() -> None:
    settings = QUICK.model_copy(update={"start_timeout_s": 0.02})
    scene = Scene(Starting(), settings=settings)

    with pytest.raises(BridgeSpawnError, match=r"not open within 0\.02 s"):
        await scene.bridge.spawn()
    assert scene.agents[0].stopped == 1
    assert other_tasks() == set()


async def test_a_cancelled_spawn_leaves_no_agent_behind() -> None:
    agent = Starting()
    scene = Scene(agent)
    task = asyncio.create_task(scene.bridge.spawn())
    await agent.begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.bridge.state is BridgeState.STOPPED
    assert agent.stopped == 1
    assert other_tasks() == set()


class Slow(Starting):
    """Gets ready when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def start_session(self) -> None:
        self.begun.set()
        await self.go.wait()


async def test_a_shutdown_during_the_start_ends_the_agent_that_comes_of_it() -> None:
    agent = Slow()
    scene = Scene(agent)
    spawning = asyncio.create_task(scene.bridge.spawn())
    await agent.begun.wait()
    stopping = asyncio.create_task(scene.bridge.shutdown())
    await asyncio.sleep(0)
    agent.go.set()
    await stopping
    await spawning

    assert scene.bridge.state is BridgeState.STOPPED
    assert scene.log.kinds == ["agent_registered", "agent_heartbeat", "agent_stopped"]
    assert agent.stopped == 1
    assert other_tasks() == set()


async def test_work_sent_during_the_start_waits_for_the_agent() -> None:
    agent = Slow()
    scene = Scene(agent)
    spawning = asyncio.create_task(scene.bridge.spawn())
    await agent.begun.wait()
    assert scene.bridge.state is BridgeState.STARTING
    work = asyncio.create_task(scene.bridge.send_work(ITEM))
    await asyncio.sleep(0)
    agent.go.set()

    assert (await work).success
    await spawning
    await scene.bridge.shutdown()


async def test_an_abort_passes_through_work_and_start() -> None:
    def abort(item: WorkItem) -> WorkResult:
        raise Abort("no recording")

    class Aborting(DoingAgent):
        async def start_session(self) -> None:
            raise Abort("no recording")

    scene = Scene(DoingAgent([abort]))
    async with scene.bridge as bridge:
        with pytest.raises(Abort, match="no recording"):
            await bridge.send_work(ITEM)
        assert bridge.error_count == 0

    with pytest.raises(Abort, match="no recording"):
        await Scene(Aborting()).bridge.spawn()
    assert other_tasks() == set()


async def test_an_abort_while_work_is_cancelled_is_not_lost() -> None:
    class Aborting(BusyAgent):
        async def execute_work(
            self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
        ) -> WorkResult:
            try:
                return await super().execute_work(item, attempt=attempt)
            except asyncio.CancelledError:
                raise Abort("no recording") from None

    async with Scene(Aborting()).bridge as bridge:
        with pytest.raises(Abort, match="no recording"):
            await bridge.send_work(ITEM.model_copy(update={"timeout_s": 0.01}))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        pytest.param("new", "never spawned", id="new"),
        pytest.param("stopped", "is stopped", id="stopped"),
    ],
)
async def test_without_an_agent_work_is_refused_with_the_reason(state: str, reason: str) -> None:
    scene = Scene()
    if state == "stopped":
        await scene.bridge.spawn()
        await scene.bridge.shutdown()

    with pytest.raises(AgentUnavailableError, match=reason):
        await scene.bridge.send_work(ITEM)


async def test_what_is_no_work_is_refused_before_anything_happens() -> None:
    async with Scene().bridge as bridge:
        with pytest.raises(InvalidWorkItemError, match="WorkItem or a mapping"):
            await bridge.send_work("do something")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="attempts count from 1, got 0"):
            await bridge.send_work(ITEM, attempt=0)
        assert bridge.error_count == 0


class OddTransport:
    """Answers with whatever it is told to, whatever it is asked."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self.seen: list[bytes] = []
        self.is_up = True

    async def start(self, path: str, settings: BridgeSettings, on_beat: Callable[[], None]) -> None:
        on_beat()

    async def execute(self, envelope: bytes) -> bytes:
        self.seen.append(envelope)
        return self._answer(envelope)

    async def stop(self, timeout_s: float) -> bool:
        return True


def break_pipe(envelope: bytes) -> bytes:
    raise BrokenPipeError("gone")


def answer_with(**changes: object) -> Callable[[bytes], bytes]:
    def answer(envelope: bytes) -> bytes:
        work = json.loads(envelope)
        result = succeed(ITEM).model_dump(mode="json")
        named = {name: work[name] for name in ("seq", "agent", "attempt", "by")}
        return json.dumps({**named, "result": result, **changes}).encode()

    return answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(lambda _: b"\xff\x00 garbage", "Invalid JSON", id="no-json"),
        pytest.param(lambda _: b"{}", "seq: Field required", id="no-envelope"),
        pytest.param(answer_with(extra=1), "extra: Extra inputs", id="more-than-an-envelope"),
        pytest.param(answer_with(seq=7), "seq: expected 1, got 7", id="another-answer"),
        pytest.param(answer_with(agent="reviewer"), "got 'reviewer'", id="another-agent"),
        pytest.param(
            answer_with(result={"item_id": "work-1", "success": False}),
            "a failure says why",
            id="failure-without-reason",
        ),
        pytest.param(
            answer_with(result={"item_id": "other", "success": True}),
            "result.item_id: expected 'work-1', got 'other'",
            id="another-item",
        ),
        pytest.param(break_pipe, "BrokenPipeError: gone", id="broken-transport"),
    ],
)
async def test_an_answer_that_is_none_is_a_counted_failure_never_a_success(
    answer: Callable[[bytes], bytes], problem: str
) -> None:
    log = EventList()
    bridge = ClaudeAgentBridge("executor", recorder=log, transport=OddTransport(answer))
    async with bridge:
        result = await bridge.send_work(ITEM)

        assert result.error is not None
        assert problem in result.error.message
        assert bridge.error_count == 1


async def test_what_crosses_the_bridge_is_json_that_names_its_lane_and_cause() -> None:
    transport = OddTransport(answer_with(attempt=2, result={
        "item_id": "work-1", "attempt": 2, "success": True, "metrics": {"turns": 1.0},
    }))  # fmt: skip
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    async with bridge:
        result = await bridge.send_work(ITEM, attempt=2, guidance=("Return it.",), by=1)

    assert result.success
    (sent,) = transport.seen
    work = WorkEnvelope.from_bytes(sent)
    assert (work.seq, work.agent, work.attempt, work.by) == (1, "executor", 2, 3)
    assert (work.item, work.guidance) == (ITEM, ("Return it.",))
    assert work.to_bytes() == sent


async def test_a_result_that_cannot_cross_the_bridge_is_a_failure() -> None:
    def odd(item: WorkItem) -> WorkResult:
        return WorkResult(item_id=item.id, success=True, data="\ud800")

    async with Scene(DoingAgent([odd])).bridge as bridge:
        result = await bridge.send_work(ITEM)

    assert result.error is not None
    assert result.error.code == "envelope"


async def test_a_crash_of_the_agent_is_a_result_with_its_words() -> None:
    async with Scene(DoingAgent([crash])).bridge as bridge:
        result = await bridge.send_work(ITEM)

    assert result.error is not None
    assert (result.error.code, result.error.message) == ("crash", "RuntimeError: boom")
    assert result.error.retryable


async def test_a_failed_result_of_the_agent_comes_back_as_it_is() -> None:
    async with Scene(DoingAgent([fail("claude_status", "529")])).bridge as bridge:
        result = await bridge.send_work(ITEM)

    assert result == fail("claude_status", "529")(ITEM)
