"""Agents' processes that are struck at any moment: every item ends, nothing is left, all recovers.

The processes and the signals are real, the time is virtual. What a process is doing when it
is struck follows from the message that is counted: it starts up at `hello`, opens its session
at the first `ask`, is at work at `work`, waits for Claude at a later `ask`, is in the middle
of a stream at `event`, answers at `result`, and ends at `stop`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.bridge import (
    AgentSource,
    BridgeSettings,
    SubprocessTransport,
    TaskTransport,
    Transport,
    TransportFactory,
    _remote,
)
from mnemosyne_core.claude import Block, Prompt, Reply
from mnemosyne_core.events import Event, WorkClaimed
from mnemosyne_core.hooks import hookimpl, plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.observe import TreeState
from mnemosyne_core.roles import MissingAgent
from mnemosyne_core.supervision import ChildState
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkResult
from pytest_mnemosyne.simulation.faults import FaultPlan, assert_recovers
from pytest_mnemosyne.simulation.invariants import check_history, check_invariants
from pytest_mnemosyne.simulation.loop import VirtualClock, VirtualLoop, leftovers
from tests.core.agents.script import events_of, reply
from tests.core.tree.blows import Blows, blows
from tests.core.tree.errands import Entry, Errand, agent_with_errands, entries_of

TEXTS: tuple[Block, ...] = tuple({"type": "text", "text": f"Part {n}."} for n in range(4))
ANSWER = reply(*TEXTS)
"""Long enough for a stream to need room for more."""

CONFIG = SupervisionConfig(
    max_concurrent_agents=2,
    # Short, for a process that stands still uses up all the real time that it is given.
    bridge=BridgeSettings(transport="mixed", cancel_s=0.5, shutdown_s=0.05),
)

PATIENCE_S = 36_000.0


# --- a story ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is worked on, by whom, and what strikes them."""

    role: AgentRole
    """Who lives in processes."""

    plan: FaultPlan
    items: tuple[Mapping[str, object], ...]
    missing_agent: MissingAgent
    stop_after: int | None
    """Events after which the tree is stopped; `None`: every item is waited for."""


def stories() -> SearchStrategy[Story]:
    return st.one_of(
        # One item each for two processes, or all items for one.
        _stories(AgentRole.EXECUTOR, "executor", "executor/sub-1"),
        _stories(AgentRole.REVIEWER, "reviewer"),
    )


def _stories(role: AgentRole, *agents: str) -> SearchStrategy[Story]:
    return st.builds(
        Story,
        role=st.just(role),
        plan=blows(*agents),
        items=st.lists(_items(role), min_size=1, max_size=4).map(tuple),
        missing_agent=st.sampled_from(MissingAgent),
        stop_after=st.none() | st.integers(8, 60),
    )


def _items(role: AgentRole) -> SearchStrategy[Mapping[str, object]]:
    errands = st.lists(st.sampled_from(Errand), min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {
            # Some are more than a pipe holds, so that a message may be on its way for a while.
            "description": st.sampled_from(("work", "work " * 50_000)),
            "role": st.just(role),
            "review": st.just(False),
            "max_attempts": st.integers(1, 4),
            "timeout_s": st.sampled_from((300.0, 45.0)),
            "context": st.fixed_dictionaries({"errands": errands}),
        }
    )


# --- who takes part in it --------------------------------------------------------------


class SlowClaude:
    """Takes its time, so that there is a middle of everything."""

    def __init__(self) -> None:
        self.at_once = 0

    async def open(self) -> None:
        await asyncio.sleep(1.0)

    async def send(self, prompt: Prompt) -> Reply:
        with self._asked():
            await asyncio.sleep(20.0)
        return ANSWER

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        with self._asked():
            for event in events_of(ANSWER):
                await asyncio.sleep(2.0)
                yield event

    async def aclose(self) -> None:
        pass

    @contextmanager
    def _asked(self) -> Iterator[None]:
        self.at_once += 1
        try:
            yield
        finally:
            self.at_once -= 1


class OneRoleInProcesses:
    """A plug-in whose transport spares us the processes that nothing happens to."""

    def __init__(self, role: AgentRole) -> None:
        self.role = role

    @hookimpl
    def mnemosyne_transports(self) -> Mapping[str, TransportFactory]:
        return {"mixed": self.transport}

    def transport(self, source: AgentSource) -> Transport:
        assert source.place is not None, "a tree's agents have one"
        if source.place.role is self.role:
            return SubprocessTransport(source)
        return TaskTransport(source.make)


# --- the test --------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=16, report_multiple_bugs=False)
@given(story=stories())
def test_whenever_processes_are_struck_every_item_ends_and_nothing_is_left(story: Story) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryDirectory(prefix="kills-") as workspace,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        # A process that was stopped does not answer, however long it is waited for.
        patch.setattr(_remote, "FIRM_S", 0.01)
        runner.run(tell(story, Path(workspace)))


