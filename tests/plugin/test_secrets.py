"""The run's secrets reach neither a file nor anything that pytest prints."""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import Redactor, load
from pytest_mnemosyne.plugin._redacted_report import Tellings
from pytest_mnemosyne.plugin._secrets import run_secrets
from tests.cassette.secrets.planting import Spelling, spellings
from tests.cassette.secrets.readings import holds
from tests.plugin.project import Project

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

SECRET = "c4nary/Pass=word+9z"
HIDDEN = """
    import base64, json, logging, os

    def secret():
        return os.environ["DB_PASSWORD"]

    def wrapped():
        return base64.b64encode(("x" + secret()).encode()).decode()
"""
"""What a test file needs to know the secret without having it in its source."""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", SECRET)


def check_nothing_leaks(
    project: Project, result: pytest.RunResult, *, secret: str = SECRET
) -> None:
    """No file of a project holds a secret, and no line that its run has printed."""
    written = [path for path in project.path.rglob("*") if path.is_file()]
    for path in written:
        if path.suffix not in (".py", ".pyc"):
            assert not holds(path.read_bytes(), secret), path
            assert secret not in path.name
    said = (*result.outlines, *result.errlines)
    assert not [line for line in said if holds(line.encode(), secret)]
    assert not holds("".join(line.strip() for line in said).encode(), secret)


def test_a_secret_that_is_sent_and_answered_reaches_no_file_and_replays(project: Project) -> None:
    project.test_file(
        HIDDEN
        + """
    async def test_it(claude, scripted_claude, claude_cassette):
        scripted_claude.reply("it is " + secret() + ", or " + wrapped())
        tools = [{"name": "look", "description": secret(), "input_schema": {"type": "object"}}]
        question = [{"role": "user", "content": [
            {"type": "text", "text": json.dumps({secret(): wrapped()})},
        ]}]
        async with claude.messages.stream(
            model="claude-sonnet-5-5", max_tokens=99, tools=tools, messages=question,
            extra_headers={"x-session": secret()},
        ) as stream:
            text = await stream.get_final_text()
        assert text.startswith("it is ")
        print(claude_cassette.turns, claude_cassette.turns[0].request.body)
    """
    )

    recorded = project.run(*RECORD, "-rP")
    replayed = project.run("-rP")

    for result in (recorded, replayed):
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*<redacted:DB_PASSWORD>*"])
        check_nothing_leaks(project, result)
    assert (
        b"<redacted:DB_PASSWORD>" in (project.path / "cassettes/test_it/test_it.yaml").read_bytes()
    )


def test_what_a_failing_test_prints_does_not_hold_it(project: Project) -> None:
    project.test_file(
        HIDDEN
        + """
    async def test_it(claude, scripted_claude, claude_cassette):
        scripted_claude.reply(secret())
        answer = await ask(claude, "What is the password? I think " + secret())
        print("printed", answer)
        logging.getLogger("mine").warning("logged %s and %s", answer, wrapped())
        assert {"answer": [answer]} == {"answer": ["nothing"]}, wrapped()
    """
    )

    result = project.run(*RECORD, "-l", "-vv")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError*", "*printed <redacted:DB_PASSWORD>*", "*logged <redacted:DB_PASSWORD>*"]
    )
    check_nothing_leaks(project, result)


def test_what_a_test_notes_of_itself_does_not_tell_it_and_stays_what_it_was(
    project: Project,
) -> None:
    project.test_file(
        HIDDEN
        + """
    import collections

    Point = collections.namedtuple("Point", "x y")

    class Answer:
        def __str__(self):
            return "it is " + secret()

    def test_it(claude_cassette, record_property):
        record_property("point", Point(1, 2))
        record_property("answer", Answer())
        record_property("seen", {secret(): (secret().encode(),)})
    """
    )

    result = project.run("--junitxml=report.xml", "-o", "junit_family=legacy")

    result.assert_outcomes(passed=1)
    report = (project.path / "report.xml").read_text()
    assert "Point(x=1, y=2)" in report
    assert report.count("&lt;redacted:DB_PASSWORD&gt;") == 3
    check_nothing_leaks(project, result)


