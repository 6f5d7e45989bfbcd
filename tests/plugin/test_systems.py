"""Trees and bridges as fixtures: wired to the test's cassette, ended and checked with it."""

from __future__ import annotations

import pytest

from pytest_mnemosyne.cassette import load
from tests.plugin.project import Project

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

DELEGATION = """
    async def test_it(supervision_tree, work_item, event_log, scripted_claude, claude_cassette):
        scripted_claude.reply("It is done.")
        item = work_item("Say that it is done.", review=False)
        handle = await supervision_tree.submit(item)
        result = await handle.result(timeout=5)

        assert result.success, result.error
        assert supervision_tree.is_healthy()
        await event_log.wait_for("work_completed")
        event_log.none("work_failed")
        event_log.assert_order("tree_started", "work_submitted", "work_claimed", "work_completed")
        assert [turn.agent for turn in claude_cassette.turns] == ["executor"]
"""


def test_a_tree_is_recorded_once_and_replays(project: Project) -> None:
    project.test_file(DELEGATION)
    project.run(*RECORD).assert_outcomes(passed=1)
    (interaction,) = load(project.path / "cassettes/test_it/test_it.yaml").interactions
    assert interaction.lane is not None
    assert interaction.lane.agent == "executor"

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played; *"])


def test_a_miss_behind_a_tree_fails_the_waiting_test_at_once(project: Project) -> None:
    project.test_file(DELEGATION)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Claude was asked something*", "*agent:*executor*", "*POST /v1/messages*"]
    )
    result.stdout.no_fnmatch_line("*left behind*")


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_tree_runs_on_the_tests_own_loop(project: Project, scope: str) -> None:
    project.test_file(
        f"""
        pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

        async def test_it(supervision_tree, event_log):
            await event_log.wait_for("agent_registered")
            assert supervision_tree.is_healthy()
        """
    )

    project.run("-o", "asyncio_mode=strict").assert_outcomes(passed=1)


def test_trees_are_configured_by_name_and_end_in_order(project: Project) -> None:
    project.test_file(
        """
        from mnemosyne_core.errors import QueueFullError, UsageError
        from mnemosyne_core.tree import SupervisionConfig

        async def test_it(make_supervision_tree, event_log, work_item):
            small = await make_supervision_tree(queue_capacity=1, missing_agent="wait")
            other = await make_supervision_tree(SupervisionConfig())
            assert small.is_healthy() and other.is_healthy()
            with pytest.raises(UsageError, match="queue_capacity"):
                await make_supervision_tree(SupervisionConfig(), queue_capacity=1)
            await other.stop()
            assert not other.is_healthy()
            assert len(event_log.of("tree_stopped")) == 1
        """
    )

    project.run().assert_outcomes(passed=1)


LEFT_BEHIND = {
    "task": ("asyncio.create_task(asyncio.Event().wait(), name='mine')", "a task: mine"),
    "thread": (
        "threading.Thread(target=threading.Event().wait, daemon=True, name='mine').start()",
        "a thread: mine",
    ),
    "socket": ("kept.append(socket.create_server(('127.0.0.1', 0)))", "a socket: descriptor"),
}


@pytest.mark.parametrize(("leak", "told"), LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_is_left_behind_fails_the_test(project: Project, leak: str, told: str) -> None:
    project.test_file(
        f"""
        import socket
        kept = []

        @pytest.fixture(scope="session", autouse=True)
        def _closed_at_last():
            yield
            for each in kept:
                each.close()

        async def test_it(supervision_tree):
            kept_task = {leak}
        """
    )

    result = project.run("--tb=short", "-p", "no:unraisableexception")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left behind at the end of the test:", f"*{told}*"])


def test_a_bridge_is_spawned_and_shut_down(project: Project) -> None:
    project.test_file(
        """
        async def test_it(agent_bridge, work_item, event_log, scripted_claude):
            scripted_claude.reply("It is done.")
            bridge = await agent_bridge("executor")
            assert bridge.state == "ready"
            result = await bridge.send_work(work_item("Say that it is done."))
            assert result.success, result.error
            event_log.assert_order("agent_registered", "agent_active", "agent_idle")
        """
    )
    project.run(*RECORD).assert_outcomes(passed=1)

    project.run().assert_outcomes(passed=1)


def test_a_bridge_can_be_had_before_its_agent_is_there(project: Project) -> None:
    project.test_file(
        """
        from mnemosyne_core.errors import AgentUnavailableError, UnknownRoleError

        async def test_it(agent_bridge, work_item):
            bridge = await agent_bridge("reviewer", spawn=False)
            assert bridge.state == "new"
            with pytest.raises(AgentUnavailableError):
                await bridge.send_work(work_item())
            with pytest.raises(UnknownRoleError):
                await agent_bridge("gardener")
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_thread_that_has_lost_its_agent_is_refused_in_every_mode(project: Project) -> None:
    project.test_file(
        """
        import mnemosyne_core.lane

        @pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "loses"])
        async def test_it(claude_sync, claude_cassette, scripted_claude, keeps):
            scripted_claude.reply("yes")
            loop = asyncio.get_running_loop()
            with mnemosyne_core.lane.entered(mnemosyne_core.lane.Lane("executor")):
                if keeps:
                    await asyncio.to_thread(ask_sync, claude_sync, "one")
                    assert [turn.agent for turn in claude_cassette.turns] == ["executor"]
                else:
                    await loop.run_in_executor(None, ask_sync, claude_sync, "one")
        """
    )

    for args in (RECORD, ()):
        result = project.run(*args)

        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(
            [
                "*why:     agents are there, and the thread that asks does not say for which*",
                "*instead: asyncio.to_thread keeps the agent, loop.run_in_executor and threads*",
            ]
        )


def test_in_a_live_run_no_agent_is_asked_for_as_no_answer_is_anybodys(project: Project) -> None:
    project.test_file(
        """
        import mnemosyne_core.lane

        async def test_it(claude_sync, scripted_claude):
            scripted_claude.reply("yes")
            loop = asyncio.get_running_loop()
            with mnemosyne_core.lane.entered(mnemosyne_core.lane.Lane("executor")):
                assert await loop.run_in_executor(None, ask_sync, claude_sync, "one") == "yes"
        """
    )

    result = project.run("--mnemosyne-mode=live", "--mnemosyne-upstream=scripted")

    result.assert_outcomes(passed=1)
