"""Tests under many orders, as a user of the plug-in sees them."""

from __future__ import annotations

import re

import pytest

from tests.plugin.project import Project

RACE = """
    made = []

    @pytest.fixture
    def log():
        made.append([])
        return made[-1]

    @pytest.mark.schedules(n=50{more})
    async def test_it(log):
        async def note(name):
            log.append(name)
        await asyncio.gather(note("a"), note("b"))
        assert log == ["a", "b"]
"""


@pytest.mark.parametrize("policy", ["random", "pct", "exhaustive"])
def test_an_order_that_fails_is_found_shrunk_and_run_again(project: Project, policy: str) -> None:
    project.test_file(RACE.format(more=f", policy='{policy}'"))

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert log == *",
            "*- mnemosyne schedule -*",
            f"order * of 50 fails (policy {policy}); the plain one passes",
            "shrunk from * choices to 1 in * runs",
            "the two part at step *: the plain order runs task *note at 0 s, this one task *note *",
            "run it again: pytest 'test_it.py::test_it' --mnemosyne-tape=*",
            "the last steps:",
            "  task * test_it at 0 s",
        ]
    )
    (tape,) = re.findall(r"--mnemosyne-tape=(\S+)", result.stdout.str())
    again = project.run(f"--mnemosyne-tape={tape}")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines([f"one run, along the tape {tape}"])
    project.run("--mnemosyne-tape=plain").assert_outcomes(passed=1)


def test_every_run_has_fixtures_of_its_own_and_one_of_them_is_reported(project: Project) -> None:
    project.test_file(
        """
        made = []

        @pytest.fixture(scope="module")
        def shared():
            made.append("shared")

        @pytest.fixture
        def own(tmp_path):
            made.append("own")
            assert not list(tmp_path.iterdir())
            (tmp_path / "file").touch()
            yield
            made.append("ended")

        @pytest.mark.schedules(n=5)
        async def test_it(shared, own):
            print("said once")
            await asyncio.sleep(1)

        def test_after():
            # The plain order is run twice, for comparison.
            assert made == ["shared"] + ["own", "ended"] * 6
        """
    )

    result = project.run("-v", "-rP")

    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("said once") == 1


def test_what_the_runs_share_ends_with_the_last_of_them(project: Project) -> None:
    """And a module's last test may be one of many orders, whatever comes after it."""
    project.test_file(
        """
        @pytest.fixture(scope="module")
        def shared():
            yield
            if FAILS:
                raise RuntimeError("the shared thing does not end")
            print("ended")

        FAILS = False

        @pytest.mark.schedules(n=3)
        async def test_it(shared):
            pass
        """,
        name="test_first",
    )
    project.test_file("def test_after():\n    pass", name="test_second")
    project.run().assert_outcomes(passed=2)

    first = project.path / "test_first.py"
    first.write_text(first.read_text().replace("FAILS = False", "FAILS = True"))
    result = project.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E * RuntimeError: the shared thing does not end"])


def test_skips_and_expected_failures_stay_what_they_are(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.schedules
        async def test_skipped():
            pytest.skip("not today")

        @pytest.mark.xfail
        @pytest.mark.schedules
        async def test_expected():
            assert False

        @pytest.mark.schedules
        @pytest.mark.skip
        async def test_never():
            assert False
        """
    )

    project.run().assert_outcomes(skipped=2, xfailed=1)


def test_a_failure_in_the_plain_order_says_so(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.schedules
        async def test_it():
            assert False
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "it fails in the plain order, in which everybody has their turn",
            "run it again: pytest *::test_it' --mnemosyne-tape=plain",
        ]
    )


def test_a_test_that_asks_the_machine_is_told_where(project: Project) -> None:
    project.test_file(
        """
        turns = iter(range(100))

        @pytest.mark.schedules
        async def test_unstable():
            time.time()
            if next(turns) % 2:
                await asyncio.sleep(0)

        @pytest.mark.schedules(n=3)
        async def test_harmless():
            time.time()
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "two runs of this test under the same schedule differ: *",
            "first in step *",
            "what differs from run to run: time.time() in test_unstable (*test_it.py:*)",
            "mnemosyne: *::test_harmless asks for what its schedule does not decide: time.time()*",
        ]
    )