def test_a_miss_does_not_tell_it(project: Project) -> None:
    project.cassette("test_it/test_it", ("Say hello.", "hello"))
    project.test_file(
        HIDDEN
        + """
    async def test_it(claude):
        await ask(claude, "Say " + secret() + " and " + wrapped())
    """
    )

    result = project.run("-l", "--full-trace")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*why: *<redacted:DB_PASSWORD>*"])
    check_nothing_leaks(project, result)


def test_a_secret_in_an_agents_name_stops_the_writing_and_is_not_told(project: Project) -> None:
    project.test_file(
        HIDDEN
        + """
    from mnemosyne_core.lane import Lane, entered

    async def test_it(claude, scripted_claude):
        scripted_claude.reply("hello")
        with entered(Lane("executor/" + secret())):
            await ask(claude, "Say hello.")
    """
    )

    result = project.run(*RECORD)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*was not written: the name of an agent holds DB_PASSWORD*"])
    check_nothing_leaks(project, result)
    assert not list((project.path / "cassettes").rglob("*.yaml"))


def test_a_secret_in_a_tests_name_stops_the_writing(project: Project) -> None:
    project.test_file(
        HIDDEN
        + """
    @pytest.mark.parametrize("given", [secret()])
    async def test_it(claude, scripted_claude, given):
        scripted_claude.reply("hello")
        await ask(claude, "Say hello.")
    """
    )

    result = project.run(*RECORD)

    # The test's name itself is pytest's to print.
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*was not written: *name* holds DB_PASSWORD*"])
    assert not [path for path in project.path.rglob("*canary*") if path.suffix == ".yaml"]
    assert not [path for path in (project.path / "cassettes").rglob("*") if path.is_file()]


def test_an_error_that_repeats_it_reaches_neither_events_nor_logs(project: Project) -> None:
    project.test_file(
        HIDDEN
        + """
    async def test_it(supervision_tree, work_item, event_log, scripted_claude, caplog):
        message = "bad key " + secret() + " " + wrapped()
        scripted_claude.fail(status=400, message=message, times=None)
        item = work_item("Say that it is done.", review=False, max_attempts=1)
        handle = await supervision_tree.submit(item)
        result = await handle.result(timeout=5)

        assert not result.success
        assert "<redacted:DB_PASSWORD>" in result.error.message
        told = [event.model_dump_json() for event in event_log]
        assert any("<redacted:DB_PASSWORD>" in one for one in told)
        assert not [one for one in told if secret() in one or wrapped() in one]
        assert not [one for one in caplog.records if secret() in one.getMessage()]
        print(told, repr(list(event_log)))
    """
    )

    result = project.run(*RECORD, "-rP")

    result.assert_outcomes(passed=1)
    check_nothing_leaks(project, result)


def test_variables_that_the_ini_file_names_are_secrets_whatever_they_look_like(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE", "Bakerstreet 221b")
    project.pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        mnemosyne_secrets =
            HOUSE
            NOT_SET
        """
    )
    project.test_file(
        """
        import os

        async def test_it(claude, scripted_claude):
            scripted_claude.reply("hello")
            await ask(claude, "Who lives at " + os.environ["HOUSE"] + "?")
        """
    )

    project.run(*RECORD).assert_outcomes(passed=1)

    (interaction,) = load(project.path / "cassettes/test_it/test_it.yaml").interactions
    assert b"Who lives at <redacted:HOUSE>?" in interaction.request.body
    project.run().assert_outcomes(passed=1)


ASKING_ABOUT_TWO = """
    async def about(claude, scripted_claude, name):
        scripted_claude.reply("this is " + name)
        return await ask(claude, "Whose is " + os.environ[name] + "?")

    async def test_it(claude, scripted_claude):
        for name in os.environ["ORDER"].split():
            assert await about(claude, scripted_claude, name) == "this is " + name
"""


def test_a_request_with_a_secret_replays_for_every_value_and_for_no_other_secret(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "first-of-2-secrets")
    monkeypatch.setenv("B_TOKEN", "second-of-2-secrets")
    monkeypatch.setenv("ORDER", "A_TOKEN B_TOKEN")
    project.test_file(HIDDEN + ASKING_ABOUT_TWO)
    project.run(*RECORD).assert_outcomes(passed=1)

    monkeypatch.setenv("ORDER", "B_TOKEN A_TOKEN")
    monkeypatch.setenv("A_TOKEN", "another-1-of-whoever-replays")
    project.run("--override-ini=mnemosyne_order=ignore").assert_outcomes(passed=1)

    monkeypatch.setenv("C_TOKEN", "third-of-2-secrets")
    monkeypatch.setenv("ORDER", "C_TOKEN")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*why: *only messages?0? (user) differs*{+C+}_TOKEN>*"])


def test_keys_that_look_alike_and_have_no_names_are_told_when_they_are_recorded(
    project: Project,
) -> None:
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            for number in range(2):
                scripted_claude.reply(str(number))
                await ask(claude, f"Is sk-ant-api03-AAAABBBB000{number} yours?")
        """
    )

    recorded = project.run(*RECORD)
    replayed = project.run()

    recorded.stdout.fnmatch_lines(
        ["*test_it: interactions 1 and 2 of its cassette differ in nothing but the keys in *"]
    )
    replayed.assert_outcomes(passed=1)
    replayed.stdout.no_fnmatch_line("*differ in nothing*")


