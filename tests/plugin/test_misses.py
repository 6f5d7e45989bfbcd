"""A request without an answer fails its test, whatever the code or a marker makes of it."""

from __future__ import annotations

import shlex

import pytest

from tests.plugin.project import Project

pytestmark = pytest.mark.usefixtures("project")

ABSORBING = {
    "except-exception": """
        async def test_it(claude):
            with contextlib.suppress(Exception):
                await ask(claude, "new")
    """,
    "except-base-exception": """
        async def test_it(claude):
            with contextlib.suppress(BaseException):
                await ask(claude, "new")
    """,
    "gather-returning-exceptions": """
        async def test_it(claude):
            with contextlib.suppress(BaseException):
                await asyncio.gather(ask(claude, "new"), return_exceptions=True)
    """,
    "task-nobody-awaits": """
        async def test_it(claude):
            task = asyncio.create_task(ask(claude, "new"))
            with contextlib.suppress(BaseException):
                await asyncio.wait({task})
    """,
    "xfail": """
        @pytest.mark.xfail
        async def test_it(claude):
            await ask(claude, "new")
    """,
    "xfail-raising-anything": """
        @pytest.mark.xfail(raises=BaseException, strict=True)
        async def test_it(claude):
            await ask(claude, "new")
    """,
    "xfail-passing": """
        @pytest.mark.xfail(strict=False)
        async def test_it(claude):
            with contextlib.suppress(BaseException):
                await ask(claude, "new")
    """,
    "xfail-called": """
        async def test_it(claude):
            try:
                await ask(claude, "new")
            except BaseException:
                pytest.xfail("I saw nothing")
    """,
    "skip-called": """
        async def test_it(claude):
            try:
                await ask(claude, "new")
            except BaseException:
                pytest.skip("I saw nothing")
    """,
    "raises-expected": """
        def test_it(claude_sync):
            with pytest.raises(BaseException):
                ask_sync(claude_sync, "new")
    """,
    "thread-joined": """
        def test_it(claude_sync):
            def work():
                with contextlib.suppress(BaseException):
                    ask_sync(claude_sync, "new")
            thread = threading.Thread(target=work)
            thread.start()
            with contextlib.suppress(BaseException):
                thread.join()
    """,
    "to-thread": """
        async def test_it(claude_sync):
            with contextlib.suppress(BaseException):
                await asyncio.to_thread(ask_sync, claude_sync, "new")
    """,
    "unittest": """
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _claude(self, claude_sync):
                self.claude = claude_sync

            def test_it(self):
                with contextlib.suppress(BaseException):
                    ask_sync(self.claude, "new")
    """,
    "unittest-expecting-failure": """
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _claude(self, claude_sync):
                self.claude = claude_sync

            @unittest.expectedFailure
            def test_it(self):
                ask_sync(self.claude, "new")
    """,
    "unittest-async": """
        class TestIt(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def _claude(self, claude):
                self.claude = claude

            async def test_it(self):
                with contextlib.suppress(BaseException):
                    await asyncio.create_task(ask(self.claude, "new"))
    """,
    "unittest-subtest": """
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _claude(self, claude_sync):
                self.claude = claude_sync

            def test_it(self):
                with self.subTest("one"), contextlib.suppress(BaseException):
                    ask_sync(self.claude, "new")
    """,
}


@pytest.mark.parametrize("source", ABSORBING.values(), ids=ABSORBING)
def test_a_miss_cannot_be_absorbed(project: Project, source: str) -> None:
    project.test_file(source)

    result = project.run()

    outcomes = result.parseoutcomes()
    # A subtest fails beside its test, where pytest knows subtests (from 9 on).
    fails_twice = "subTest" in source and hasattr(pytest, "Subtests")
    assert outcomes.pop("failed") == (2 if fails_twice else 1)
    assert set(outcomes) <= {"seconds"}
    result.stdout.fnmatch_lines(["*requests to Claude without an answer*", "*agent:*none*"])