def test_properties_are_checked_in_every_order(project: Project) -> None:
    project.test_file(
        """
        async def two(log):
            async def note(name):
                log.append(name)
            await asyncio.gather(note("a"), note("b"))

        @pytest.mark.schedules(n=20)
        async def test_always(properties):
            log = []
            properties.always(lambda: log[:1] != ["b"], "a comes first")
            await two(log)

        @pytest.mark.schedules(n=20)
        async def test_sometimes(properties):
            log = []
            properties.sometimes(lambda: log[:1] == ["a"], "a first")
            properties.sometimes(lambda: log[:1] == ["b"], "b first")
            await two(log)

        @pytest.mark.schedules(n=20)
        async def test_never(properties):
            properties.sometimes(lambda: False, "pigs fly")

        async def test_in_one_run(properties):
            properties.sometimes(lambda: False, "pigs fly")
        """
    )

    result = project.run()

    result.assert_outcomes(failed=2, passed=2, errors=1)
    result.stdout.fnmatch_lines(["always: a comes first did not hold after task *"])
    result.stdout.fnmatch_lines(["sometimes: pigs fly was not true under any of 20 orders"])
    result.stdout.fnmatch_lines(["sometimes: pigs fly was not true once when the test ended*"])


def test_concurrent_calls_get_their_own_answers_under_every_order(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.schedules(n=10)
        async def test_it(claude, scripted_claude):
            for name in ("one", "two", "three"):
                from pytest_mnemosyne.simulation import text_contains
                scripted_claude.when(text_contains(name)).reply(f"It was {name}.")

            async def call(name):
                answer = await claude.messages.create(**asked(f"Say {name}."))
                assert answer.content[0].text == f"It was {name}."

            await asyncio.gather(call("one"), call("two"), call("three"))
        """
    )
    recorded = project.run("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")
    recorded.assert_outcomes(passed=1)
    recorded.stdout.fnmatch_lines(["mnemosyne (record): 3 recorded; *"])

    replayed = project.run()

    replayed.assert_outcomes(passed=1)
    replayed.stdout.fnmatch_lines(["mnemosyne (replay): 3 played; *"])


def test_a_miss_under_a_schedule_fails_the_test(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.schedules(n=10)
        async def test_it(claude):
            try:
                await claude.messages.create(**asked("Hello?"))
            except BaseException:
                pass
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Claude was asked something*"])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--mnemosyne-tape=nonsense", "*'nonsense' is no tape*"),
        ("--mnemosyne-schedules=0", "*--mnemosyne-schedules takes a number from 1 on, got 0"),
        ("--mnemosyne-seed=-1", "*--mnemosyne-seed takes a number from 0 on, got -1"),
        ("--mnemosyne-shrink=-5", "*--mnemosyne-shrink takes a number from 0 on, got -5"),
    ],
)
def test_an_option_that_cannot_be_is_a_usage_error(
    project: Project, option: str, says: str
) -> None:
    project.test_file("def test_it(): pass")

    result = project.run(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([says])


def test_options_choose_how_many_orders_and_which(project: Project) -> None:
    project.test_file(RACE.format(more=""))

    project.run("--mnemosyne-schedules=1").assert_outcomes(passed=1)
    unshrunk = project.run("--mnemosyne-shrink=0", "--mnemosyne-seed=5")

    unshrunk.assert_outcomes(failed=1)
    unshrunk.stdout.fnmatch_lines(
        ["order * of 50 fails (policy random, seed 5); *", "shrunk from * in 0 runs"]
    )


def test_a_tape_that_does_not_fit_says_so(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.schedules
        async def test_it():
            assert False
        """
    )

    result = project.run("--mnemosyne-tape=4000=1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the tape does not fit this test (at 4000)*"])


def test_the_search_works_in_the_workers_of_xdist(project: Project) -> None:
    pytest.importorskip("xdist")
    project.test_file(RACE.format(more=""))

    result = project.run("-n", "1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["run it again: pytest *::test_it' --mnemosyne-tape=*"])