TELLING = """
    import warnings

    warnings.warn("nothing is secret yet")

    def test_warning(claude_sync, scripted_claude):
        scripted_claude.reply("hello")
        warnings.warn("beware of " + ask_sync(claude_sync, "Say hello.") + secret())

    @pytest.mark.xfail(reason="for " + secret())
    def test_xfail(claude_sync):
        assert False

    @pytest.mark.skipif(not SUBTESTS, reason="pytest has no subtests yet")
    def test_subtests(claude_sync, request):
        subtests = request.getfixturevalue("subtests")
        with subtests.test("say " + secret(), wrapped=wrapped(), number=1):
            print("printed", secret())
            assert False

    class TestOfUnittest(unittest.TestCase):
        @pytest.mark.claude_cassette
        def test_it(self):
            if SUBTESTS:
                with self.subTest("now " + secret(), plain=secret()):
                    assert False

    def test_without_a_cassette():
        warnings.warn("later, " + wrapped())
""".replace("SUBTESTS", str(pytest.version_tuple >= (9,)))


@pytest.mark.parametrize(
    "workers", [(), pytest.param(("-n", "1"), marks=pytest.mark.slow)], ids=["here", "workers"]
)
def test_warnings_reasons_and_subtests_do_not_tell_it(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.test_file(HIDDEN + TELLING)

    result = project.run(*RECORD, "-rA", "-v", "-W", "always", *workers)

    check_nothing_leaks(project, result)
    result.stdout.fnmatch_lines(
        [
            "*UserWarning: nothing is secret yet*",
            "*UserWarning: beware of hello<redacted:DB_PASSWORD>*",
            "*UserWarning: later, *",
            "XFAIL * - for <redacted:DB_PASSWORD>",
        ]
    )
    if pytest.version_tuple >= (9,):
        result.stdout.fnmatch_lines(["*test_subtests ?say <redacted:DB_PASSWORD>? (wrapped=*"])
        result.stdout.fnmatch_lines(["*test_it ?now <redacted:DB_PASSWORD>? (plain=*<redacted*"])
        result.stdout.fnmatch_lines(["printed <redacted:DB_PASSWORD>"])


class LateWarning(UserWarning):
    """One that makes its text when it is shown."""

    def __str__(self) -> str:
        return " and ".join(self.args[0])


@dataclass(frozen=True)
class Context:
    """What a subtest's report has of its subtest, whoever makes it."""

    msg: str
    kwargs: dict[str, object]


@settings(deadline=None, max_examples=60)
@given(spelled=spellings(), kind=st.sampled_from(["warning", "late", "text"]))
def test_no_spelling_of_it_passes_in_a_warning_or_a_subtest(spelled: Spelling, kind: str) -> None:
    text = f"beware: {spelled(SECRET)}"
    made: dict[str, Warning | str] = {
        "warning": UserWarning(text),
        "late": LateWarning([text, text]),
        "text": text,
    }
    warning = warnings.WarningMessage(made[kind], UserWarning, __file__, 1, line=f"warn({text!r})")
    report = pytest.TestReport("t.py::t", ("t.py", 0, "t"), {}, "failed", text, "call")
    context = Context(text, {"plain": text, "inner": [text], "number": 1})
    report.context = context  # type: ignore[attr-defined]
    manager = pytest.PytestPluginManager()
    redactor = Redactor({"DB_PASSWORD": SECRET})
    Tellings().join(manager, redactor.shown_text)

    manager.hook.pytest_warning_recorded.call_historic(
        kwargs={"warning_message": warning, "when": "runtest", "nodeid": "", "location": None}
    )
    manager.hook.pytest_runtest_logreport(report=report)

    told = warnings.formatwarning(
        str(warning.message), warning.category, warning.filename, warning.lineno, warning.line
    )
    assert "beware" in told
    assert context.kwargs["number"] == 1
    for each in (told, repr(warning.message), repr(context), report.longreprtext):
        assert not holds(each.encode(), SECRET)


def test_a_secret_that_would_be_found_everywhere_stops_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "1234")
    project.pytester.makeini("[pytest]\nmnemosyne_secrets = PIN\n")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mnemosyne_secrets names PIN, whose value has 4 characters*"])


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        pytest.param("ANTHROPIC_API_KEY", "sk-ant-api03-abcdefgh", True, id="claude"),
        pytest.param("ANTHROPIC_AUTH_TOKEN", "letters-only-are-fine", True, id="claude-token"),
        pytest.param("ANTHROPIC_API_KEY", "dummy", False, id="stand-in"),
        pytest.param("DB_PASSWORD", "correct9horse9battery", True, id="password"),
        pytest.param("APP_SECRET_KEY", "0f9e8d7c6b5a43210f9e", True, id="key"),
        pytest.param("github_token", "ghx_0f9e8d7c6b5a4321", True, id="lower-case"),
        pytest.param("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key-1234.json", False, id="path"),
        pytest.param("KEY_SERVER", "https://keys.example.org/1", False, id="address"),
        pytest.param("TOKENIZERS_PARALLELISM", "false-or-1234-or-so", False, id="part-of-a-word"),
        pytest.param("KEYBOARD_LAYOUT", "de-nodeadkeys-102-105", False, id="keyboard"),
        pytest.param("TOKEN_HELP", "a text of 5 words, or so", False, id="text"),
        pytest.param("SECRET_NUMBER", "12345678901234567890", False, id="number"),
        pytest.param("PATH_TO_X", "0f9e8d7c6b5a43210f9e", False, id="another-name"),
        pytest.param("API_KEY", "0f9e8d7c6b5a", False, id="short"),
    ],
)
def test_what_is_a_secret_by_its_name_and_look(name: str, value: str, is_secret: bool) -> None:
    assert run_secrets({name: value}) == ({name: value} if is_secret else {})


