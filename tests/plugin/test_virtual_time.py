"""Virtual time as a user of the plug-in sees it."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

VIRTUAL = "type(asyncio.get_running_loop()).__name__ == 'VirtualLoop'"


def test_a_marked_test_sleeps_for_a_day_at_once(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.virtual_time
        async def test_it():
            began = time.monotonic()
            await asyncio.sleep(86_400)
            assert time.monotonic() - began < 5
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_test_that_asks_for_the_clock_needs_no_marker(project: Project) -> None:
    project.test_file(
        """
        async def test_it(virtual_clock):
            asyncio.get_running_loop().call_later(7, print)
            await virtual_clock.advance(10)
            assert virtual_clock.monotonic() == 10
        """
    )

    project.run().assert_outcomes(passed=1)


def test_other_tests_keep_their_loop_and_everybodys_id(project: Project) -> None:
    project.test_file(
        f"""
        @pytest.mark.virtual_time
        async def test_virtual():
            assert {VIRTUAL}

        async def test_real():
            assert not {VIRTUAL}

        @pytest.mark.parametrize("number", [1, 2])
        async def test_with_parameters(number):
            assert not {VIRTUAL}

        def test_sync():
            pass
        """
    )

    result = project.run("-v")

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*::test_virtual PASSED*",
            "*::test_real PASSED*",
            "*::test_with_parameters[[]1[]] PASSED*",
            "*::test_with_parameters[[]2[]] PASSED*",
            "*::test_sync PASSED*",
        ]
    )


def test_where_nobody_wants_virtual_time_no_test_is_given_a_factory(project: Project) -> None:
    project.test_file(
        """
        async def test_real(request):
            assert not hasattr(request.node, "callspec")
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_hook_of_the_user_keeps_its_say_over_ordinary_tests(project: Project) -> None:
    project.pytester.makeconftest(
        """
        import asyncio

        class OwnLoop(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": OwnLoop, "stock": asyncio.new_event_loop}
        """
    )
    project.test_file(
        f"""
        seen = []

        async def test_ordinary():
            seen.append(type(asyncio.get_running_loop()).__name__)

        @pytest.mark.virtual_time
        async def test_virtual():
            assert {VIRTUAL}

        def test_what_was_seen():
            assert seen[0] == "OwnLoop" and len(seen) == 2
        """
    )

    result = project.run("-v")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["*::test_ordinary[[]own[]] PASSED*", "*::test_ordinary[[]stock[]] PASSED*"]
    )
    result.stdout.fnmatch_lines(["*::test_virtual PASSED*"])


def test_a_hook_that_says_nothing_leaves_ordinary_tests_alone(project: Project) -> None:
    project.pytester.makeconftest("def pytest_asyncio_loop_factories(config, item): return None")
    project.test_file("async def test_ordinary(): pass")

    project.run().assert_outcomes(passed=1)