HANGING = {
    "worker-task-dies-before-its-queue-is-fed": """
        async def test_it(claude):
            answers = asyncio.Queue()
            async def work():
                await answers.put(await ask(claude, "new"))
            worker = asyncio.create_task(work())
            await answers.get()
    """,
    "event-that-nobody-sets": """
        async def test_it(claude):
            done = asyncio.Event()
            async def work():
                try:
                    await ask(claude, "new")
                except Exception:
                    pass
                done.set()
            worker = asyncio.create_task(work())
            await done.wait()
    """,
    "thread-that-never-answers-a-waiting-test": """
        def test_it(claude_sync):
            answers = queue.Queue()
            def work():
                with contextlib.suppress(SystemExit):
                    answers.put(ask_sync(claude_sync, "new"))
            threading.Thread(target=work, daemon=True).start()
            answers.get()
    """,
    "thread-that-never-answers-a-waiting-loop": """
        async def test_it(claude_sync):
            done = asyncio.Event()
            loop = asyncio.get_running_loop()
            def work():
                ask_sync(claude_sync, "new")
                loop.call_soon_threadsafe(done.set)
            threading.Thread(target=work, daemon=True).start()
            await done.wait()
    """,
    "loop-blocked-by-the-test-itself": """
        async def test_it(claude_sync):
            answers = queue.Queue()
            threading.Thread(
                target=lambda: answers.put(ask_sync(claude_sync, "new")), daemon=True
            ).start()
            answers.get()
    """,
    "fixture-that-waits-in-its-setup": """
        import pytest_asyncio
        @pytest_asyncio.fixture
        async def answer(claude):
            done = asyncio.Event()
            async def work():
                await ask(claude, "new")
                done.set()
            worker = asyncio.create_task(work())
            await done.wait()

        async def test_it(answer):
            pass
    """,
    "asyncio-run-inside-a-sync-test": """
        def test_it(claude_cassette):
            from anthropic import AsyncAnthropic
            async def main():
                done = asyncio.Event()
                async def work():
                    await ask(AsyncAnthropic(), "new")
                    done.set()
                worker = asyncio.create_task(work())
                await done.wait()
            asyncio.run(main())
    """,
    "unittest-async": """
        class TestIt(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def _claude(self, claude):
                self.claude = claude

            async def test_it(self):
                done = asyncio.Event()
                async def work():
                    await ask(self.claude, "new")
                    done.set()
                worker = asyncio.create_task(work())
                await done.wait()
    """,
    "anyio": """
        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_it(anyio_backend, claude):
            done = asyncio.Event()
            async def work():
                await ask(claude, "new")
                done.set()
            worker = asyncio.create_task(work())
            await done.wait()
    """,
}


@pytest.mark.parametrize("source", HANGING.values(), ids=HANGING)
def test_a_test_that_waits_for_the_missing_answer_does_not_hang(
    project: Project, source: str
) -> None:
    project.test_file(source)
    strict = ["-o", "asyncio_mode=strict"] if "anyio" in source else []

    result = project.run(*strict)

    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    assert "passed" not in outcomes
    result.stdout.fnmatch_lines(["*Claude was asked something*", "*call:*POST /v1/messages*"])


def test_the_failure_begins_with_the_miss_and_ends_with_what_the_test_made_of_it(
    project: Project,
) -> None:
    project.cassette("test_it/test_it", ("Say hello to the world.", "hello"))
    project.test_file(
        """
        async def test_it(claude):
            try:
                await ask(claude, "Say hello to the moon.")
            except BaseException:
                pytest.skip("I saw nothing")
        """
    )

    result = project.run()

    result.stdout.fnmatch_lines(
        [
            "* test_it *",
            "Claude was asked something that the cassette has no answer for",
            "  agent: *",
            "  call: *POST /v1/messages*",
            "  why: *moon*",
            "  record: *pytest test_it.py::test_it --mnemosyne-mode=record",
            "*what the test made of it*",
            "it skipped itself afterwards:*I saw nothing*",
        ]
    )


def test_the_failure_says_agent_by_agent_what_was_asked(project: Project) -> None:
    project.cassette("test_it/test_it", ("one", "answer"), ("two", "answer"))
    project.test_file(
        """
        async def test_it(claude):
            await ask(claude, "one")
            await ask(claude, "new")
        """
    )

    result = project.run()

    result.stdout.fnmatch_lines(
        [
            "*what each agent asked*",
            "outside any agent: asked 2, recorded 2",
            '  extra:     POST /v1/messages (*) "new"',
            '  not asked: 2. POST /v1/messages (*) "two"',
            "*what the test made of it*",
        ]
    )


def test_the_traceback_of_a_miss_ends_at_the_tests_own_line(project: Project) -> None:
    project.test_file("def test_it(claude_sync): ask_sync(claude_sync, 'new')")

    shown = project.run("--tb=short").stdout.str()

    assert "in ask_sync" in shown
    assert "anthropic/" not in shown
    assert "_cassette.py" not in shown


def test_a_full_trace_has_every_frame_of_a_miss(project: Project) -> None:
    project.test_file("def test_it(claude_sync): ask_sync(claude_sync, 'new')")

    result = project.run("--full-trace")

    result.stdout.fnmatch_lines(["*anthropic*_base_client.py*", "*_cassette.py*CassetteMissError"])


