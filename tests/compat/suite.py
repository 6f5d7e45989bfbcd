"""A downstream suite of vcrpy tests: its files, its cassettes, its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from tests.compat.echo import Echo
from tests.plugin.project import interaction

COMPAT = ("-p", "pytest_mnemosyne.compat.recording")
"""How a run has this project's stand-in for pytest-recording; any other has the real one."""

_LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")

_HELPERS = """
    import urllib.request
    from pathlib import Path

    import pytest

    URL = {url!r}
    SEEN = Path({seen!r})

    def get(path, request):
        try:
            with urllib.request.urlopen(URL + path, timeout=5) as answer:
                text = answer.read().decode()
        except Exception as error:
            kind = RuntimeError if isinstance(error, RuntimeError) else type(error)
            text = kind.__name__ + ": " + str(error).splitlines()[0]
        with SEEN.open("a") as file:
            file.write(request.node.nodeid + " " + path + " -> " + text + chr(10))
        return text

    def ask(text, **options):
        import anthropic

        with anthropic.Anthropic(api_key="key", max_retries=0, **options) as claude:
            messages = [{{"role": "user", "content": text}}]
            answer = claude.messages.create(
                model="claude-sonnet-5-5", max_tokens=16, messages=messages
            )
            return answer.content[0].text
"""
"""What every test file begins with: `get` notes what it was answered, `ask` asks Claude."""


@dataclass(frozen=True)
class Ran:
    """One run of the suite."""

    outcomes: list[tuple[str, str, str]]
    """Of each phase of each test: its id, the phase, the outcome."""

    seen: str
    """What the tests were answered."""

    asked: Mapping[str, int]
    """What reached the server."""

    files: Mapping[str, bytes] = field(repr=False)
    """The cassettes, by their path in the project."""


class Suite:
    """Where a test's files and runs live."""

    def __init__(self, pytester: pytest.Pytester, echo: Echo) -> None:
        self._pytester = pytester
        self._echo = echo
        self.path = Path(pytester.path)
        self.ini()

    def ini(self, *lines: str) -> None:
        """The settings of the suite, and `lines` of more."""
        settings = (
            "asyncio_mode = auto",
            "asyncio_default_fixture_loop_scope = function",
            # A connection that is refused leaves its socket to the garbage collector.
            "filterwarnings =",
            "    error",
            "    ignore::pytest.PytestUnraisableExceptionWarning",
        )
        self._pytester.makeini("\n".join(["[pytest]", *settings, *lines]))

    def file(self, source: str, name: str = "test_it.py") -> None:
        """A Python file."""
        helpers = dedent(_HELPERS).format(url=self._echo.url, seen=str(self.path / "seen.txt"))
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{helpers}\n{dedent(source)}", encoding="utf-8")

    def recording(self, name: str, *paths: str, serializer: str = "yaml") -> Path:
        """A cassette of vcrpy's below the tests' folder, with an answer for each path."""
        return self._vcrpys(name, [self._exchange(path) for path in paths], serializer)

    def claudes(self, name: str, *exchanges: tuple[str, str], others: tuple[str, ...] = ()) -> Path:
        """A cassette of vcrpy's with Claude's answer to each question, and for other paths."""
        found = [_claudes(*each) for each in exchanges]
        return self._vcrpys(name, [*found, *map(self._exchange, others)], "yaml")

    def questions(self, path: Path) -> list[str]:
        """What Claude is asked in a cassette of vcrpy's, in its order."""
        exchanges = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
        bodies = [json.loads(each["request"]["body"]) for each in exchanges]
        return [body["messages"][0]["content"] for body in bodies]

    def run(self, *args: str) -> pytest.RunResult:
        """pytest on the suite, inside this process."""
        return self._pytester.runpytest_inprocess(*_LEAN, *args)

    def run_apart(self, *args: str) -> pytest.RunResult:
        """pytest on the suite, in a process of its own."""
        return self._pytester.runpytest_subprocess(*_LEAN, *args)

    def observe(self, *args: str) -> Ran:
        """Run the suite and tell everything that came of it."""
        self._echo.forget()
        recorder = self._pytester.inline_run(*_LEAN, *args)
        seen = self.path / "seen.txt"
        cassettes = sorted(each for each in self.path.rglob("cassettes/**/*") if each.is_file())
        return Ran(
            outcomes=[
                (report.nodeid, str(report.when), report.outcome)
                for report in recorder.getreports("pytest_runtest_logreport")
            ],
            seen=seen.read_text(encoding="utf-8") if seen.exists() else "",
            asked=dict(self._echo.asked),
            files={str(each.relative_to(self.path)): each.read_bytes() for each in cassettes},
        )

    def _vcrpys(self, name: str, exchanges: list[dict[str, object]], serializer: str) -> Path:
        document = {"interactions": exchanges, "version": 1}
        path = self.path / "cassettes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document) if serializer == "json" else yaml.safe_dump(document)
        path.write_text(text, encoding="utf-8")
        return path

    def _exchange(self, path: str) -> dict[str, object]:
        asked = {"method": "GET", "uri": self._echo.url + path, "body": "", "headers": {}}
        return {"request": asked, "response": _answered(f"{path} recorded")}


def _claudes(question: str, answer: str) -> dict[str, object]:
    made = interaction(question, answer)
    assert made.response is not None
    asked = {
        "method": made.request.method,
        "uri": made.request.url,
        "body": made.request.body.decode(),
        "headers": {"content-type": ["application/json"]},
    }
    return {"request": asked, "response": _answered(made.response.body.decode())}


def _answered(text: str) -> dict[str, object]:
    return {
        "status": {"code": 200, "message": "OK"},
        "headers": {"content-type": ["application/json"]},
        "body": {"string": text},
    }
