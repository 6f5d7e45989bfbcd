"""The fixture `fault_plan`, as a test's author meets it."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

QUIET = """
    @pytest.fixture(autouse=True)
    def _no_waiting(monkeypatch):
        monkeypatch.setattr("time.sleep", lambda s: None)
        monkeypatch.setattr("anthropic._base_client.random", lambda: 0.0)
"""
"""The synchronous SDK's pauses cost nothing."""


def test_an_injected_error_is_retried_and_the_cassette_answers(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    def test_one(claude_sync, fault_plan, claude_cassette):
        fault_plan.status(429, retry_after=3)
        assert ask_sync(claude_sync, "hello") == "hi"
        assert [turn.source for turn in claude_cassette.turns] == ["injected", "played"]
        assert [str(each.planned) for each in fault_plan.strikes] == ["status(429, retry_after=3)"]
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played, 1 injected; *"])


def test_a_plan_needs_no_cassette_for_what_it_answers_itself(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    import anthropic

    def test_one(fault_plan):
        fault_plan.status(401)
        with anthropic.Anthropic(api_key="mine") as client:
            with pytest.raises(anthropic.AuthenticationError):
                ask_sync(client, "hello")
    """
    )

    project.run().assert_outcomes(passed=1)


def test_the_asynchronous_client_meets_the_plan_too(project: Project) -> None:
    project.test_file(
        """
    import anthropic

    async def test_one(claude, fault_plan):
        fault_plan.status(529, should_retry=False)
        with pytest.raises(anthropic.OverloadedError):
            await ask(claude, "hello")
        assert await ask(claude, "hello") == "hi"
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    project.run().assert_outcomes(passed=1)


def test_on_virtual_time_the_pauses_of_the_sdk_cost_nothing(project: Project) -> None:
    project.test_file(
        """
    @pytest.mark.virtual_time
    async def test_one(claude, fault_plan):
        fault_plan.status(429, retry_after=3600, count=2)
        assert await ask(claude, "hello") == "hi"
        assert asyncio.get_running_loop().time() == 7200
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    project.run().assert_outcomes(passed=1)


def test_a_fault_that_is_never_met_fails_the_test(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    def test_one(claude_sync, fault_plan):
        fault_plan.status(529, agent="exectuor").drop(call=9, optional=True)
        fault_plan.reset(chance=0.000001).stall(after_s=99)
        assert ask_sync(claude_sync, "hello") == "hi"
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "planned, but never met:",
            "  status(529, agent='exectuor')",
            "calls to Claude: no agent 1",
            "correct the address, or say optional=True",
        ]
    )
    result.stdout.no_fnmatch_line("  drop*")


def test_a_failing_test_shows_its_plan_and_what_it_did(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    def test_one(claude_sync, fault_plan):
        fault_plan.status(429, retry_after=3).refusal(call=9)
        ask_sync(claude_sync, "hello")
        assert False, "for another reason"
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- fault plan -*",
            "fault_plan.add('status(429, retry_after=3); refusal(call=9)')",
            "  call 1, 0 s: status(429, retry_after=3)",
        ]
    )
    result.stdout.no_fnmatch_line("*never met*")


def test_a_plan_that_a_report_shows_can_be_used_again(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    def test_one(claude_sync, fault_plan):
        fault_plan.add('status(429, retry_after=3); drop(call=2)')
        assert ask_sync(claude_sync, "hello") == "hi"
        assert len(fault_plan.strikes) == 2
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))

    project.run().assert_outcomes(passed=1)


def test_a_plan_ends_with_its_test(project: Project) -> None:
    project.test_file(
        QUIET
        + """
    def test_one(claude_sync, fault_plan):
        fault_plan.refusal(count=None)
        claude_sync.messages.create(**asked("hello"))

    def test_two(claude_sync):
        assert ask_sync(claude_sync, "hello") == "hi"
    """
    )
    project.cassette("test_it/test_one", ("hello", "hi"))
    project.cassette("test_it/test_two", ("hello", "hi"))

    project.run().assert_outcomes(passed=2)


def test_chance_is_the_same_in_every_run_of_a_test(project: Project) -> None:
    project.test_file(
        """
    import anthropic, pathlib

    async def test_one(claude, fault_plan):
        fault_plan.status(401, chance=0.5, count=None).status(400, count=None)
        found = []
        for _ in range(30):
            with pytest.raises(anthropic.APIStatusError) as caught:
                await ask(claude, "hello")
            found.append(caught.value.status_code)
        assert set(found) == {400, 401}
        before = pathlib.Path("found")
        assert not before.exists() or before.read_text() == str(found)
        before.write_text(str(found))
    """
    )

    project.run().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_chance_strikes_on_virtual_time_too(project: Project) -> None:
    project.test_file(
        """
    import anthropic

    @pytest.mark.virtual_time
    async def test_one(claude, fault_plan):
        fault_plan.status(401, chance=0.5, count=None).status(400, count=None)
        found = set()
        for _ in range(30):
            with pytest.raises(anthropic.APIStatusError) as caught:
                await ask(claude, "hello")
            found.add(caught.value.status_code)
        assert found == {400, 401}
    """
    )

    project.run().assert_outcomes(passed=1)


def test_a_search_of_schedules_searches_chance_and_shows_the_plan(project: Project) -> None:
    project.test_file(
        """
    import anthropic

    @pytest.mark.schedules(n=50)
    async def test_one(claude, fault_plan):
        fault_plan.status(401, chance=0.2).status(400, count=None)
        with pytest.raises(anthropic.BadRequestError):
            await ask(claude, "hello")
    """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["fault_plan.add('status(401, chance=0.2); status(400, count=None)')", "  call 1, 0 s: *"]
    )


def test_what_a_plan_bends_is_recorded_whole(project: Project) -> None:
    project.test_file(
        """
    async def test_one(claude, fault_plan, scripted_claude):
        fault_plan.max_tokens()
        scripted_claude.reply("four words of answer")
        assert await ask(claude, "hello") == "four words"
    """
    )

    recording = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
    text = (project.path / "cassettes/test_it/test_one.yaml").read_text()

    recording.assert_outcomes(passed=1)
    recording.stdout.fnmatch_lines(["mnemosyne (record): 1 recorded, 1 injected; *"])
    assert "four words of answer" in text
    project.run().assert_outcomes(passed=1)


def test_the_agents_of_a_tree_meet_the_plan_by_their_paths(project: Project) -> None:
    project.test_file(
        """
    @pytest.mark.virtual_time
    async def test_one(fault_plan, make_supervision_tree, scripted_claude, claude_cassette):
        from pytest_mnemosyne.simulation import assert_recovers

        fault_plan.status(529, agent="executor", attempt=1, count=3)
        scripted_claude.reply("done")
        tree = await make_supervision_tree()
        handle = await tree.submit({"description": "do it", "review": False})
        await assert_recovers(tree, within_s=600)

        result = await handle.result()
        assert (result.success, result.attempt) == (True, 2)
        assert [(turn.agent, turn.attempt, turn.status) for turn in claude_cassette.turns] == [
            ("executor", 1, 529), ("executor", 1, 529), ("executor", 1, 529), ("executor", 2, 200),
        ]
    """
    )

    result = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
    result.assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_a_plan_that_says_what_cannot_be_is_told_where_it_is_said(project: Project) -> None:
    project.test_file(
        """
    def test_one(fault_plan):
        fault_plan.status(200)
    """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FaultPlanError: status lies between 400 and 599, got 200"])


def test_a_users_own_fixture_of_that_name_is_left_alone(project: Project) -> None:
    project.test_file(
        """
    @pytest.fixture
    def fault_plan():
        return "mine"

    def test_one(fault_plan):
        assert fault_plan == "mine"
    """
    )

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("mnemosyne (*")


@pytest.mark.slow
def test_xdist_workers_send_the_plan_along(project: Project) -> None:
    pytest.importorskip("xdist")
    project.test_file(
        """
    async def test_one(claude, fault_plan):
        fault_plan.status(401)
        await ask(claude, "hello")
    """
    )

    result = project.run_apart("-n1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["fault_plan.add('status(401)')", "  call 1, 0 s: status(401)"])
