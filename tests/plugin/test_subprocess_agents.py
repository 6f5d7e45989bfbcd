"""Agents in processes of their own, from the fixtures: one cassette, readable logs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_mnemosyne.plugin import _leaks
from pytest_mnemosyne.plugin._leaks import Footprint
from tests.plugin.project import Project

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

BRIDGE = """
    from mnemosyne_core.bridge import BridgeSettings

    SETTINGS = BridgeSettings(transport="subprocess")

    async def test_it(agent_bridge, work_item, scripted_claude, claude_cassette):
        scripted_claude.reply("It is done.")
        bridge = await agent_bridge("executor", settings=SETTINGS)
        result = await bridge.send_work(work_item("Say that it is done."), attempt=2)

        assert result.success, result.error
        assert result.data["summary"] == "It is done."
        assert [(turn.agent, turn.attempt) for turn in claude_cassette.turns] == [("executor", 2)]
"""

SWALLOWING = """
    from mnemosyne_core.agents import create_agent
    from mnemosyne_core.bridge import BridgeSettings

    class Swallowing:
        role = "executor"
        def __init__(self, agent):
            self.agent = agent
        async def start_session(self):
            await self.agent.start_session()
        async def stop_session(self):
            await self.agent.stop_session()
        async def execute_work(self, item, *, attempt=1, guidance=()):
            print("about to ask")
            try:
                return await self.agent.execute_work(item, attempt=attempt)
            except BaseException:
                await self.agent.stop_session()

    def swallowing(place):
        return Swallowing(create_agent(place.role, client=place.client))
"""

MISS = """
    from agents import swallowing
    from mnemosyne_core.bridge import BridgeSettings

    async def test_it(agent_bridge, work_item):
        settings = BridgeSettings(transport="subprocess")
        bridge = await agent_bridge("executor", maker=swallowing, settings=settings)
        await bridge.send_work(work_item("Say that it is done."))
"""

TREE = """
    from mnemosyne_core.bridge import BridgeSettings

    async def test_it(make_supervision_tree, work_item, scripted_claude, claude_cassette):
        scripted_claude.reply("It is done.")
        tree = await make_supervision_tree(bridge=BridgeSettings(transport="subprocess"))
        handle = await tree.submit(work_item("Say that it is done.", review=False))
        result = await handle.result(timeout=30)

        assert result.success, result.error
        assert tree.is_healthy()
        assert [turn.agent for turn in claude_cassette.turns] == ["executor"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("test", [BRIDGE, TREE], ids=["bridge", "tree"])
def test_an_agent_in_a_process_is_recorded_and_replays_in_its_lane(
    project: Project, test: str
) -> None:
    project.test_file(test)
    project.run(*RECORD).assert_outcomes(passed=1)

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played; *"])


@pytest.mark.slow
def test_a_miss_of_an_agent_in_a_process_fails_the_test_whatever_the_agent_swallows(
    project: Project, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(agents=SWALLOWING)
    project.test_file(MISS)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Claude was asked something*", "*agent:*executor*", "*POST /v1/messages*"]
    )
    # What the agent printed is in the section of the log.
    result.stdout.fnmatch_lines(["*Captured log*", "*mnemosyne.agent.executor*] about to ask"])
    result.stdout.no_fnmatch_line("*left behind*")


@contextmanager
def waiting_thread(name: str, ends: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=ends.wait, name=name)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


async def test_the_thread_of_a_process_that_has_ended_is_no_leak() -> None:
    before, ends = Footprint.now(), threading.Event()
    with waiting_thread("asyncio-waitpid-0", ends):
        after = Footprint.now()
        ends.set()

        assert after.leaked_since(before) == []


async def test_the_thread_of_a_process_that_goes_on_is_a_leak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_leaks, "_LAST_STEP_S", 0.01)
    before = Footprint.now()
    with waiting_thread("asyncio-waitpid-0", threading.Event()):
        assert Footprint.now().leaked_since(before) == ["a thread: asyncio-waitpid-0"]