def test_a_policy_fixture_of_the_user_still_makes_the_ordinary_loops(project: Project) -> None:
    project.test_file(
        f"""
        class OwnLoop(asyncio.SelectorEventLoop):
            pass

        class OwnPolicy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                return OwnLoop()

        @pytest.fixture(scope="module")
        def event_loop_policy():
            return OwnPolicy()

        async def test_ordinary():
            assert type(asyncio.get_running_loop()) is OwnLoop

        @pytest.mark.virtual_time
        async def test_virtual():
            assert {VIRTUAL}
        """
    )

    result = project.run("-W", "ignore::DeprecationWarning", "-W", "ignore::pytest.PytestWarning")

    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_every_loop_scope_can_be_virtual_with_our_fixtures_on_it(
    project: Project, scope: str
) -> None:
    project.pytester.makepyfile(__init__="")
    project.test_file(
        f"""
        pytestmark = [pytest.mark.asyncio(loop_scope="{scope}"), pytest.mark.virtual_time]

        class TestIt:
            async def test_one(self, virtual_clock, supervision_tree, event_log):
                assert {VIRTUAL}
                await event_log.wait_for("agent_registered")
                await virtual_clock.advance(60)
                assert supervision_tree.is_running

            async def test_two(self, supervision_tree):
                await asyncio.sleep(60)
                assert supervision_tree.is_running
        """
    )

    project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("test", "says"),
    [
        pytest.param(
            "@pytest.mark.virtual_time\ndef test_it(): pass",
            "test_it wants virtual time and would not get it*",
            id="not async",
        ),
        pytest.param(
            '@pytest.mark.virtual_time\n@pytest.mark.asyncio(loop_factories=["own"])\n'
            "async def test_it(): pass",
            "*::test_it wants virtual time, and its marker asyncio names other loop_factories; *",
            id="other factories",
        ),
        pytest.param(
            "@pytest.mark.virtual_time(until=5)\nasync def test_it(): pass",
            "the marker virtual_time(until=5) does not know until (did you mean until_s?), but "
            "hold_s, until_s, steps, leaves",
            id="unknown setting",
        ),
        pytest.param(
            "@pytest.mark.virtual_time(steps=0)\nasync def test_it(): pass",
            "the limit steps of virtual time is positive, got 0",
            id="no limit",
        ),
        pytest.param(
            "@pytest.mark.schedules(policy='best')\nasync def test_it(): pass",
            "the marker schedules(policy='best') has the policies random, pct, exhaustive",
            id="unknown policy",
        ),
        pytest.param(
            "@pytest.mark.schedules(50, polcy='pct')\nasync def test_it(): pass",
            "the marker schedules(50, polcy='pct') does not know polcy (did you mean policy?), "
            "but n, policy; takes n, policy, each by name",
            id="everything wrong",
        ),
        pytest.param(
            "@pytest.mark.schedules(n=0)\nasync def test_it(): pass",
            "the runs of a search are a whole number from 1 on, got 0",
            id="no runs",
        ),
        pytest.param(
            "@pytest.mark.schedules\n@pytest.mark.asyncio(loop_scope='module')\n"
            "async def test_it(): pass",
            "the marker schedules() needs a loop for each run: loop_scope has to be function",
            id="shared loop",
        ),
    ],
)
def test_a_wish_that_cannot_be_granted_is_an_error_that_says_so(
    project: Project, test: str, says: str
) -> None:
    project.test_file(test)

    result = project.run()

    outcomes = result.parseoutcomes()
    assert outcomes.get("errors", 0) >= 1, outcomes
    assert "passed" not in outcomes
    result.stdout.fnmatch_lines([says])


def test_what_is_left_on_the_loop_fails_the_test_unless_declared(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.virtual_time
        async def test_careless():
            asyncio.create_task(asyncio.Event().wait(), name="forgotten")

        @pytest.mark.virtual_time(leaves="forgotten")
        async def test_declared():
            asyncio.create_task(asyncio.Event().wait(), name="forgotten")

        @pytest.mark.virtual_time
        async def test_failed_already():
            asyncio.create_task(asyncio.Event().wait(), name="forgotten")
            assert False
        """
    )

    result = project.run()

    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_careless*",
            "left on the virtual loop at the end of the test:",
            "  a task: forgotten (Event.wait)",
        ]
    )


def test_what_a_fixture_ends_is_not_left(project: Project) -> None:
    project.test_file(
        """
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def ticker():
            async def tick():
                while True:
                    await asyncio.sleep(1)
            task = asyncio.create_task(tick())
            yield task
            task.cancel()

        async def test_it(ticker, virtual_clock):
            await virtual_clock.advance(5)
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_stall_is_told_without_a_single_frame_of_ours(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.virtual_time
        async def test_it():
            await asyncio.Event().wait()
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_it _*",
            "nobody will ever wake: at 0 s nothing is ready*",
            "*(test_it) waits for Event.wait of *",
            "FAILED *::test_it - StallError: *",
        ]
    )
    result.stdout.no_fnmatch_line("*_find_something_to_do*")


def test_the_sdk_waits_out_its_retries_in_virtual_time(project: Project) -> None:
    project.test_file(
        """
        async def test_it(claude, scripted_claude, virtual_clock):
            scripted_claude.fail(429, retry_after=30, times=2).reply("At last.")
            async with asyncio.timeout(600):
                answer = await claude.messages.create(**asked("Are you there?"))
            assert answer.content[0].text == "At last."
            assert 60 <= virtual_clock.monotonic() < 600
        """
    )
    project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted").assert_outcomes(
        passed=1
    )

    project.run().assert_outcomes(passed=1)


def test_randomness_is_the_same_in_every_virtual_test(project: Project) -> None:
    project.test_file(
        """
        import random
        seen = []

        @pytest.mark.virtual_time
        @pytest.mark.parametrize("time", [1, 2])
        async def test_it(time):
            seen.append(random.random())
            assert len(set(seen)) == 1
        """
    )

    project.run().assert_outcomes(passed=2)
