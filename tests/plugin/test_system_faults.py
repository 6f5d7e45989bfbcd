"""The fixture `fault_plan`, as the systems of a test meet it: trees, bridges, supervisors."""

from __future__ import annotations

from tests.plugin.project import Project

AGENTS = """
    from mnemosyne_core.supervision import Actor, ChildSpec, Supervisor
    from mnemosyne_core.work import AgentRole, WorkResult
    from pytest_mnemosyne.simulation import assert_recovers

    class Quick:
        def __init__(self, place):
            self.role = place.role

        async def start_session(self):
            pass

        async def stop_session(self):
            pass

        async def execute_work(self, item, *, attempt=1, guidance=()):
            await asyncio.sleep(1)
            return WorkResult(item_id=item.id, attempt=attempt, success=True, data="done")

    AGENTS = {role: Quick for role in AgentRole}
    ITEM = {"description": "do it", "review": False}

    class Echo(Actor):
        async def receive(self, message, context):
            return message

    def supervisor(log, **settings):
        from pytest_mnemosyne.plugin._systems import _LogRecorder
        children = [ChildSpec(id="echo", start=Echo)]
        return Supervisor(children, recorder=_LogRecorder(log, lambda fact: fact), **settings)
"""


def test_the_actors_of_a_tree_meet_the_plan(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_one(fault_plan, make_supervision_tree):
        fault_plan.crash(agent="executor", message="Delegate")
        fault_plan.crash_storm(4, agent="reviewer")
        tree = await make_supervision_tree(agents=AGENTS)
        handle = await tree.submit(ITEM)
        await assert_recovers(tree, within_s=60)

        result = await handle.result()
        assert (result.success, result.attempt) == (True, 2)
    """
    )

    project.run().assert_outcomes(passed=1)


def test_a_tree_meets_a_plan_that_its_test_names_later(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_one(supervision_tree, fault_plan):
        fault_plan.crash(agent="reviewer", at="idle", after_s=3).slow(2, at="stopping", count=None)
        await asyncio.sleep(10)
        assert fault_plan.strikes[0].at_s == 3
        assert supervision_tree.is_healthy()
    """
    )

    project.run().assert_outcomes(passed=1)


def test_what_happens_at_the_end_of_a_tree_counts_as_met(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_met(claude, fault_plan, make_supervision_tree):
        fault_plan.crash(agent="executor", at="stopping").crash_in_shutdown(agent="reviewer")
        await make_supervision_tree(agents=AGENTS)

    @pytest.mark.virtual_time
    async def test_missed(fault_plan, make_supervision_tree):
        fault_plan.crash(agent="exectuor", at="stopping")
        await make_supervision_tree(agents=AGENTS)
    """
    )

    result = project.run()

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "planned, but never met:",
            "  crash(at='stopping', agent='exectuor')",
            "stop: *executor 1*",
            "correct the address, or say optional=True",
        ]
    )


def test_who_will_not_end_is_let_go_with_the_test(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_tree(fault_plan, make_supervision_tree, event_log):
        fault_plan.swallow_cancel(agent="reviewer", at="stopping")
        fault_plan.leak_task(agent="executor", message="Delegate")
        tree = await make_supervision_tree(agents=AGENTS)
        await (await tree.submit(ITEM)).result()
        await tree.stop()
        assert "child_leaked" in [event.kind for event in event_log]

    @pytest.mark.virtual_time
    async def test_supervisor(fault_plan, event_log):
        fault_plan.swallow_cancel(at="stopping")
        async with supervisor(event_log, failpoints=fault_plan.failpoints):
            pass

    async def test_real_time(fault_plan, event_log):
        fault_plan.swallow_cancel(at="stopping")
        tree = supervisor(event_log, failpoints=fault_plan.failpoints, kill_grace_s=0)
        await tree.start()
        tree._life.kill()
        await tree.stop()
    """
    )

    project.run().assert_outcomes(passed=3)


def test_a_supervisor_of_ones_own_is_given_the_plan(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_given(fault_plan, event_log):
        fault_plan.slow(3)
        async with supervisor(event_log, failpoints=fault_plan.failpoints) as tree:
            assert await tree.whereis("echo").ask("hello") == "hello"
        assert asyncio.get_running_loop().time() == 3

    @pytest.mark.virtual_time
    async def test_forgotten(fault_plan, event_log):
        fault_plan.slow(3)
        async with supervisor(event_log) as tree:
            await tree.whereis("echo").ask("hello")
    """
    )

    result = project.run()

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["message: none", "*only if it is given its failpoints"])


def test_the_report_of_a_failure_says_what_has_happened_to_whom(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.virtual_time
    async def test_one(fault_plan, make_supervision_tree):
        fault_plan.delay(2, agent="executor", sender="orchestrator").crash(agent="executor")
        tree = await make_supervision_tree(agents=AGENTS)
        await (await tree.submit(ITEM)).result()
        assert False, "for another reason"
    """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- fault plan -*",
            "fault_plan.add(*delay(2, agent='executor', sender='orchestrator'); *",
            "  delivery * of executor (attempt 1), 0 s: delay(2, *",
            "  message * of executor (attempt 1), 2 s: crash(agent='executor')",
        ]
    )


def test_a_search_of_schedules_searches_the_faults_of_systems(project: Project) -> None:
    project.test_file(
        AGENTS
        + """
    @pytest.mark.schedules(n=60)
    async def test_one(fault_plan, event_log):
        fault_plan.crash(message="int", chance=0.1, count=None)
        async with supervisor(event_log, failpoints=fault_plan.failpoints) as tree:
            for number in range(3):
                assert await tree.whereis("echo").ask(number) == number
    """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["fault_plan.add(*crash(message='int', count=None, chance=0.1)*"])
