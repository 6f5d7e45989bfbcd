"""The fixtures for Claude, as a test author meets them."""

from __future__ import annotations

import os

import pytest

from tests.plugin.project import Project


def test_the_client_answers_from_the_cassette_streams_too(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"), ("other", "more"))
    project.test_file(
        """
        async def test_it(claude, claude_cassette):
            assert await ask(claude, "known") == "answer"
            assert claude_cassette.played == 1
            assert len(claude_cassette.unplayed()) == 1
            assert await ask(claude, "other") == "more"
            assert [turn.number for turn in claude_cassette.turns] == [1, 2]
            assert claude_cassette.turns[0].tokens.output == 3
            assert not claude_cassette.unplayed()
        """
    )

    project.run().assert_outcomes(passed=1)


def test_closing_the_client_does_not_harm_the_next_test(project: Project) -> None:
    for name in ("test_one", "test_two"):
        project.cassette(f"test_it/{name}", ("known", "answer"))
    project.test_file(
        """
        async def test_one(claude):
            async with claude:
                assert await ask(claude, "known") == "answer"
            await claude.close()

        async def test_two(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=2)


def test_the_sync_client_answers_from_the_cassette_and_may_be_closed(project: Project) -> None:
    for name in ("test_one", "test_two"):
        project.cassette(f"test_it/{name}", ("known", "answer"))
    project.test_file(
        """
        def test_one(claude_sync):
            with claude_sync:
                assert ask_sync(claude_sync, "known") == "answer"

        def test_two(claude_sync):
            assert ask_sync(claude_sync, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=2)


def test_code_under_test_makes_its_own_client_without_a_key(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-real-token")
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        import os
        from anthropic import AsyncAnthropic

        async def test_it(claude_cassette):
            assert "ANTHROPIC_AUTH_TOKEN" not in os.environ
            async with AsyncAnthropic() as client:
                assert await ask(client, "known") == "answer"

        def test_without_a_cassette_the_environment_is_as_it_was():
            assert "ANTHROPIC_API_KEY" not in os.environ
            assert os.environ["ANTHROPIC_AUTH_TOKEN"] == "a-real-token"
        """
    )

    project.run().assert_outcomes(passed=2)

    assert os.environ["ANTHROPIC_AUTH_TOKEN"] == "a-real-token"
    assert "ANTHROPIC_API_KEY" not in os.environ


def test_a_fixture_asked_for_at_run_time_brings_the_cassette_too(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        def test_it(request):
            claude_sync = request.getfixturevalue("claude_sync")
            assert ask_sync(claude_sync, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=1)


def test_concurrent_calls_get_their_own_answers(project: Project) -> None:
    questions = [f"question {number}" for number in range(8)]
    project.cassette("test_it/test_it", *((each, f"answer to {each}") for each in questions))
    project.test_file(
        """
        async def test_it(claude):
            questions = [f"question {number}" for number in reversed(range(8))]
            answers = await asyncio.gather(*(ask(claude, each) for each in questions))
            assert answers == [f"answer to {each}" for each in questions]
        """
    )

    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_the_live_client_sits_on_the_tests_own_loop(project: Project, scope: str) -> None:
    project.test_file(
        f"""
        pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            assert await ask(claude, "Say hello.") == "hello"
        """
    )

    project.run(
        "--mnemosyne-mode=live", "--mnemosyne-upstream=scripted", "-o", "asyncio_mode=strict"
    ).assert_outcomes(passed=1)


def test_work_items_are_counted(project: Project) -> None:
    project.test_file(
        """
        from mnemosyne_core.errors import InvalidWorkItemError

        def test_it(work_item):
            first, second = work_item(), work_item("do this", priority=9)
            assert (first.id, second.id) == ("work-1", "work-2")
            assert (second.description, second.priority) == ("do this", 9)
            assert work_item(id="mine").id == "mine"
            with pytest.raises(InvalidWorkItemError, match="priority"):
                work_item(priority=11)
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_script_that_nobody_asks_is_no_fault_in_replay(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("anything")
            assert await ask(claude, "known") == "answer"
            assert scripted_claude.requests == ()
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_script_can_be_served_by_itself(project: Project) -> None:
    project.test_file(
        """
        async def test_it(scripted_claude):
            from anthropic import AsyncAnthropic
            scripted_claude.reply("hello")
            async with AsyncAnthropic(api_key="none", base_url=scripted_claude.url) as client:
                assert await ask(client, "Say hello.") == "hello"
        """
    )

    project.run().assert_outcomes(passed=1)


def test_a_projects_own_fixture_of_the_same_name_is_its_own(project: Project) -> None:
    project.test_file(
        """
        @pytest.fixture
        def claude():
            return "mine"

        def test_it(claude, request):
            assert claude == "mine"
            with pytest.raises(BaseException, match="without a cassette"):
                import socket
                socket.getaddrinfo("api.anthropic.com", 443)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*by a test without a cassette*"])


def test_a_fixture_of_the_same_name_from_a_later_plugin_wins(project: Project) -> None:
    project.pytester.makepyfile(
        theirs="""
        import pytest

        @pytest.fixture
        def claude():
            return "theirs"
        """
    )
    project.pytester.makeconftest('pytest_plugins = ["theirs"]')
    project.test_file(
        """
        def test_it(claude):
            assert claude == "theirs"
        """
    )

    project.run().assert_outcomes(passed=1)


def test_the_client_is_there_for_classes_and_for_other_fixtures(project: Project) -> None:
    project.cassette("shared", ("known", "answer"))
    project.test_file(
        """
        pytestmark = pytest.mark.claude_cassette("shared")

        @pytest.fixture
        def patient(claude):
            claude.max_retries = 9
            return claude

        class TestIt:
            async def test_it(self, claude):
                assert await ask(claude, "known") == "answer"

            async def test_it_by_a_fixture(self, patient, claude):
                assert claude is patient and claude.max_retries == 9
                assert await ask(patient, "known") == "answer"
        """
    )

    project.run().assert_outcomes(passed=2)


def test_the_fixtures_are_listed_with_what_they_are(project: Project) -> None:
    result = project.pytester.runpytest_inprocess("-p", "no:recording", "--fixtures")

    result.stdout.fnmatch_lines(["claude -- *", "*needs no key to replay.*"])


def test_the_async_client_records_on_a_loop_that_the_test_has_made_itself(project: Project) -> None:
    project.test_file(
        """
        def test_it(claude, scripted_claude):
            scripted_claude.improvise()
            assert asyncio.run(ask(claude, "hello"))
        """
    )

    for args in (("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted"), ()):
        project.run(*args).assert_outcomes(passed=1)