def test_what_was_named_is_a_secret_and_what_is_empty_is_none(tmp_path: Path) -> None:
    environ = {"HOUSE": "Bakerstreet", "EMPTY": ""}

    assert run_secrets(environ, named=["HOUSE", "EMPTY", "ABSENT"]) == {"HOUSE": "Bakerstreet"}
    assert run_secrets(environ) == {}


def test_of_several_names_what_the_project_has_named_comes_first() -> None:
    value = "0f9e8d7c6b5a43210f9e"
    environ = dict.fromkeys(("A_TOKEN", "ANTHROPIC_API_KEY", "Z_OF_THE_INI", "B_OF_THE_INI"), value)

    found = run_secrets(environ, named=["Z_OF_THE_INI", "B_OF_THE_INI"])

    assert list(found) == ["Z_OF_THE_INI", "B_OF_THE_INI", "ANTHROPIC_API_KEY", "A_TOKEN"]
    assert list(run_secrets(dict(reversed(environ.items())))) == ["ANTHROPIC_API_KEY", "A_TOKEN"]


def test_the_checker_of_these_tests_sees_what_is_wrapped() -> None:
    wrapped = base64.b64encode(f"x{SECRET}".encode())

    assert holds(b"say " + wrapped + b" twice", SECRET)
    assert not holds(b"say nothing", SECRET)
