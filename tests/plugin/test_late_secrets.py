"""Secrets that a run comes to know on its way: of fixtures, and keys that a client sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pytest_mnemosyne.cassette import load
from pytest_mnemosyne.plugin._secrets import RunSecrets
from tests.plugin.project import Project
from tests.plugin.test_secrets import RECORD, check_nothing_leaks

VALUES = {"VAULT": "kept in a vault, 4711", "SHELF": "0f9e8d7c6b5a43210f9e"}
"""What is in the environment under names that say nothing, and no secret there."""

KEY = "corp-opaque-key-99887766"

INI = """
    [pytest]
    asyncio_mode = auto
    asyncio_default_fixture_loop_scope = function
    mnemosyne_secrets = HOUSE
"""

SETTING = """
    import os

    LATE = {"HOUSE": os.environ["VAULT"], "APP_TOKEN": os.environ["SHELF"]}

    def words():
        return " and ".join(LATE.values())
"""
"""Two secrets, one by its name and one by the ini setting, that no variable has yet."""

SETTERS = {
    "session": """
    @pytest.fixture(scope="session", autouse=True)
    def dotenv():
        os.environ.update(LATE)
        yield
        for name in LATE:
            del os.environ[name]
        assert False, words()
    """,
    "function": """
    @pytest.fixture(autouse=True)
    def vault(monkeypatch):
        with monkeypatch.context() as patch:
            for each in LATE.items():
                patch.setenv(*each)
            yield
        print("taken away", words())
        assert False, words()
    """,
    "test": """
    @pytest.fixture(autouse=True)
    def vault(request, monkeypatch):
        yield
        monkeypatch.undo()
        assert request.node.name != "test_it", words()
    """,
}


@pytest.fixture(autouse=True)
def _values(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in VALUES.items():
        monkeypatch.setenv(*each)


@pytest.fixture
def project(project: Project) -> Project:
    project.pytester.makeini(INI)
    return project


@pytest.mark.parametrize("scope", SETTERS)
def test_what_a_fixture_sets_is_a_secret_also_when_it_is_gone_again(
    project: Project, scope: str
) -> None:
    project.test_file(
        SETTING
        + SETTERS[scope]
        + """
    async def test_first(claude):
        pass

    async def test_it(claude, scripted_claude, claude_cassette, monkeypatch):
        SET
        scripted_claude.reply("it is " + words())
        print(await ask(claude, "Is it " + words() + "?"), claude_cassette.turns)
    """.replace(
            "SET", "[monkeypatch.setenv(*each) for each in LATE.items()]" if scope == "test" else ""
        )
    )

    recorded = project.run(*RECORD, "-rA")

    # What the teardown asserts is there to tell them.
    for secret in VALUES.values():
        check_nothing_leaks(project, recorded, secret=secret)
    recorded.assert_outcomes(passed=2, errors=2 if scope == "function" else 1)
    recorded.stdout.fnmatch_lines(["*AssertionError: <redacted:HOUSE> and <redacted:APP_TOKEN>*"])


@pytest.mark.parametrize("scope", SETTERS)
def test_a_late_secret_is_recorded_as_any_other_and_replays(project: Project, scope: str) -> None:
    setter = SETTERS[scope].partition("assert")[0]
    project.test_file(
        SETTING
        + setter
        + """
    async def test_it(claude, scripted_claude, monkeypatch):
        if "HOUSE" not in os.environ:
            for each in LATE.items():
                monkeypatch.setenv(*each)
        scripted_claude.reply("yes")
        assert await ask(claude, "Is it " + words() + "?") == "yes"
    """
    )

    project.run(*RECORD).assert_outcomes(passed=1)

    (interaction,) = load(project.path / "cassettes/test_it/test_it.yaml").interactions
    assert b"Is it <redacted:HOUSE> and <redacted:APP_TOKEN>?" in interaction.request.body
    project.run().assert_outcomes(passed=1)


CLIENTS = {
    "authorization": "api_key=key",
    "x-api-key": 'api_key="stand-in", default_headers={"x-api-key": key}',
}


@pytest.mark.parametrize("header", CLIENTS)
def test_the_key_that_a_client_sends_is_a_secret_from_then_on(
    project: Project, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setenv("SHELF", KEY)
    project.test_file(
        """
    import anthropic, os

    def test_it(scripted_claude, claude_cassette):
        key = os.environ["SHELF"]
        scripted_claude.fail(status=400, message="your key is " + key)
        with anthropic.Anthropic(GIVEN, max_retries=0) as client:
            with pytest.raises(anthropic.BadRequestError) as failed:
                ask_sync(client, "Is it " + key + "?")
        assert claude_cassette.turns
        print(failed.value)
    """.replace("GIVEN", CLIENTS[header])
    )

    recorded = project.run(*RECORD, "-rP")
    replayed = project.run("-rP")

    for result in (recorded, replayed):
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines([f"*your key is <redacted:{header}>*"])
        check_nothing_leaks(project, result, secret=KEY)
    (interaction,) = load(project.path / "cassettes/test_it/test_it.yaml").interactions
    assert f"Is it <redacted:{header}>?".encode() in interaction.request.body


def test_stand_ins_for_keys_are_no_secrets(project: Project) -> None:
    project.test_file(
        """
    import anthropic

    def test_it(scripted_claude, claude_sync):
        scripted_claude.reply("hello")
        key = claude_sync.api_key
        with anthropic.Anthropic(api_key="stand-in", max_retries=0) as client:
            ask_sync(client, "Is it stand-in?")
        scripted_claude.reply("hello")
        ask_sync(claude_sync, "Is it " + key + "?")
    """
    )

    project.run(*RECORD).assert_outcomes(passed=1)

    text = (project.path / "cassettes/test_it/test_it.yaml").read_text()
    assert "Is it stand-in?" in text
    assert "redacted" not in text


def test_a_late_value_that_cannot_be_looked_for_is_told_and_nothing_is_written(
    project: Project,
) -> None:
    project.test_file(
        """
    import os

    @pytest.fixture(scope="session", autouse=True)
    def pin():
        os.environ["HOUSE"] = "221b"
        yield
        del os.environ["HOUSE"]

    async def test_first(claude, scripted_claude):
        scripted_claude.reply("hello")
        await ask(claude, "Say hello.")

    async def test_second(claude):
        pass
    """
    )

    result = project.run(*RECORD)

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*the ini setting mnemosyne_secrets names HOUSE, whose value has 4 characters*"]
    )
    assert not list((project.path / "cassettes").rglob("*.yaml"))


# --- what a run knows ------------------------------------------------------------------


def test_the_redactor_is_the_same_until_there_is_another_secret() -> None:
    environ = {"A_TOKEN": "first-of-2-secrets"}
    secrets = RunSecrets(environ)
    first = secrets.redactor()

    environ["HARMLESS"] = "first-of-2-secrets, not"
    del environ["A_TOKEN"]
    assert secrets.redactor() is first

    environ["A_TOKEN"] = "second-of-2-secrets"
    both = secrets.redactor()
    assert both is not first
    assert both.shown_text("first-of-2-secrets") == "<redacted:A_TOKEN>"
    assert both.shown_text("second-of-2-secrets") == "<redacted:A_TOKEN>"


def test_a_value_has_the_name_of_the_variable_that_holds_it_now() -> None:
    environ = {"A_TOKEN": "held-by-1-then-another"}
    secrets = RunSecrets(environ)

    environ["B_TOKEN"] = environ.pop("A_TOKEN")

    assert secrets.redactor().shown_text("held-by-1-then-another") == "<redacted:B_TOKEN>"
    del environ["B_TOKEN"]
    assert secrets.redactor().shown_text("held-by-1-then-another") == "<redacted:B_TOKEN>"


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        pytest.param("x-api-key", KEY, "<redacted:x-api-key>", id="key"),
        pytest.param("authorization", f"Bearer {KEY}", "<redacted:authorization>", id="bearer"),
        pytest.param("authorization", KEY, "<redacted:authorization>", id="no-scheme"),
        pytest.param("proxy-authorization", f"Basic {KEY}", "<redacted:proxy-authorization>"),
        pytest.param("x-api-key", f"{KEY} {KEY}", KEY, id="blank-in-a-key"),
        pytest.param("x-api-key", "made-up-for-runs", "made-up-for-runs", id="own-stand-in"),
        pytest.param(
            "authorization", "Bearer made-up-for-runs", "made-up-for-runs", id="bearer-too"
        ),
        pytest.param("x-api-key", "short-stand-in", "short-stand-in", id="short"),
        pytest.param("x-api-key", '"' * 20, '"' * 20, id="nothing-but-quotes"),
        pytest.param("x-api-key", "held-by-a-variable", "<redacted:A_TOKEN>", id="variable"),
    ],
)
def test_what_of_a_header_is_a_secret(header: str, value: str, shown: str) -> None:
    environ: dict[str, str] = {}
    secrets = RunSecrets(environ, named=["A_TOKEN"], stand_in="made-up-for-runs")
    environ["A_TOKEN"] = "held-by-a-variable"

    secrets.sent(header, value)

    text = value.rpartition(" ")[2]
    assert secrets.redactor().shown_text(f"is {text} yours?") == f"is {shown} yours?"


def test_secrets_are_read_while_other_threads_change_the_environment() -> None:
    environ = Vanishing()
    secrets = RunSecrets(environ, named=["GONE"])

    environ["GONE"] = "there-for-1-moment"

    assert secrets.redactor().shown_text("there-for-1-moment") == "there-for-1-moment"


class Vanishing(dict[str, str]):
    """An environment whose variables are gone before they are read."""

    def __iter__(self) -> Iterator[str]:
        names = list(super().__iter__())
        thread = threading.Thread(target=self.clear)
        thread.start()
        thread.join()
        return iter(names)