def test_the_short_line_names_agent_and_call_within_80_columns(project: Project) -> None:
    project.test_file(
        """
        from mnemosyne_core.lane import Lane, entered
        async def test_it(claude):
            with entered(Lane("executor")):
                await ask(claude, "new")
        """
    )

    result = project.run()

    (line,) = [line for line in result.outlines if line.startswith("FAILED")]
    assert line.startswith("FAILED test_it.py::test_it - miss: executor, POST /v1/messages")
    assert len(line) <= 80


def test_the_end_of_the_run_tells_every_miss_again(project: Project) -> None:
    project.test_file(
        """
        @pytest.mark.parametrize("text", ["one", "two"])
        async def test_it(claude, text):
            await ask(claude, text)
        """
    )

    result = project.run("--tb=no")

    result.stdout.fnmatch_lines(
        [
            "*requests to Claude without an answer*",
            "test_it.py::test_it[[]one]",
            "*record: *pytest 'test_it.py::test_it[[]one]' --mnemosyne-mode=record",
            "test_it.py::test_it[[]two]",
            "mnemosyne (replay): 2 missed; 0 tokens in, 0 out",
        ]
    )


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        pytest.param(
            """
            @pytest.fixture
            def answer(claude_sync):
                with contextlib.suppress(BaseException):
                    ask_sync(claude_sync, "new")

            def test_it(answer):
                raise AssertionError("never reached")
            """,
            {"errors": 1},
            id="setup-keeps-the-test-from-running",
        ),
        pytest.param(
            """
            @pytest.fixture
            def answer(claude_sync):
                yield
                with contextlib.suppress(BaseException):
                    ask_sync(claude_sync, "new")

            def test_it(answer):
                pass
            """,
            {"passed": 1, "errors": 1},
            id="teardown-is-an-error-after-the-test",
        ),
    ],
)
def test_a_miss_in_a_fixture_is_an_error_of_that_phase(
    project: Project, source: str, outcome: dict[str, int]
) -> None:
    project.test_file(source)

    result = project.run()

    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*Claude was asked something*"])
    result.stdout.no_fnmatch_line("*never reached*")


def test_a_miss_is_not_tried_again_by_the_sdk(project: Project) -> None:
    project.test_file(
        """
        async def test_it(claude, claude_cassette):
            with contextlib.suppress(BaseException):
                await ask(claude, "new")
            print("tries:", len(claude_cassette.turns))
        """
    )

    result = project.run("-s")

    result.stdout.fnmatch_lines(["*tries: 1*"])


def test_a_test_after_a_miss_is_not_touched_by_it(project: Project) -> None:
    project.cassette("test_it/test_next", ("known", "answer"))
    project.test_file(
        """
        async def test_it(claude):
            await ask(claude, "new")

        async def test_next(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    project.run().assert_outcomes(failed=1, passed=1)


REPEATING = """
    import pytest
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runtestprotocol(item, nextitem=nextitem, log=False)
        runtestprotocol(item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""


def test_repeating_a_test_repeats_its_cassette(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.pytester.makeconftest(REPEATING)
    project.test_file(
        """
        async def test_it(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=1)


def test_repeating_a_test_does_not_hide_its_miss(project: Project) -> None:
    project.pytester.makeconftest(REPEATING)
    project.test_file(
        """
        runs = []

        async def test_it(claude):
            runs.append(1)
            if len(runs) == 1:
                with contextlib.suppress(BaseException):
                    await ask(claude, "new")
        """
    )

    project.run().assert_outcomes(failed=1)


def test_a_skipped_test_does_not_open_its_cassette(project: Project) -> None:
    path = project.cassette("test_it/test_it", ("known", "answer"))
    path.write_text("interactions: [", encoding="utf-8")
    project.test_file(
        """
        @pytest.mark.skip
        async def test_it(claude):
            pass
        """
    )

    project.run().assert_outcomes(skipped=1)


def test_the_command_that_a_miss_names_records_what_was_missed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.test_file(
        """
        @pytest.fixture
        def script(scripted_claude):
            return scripted_claude

        @pytest.mark.parametrize("what", ["it's [new] $HOME"])
        async def test_it(claude, script, what):
            script.reply("yes")
            assert await ask(claude, what) == "yes"
        """
    )
    below = project.path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    missed = project.run("..")
    missed.assert_outcomes(failed=1)
    (told,) = {line for line in missed.outlines if line.startswith("  record: ")}

    command, *args = shlex.split(told.removeprefix("  record: "))

    assert command == "pytest"
    project.run(*args).assert_outcomes(passed=1)
    project.run("..").assert_outcomes(passed=1)