async def tell(story: Story, workspace: Path) -> None:
    """Let the story happen, and look at what is left of it."""
    clock = VirtualClock.of_running_loop()
    before, claude, failpoints = descriptors(), SlowClaude(), Blows(story.plan, clock)
    tree = SupervisionTree(
        CONFIG.model_copy(update={"workspace": workspace, "missing_agent": story.missing_agent}),
        agents=dict.fromkeys(AgentRole, agent_with_errands),
        client=claude,
        clock=clock,
        ids=CountedIds(),
        plugins=plugin_manager([OneRoleInProcesses(story.role)], load_entry_points=False),
        failpoints=failpoints,
    )
    told: list[Event] = []
    tree.broadcaster.attach(told.append)
    with nobody_complains():
        async with tree:
            await live(tree, story, told)
        await clock.settle()
    for strike in failpoints.strikes:
        note(f"{strike.planned.fault.word} {strike.planned.address.message or 'start'}")
    check_history(told, config=tree.config)
    assert_said_what_was_done(entries_of(workspace), told)
    assert claude.at_once == 0
    assert leftovers(clock.loop) == ()
    assert [pid for pid in failpoints.pids if exists(pid)] == []
    assert descriptors() == before


async def live(tree: SupervisionTree, story: Story, told: list[Event]) -> None:
    """Have everything done, as far as there is time for it."""
    handles = await tree.submit_all(
        {**item, "id": f"i{number}"} for number, item in enumerate(story.items)
    )
    if story.stop_after is not None:
        stop_after = story.stop_after
        await tree.state.wait_until(lambda state: state.seq >= stop_after or is_over(state))
        return
    results = [await handle.result(PATIENCE_S) for handle in handles]
    await assert_recovers(tree, within_s=PATIENCE_S)
    check_invariants(tree)
    for result, item in zip(results, story.items, strict=True):
        assert_ended_by_rule(result, item, story.missing_agent, told)
    assert_children_are_who_they_were(tree)
    await assert_works_again(tree, story.items[0], blows_left=len(story.plan))


def is_over(state: TreeState) -> bool:
    return all(item.state.is_final for item in state.items.values())


# --- what has to hold ------------------------------------------------------------------


def assert_ended_by_rule(
    result: WorkResult,
    item: Mapping[str, object],
    missing_agent: MissingAgent,
    told: list[Event],
) -> None:
    """The result is the last attempt's, and a failure says why there was no other one."""
    attempts = sum(
        isinstance(event.fact, WorkClaimed) and event.fact.item_id == result.item_id
        for event in told
    )
    assert result.attempt == attempts
    if result.success:
        return
    assert result.error is not None
    if result.error.code == "agent_unavailable":
        assert missing_agent is MissingAgent.FAIL
    elif attempts > 1:
        assert (result.error.code, attempts) == ("attempts_exhausted", item["max_attempts"])
    else:
        assert result.error.code in ("agent_gone", "work_timeout")
        assert item["max_attempts"] == 1


def assert_children_are_who_they_were(tree: SupervisionTree) -> None:
    """What happens to a process is its bridge's matter: no actor dies of it."""
    children = tree.children()
    assert [child.id for child in children] == ["reviewer", "optimizer", "executor", "orchestrator"]
    assert {(child.state, child.restarts) for child in children} == {(ChildState.RUNNING, 0)}


async def assert_works_again(
    tree: SupervisionTree, item: Mapping[str, object], *, blows_left: int
) -> None:
    """What is submitted succeeds as soon as nothing strikes any more: a failure costs a blow."""
    for number in range(blows_left + 1):
        late = {**item, "id": f"late-{number}", "timeout_s": 300.0}
        result = await (await tree.submit(late)).result(PATIENCE_S)
        if result.success:
            return
        await assert_recovers(tree, within_s=PATIENCE_S)
    raise AssertionError(f"there is no blow left, and still: {result}")


def assert_said_what_was_done(entries: list[Entry], told: list[Event]) -> None:
    """No attempt was begun or done twice, and none without its claim."""
    assert all(times == 1 for times in Counter(entries).values())
    claimed = {
        (event.fact.item_id, event.attempt) for event in told if isinstance(event.fact, WorkClaimed)
    }
    assert {(entry.item, entry.attempt) for entry in entries} <= claimed


@contextmanager
def nobody_complains() -> Iterator[None]:
    """Make sure that asyncio warns of nothing: of no lost error, and no lost exit status."""
    complaints: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    listener, logger = Listener(logging.WARNING), logging.getLogger("asyncio")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
    assert complaints == []


def exists(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def descriptors() -> set[Path]:
    return set(Path("/dev/fd").iterdir())
