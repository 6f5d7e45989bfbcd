"""Every code block in the README and the docs is run.

What is done with a block follows from its fence, and a fence that says nothing
known fails the test, so no block can stand there unrun:

================================  =====================================================
fence                             what happens
================================  =====================================================
`python`                          runs as a program, in this process
`python name=FILE`, `toml` and    written to the page's folder; a test file that no command
`yaml` likewise                   of the page runs is run by pytest when the page ends
`console`                         each `$ command` runs in the page's folder and prints
                                  the lines below it (`...` stands for anything);
                                  `exit=N` where it does not end with 0
`toml`, `yaml`, `json`            parsed; settings of pytest and cassettes by their
                                  real readers
`bash name=NAME`                  one line; `.ci/run` runs it (test_workflows.py)
================================  =====================================================

A page's blocks run in order in one folder, as a reader would type them; those of an
example's README in a copy of the example. `pytest` runs in this process too, any other
program in one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import pytest
import yaml

from tests import markdown, surroundings
from tests.markdown import Block

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(ROOT.glob("examples/*/README.md"))
PAGES = [
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *EXAMPLES,
]
CACHES = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
PROGRAMS = {"cat", "mnemosyne", "pytest", "python"}
COMMAND_S = 120.0
AS_READERS_RUN_IT = ("-p", "no:recording", "-o", "asyncio_default_fixture_loop_scope=function")
"""A reader has no pytest-recording; what pytest-asyncio asks to be set warns the run around it."""


@pytest.fixture(scope="module", autouse=True)
def _imported_once() -> None:
    """A page imports anything of ours, before and after a run that forgets what it brought."""
    surroundings.import_once()


class Reader:
    """Somebody who follows one page in a folder of their own."""

    def __init__(self, folder: Path, pytester: pytest.Pytester) -> None:
        self.folder = folder
        self.pytester = pytester
        self.environment = _environment(folder)
        pytester.syspathinsert(folder)
        self.unrun: set[str] = set()
        """Test files that the page has shown and that no pytest has run yet."""

    def check(self, page: Path) -> None:
        """Do what each block of the page is there for; fail where it is not true."""
        for block in markdown.blocks(page):
            try:
                do = KINDS[block.language]
            except KeyError:
                known = ", ".join(sorted(KINDS))
                pytest.fail(f"{block}: nothing runs a {block.language!r} block; known: {known}")
            do(self, block)
        if self.unrun:
            self.run(["pytest", "-q", *sorted(self.unrun)], exit_code=0, where=page.name)

    def run(self, command: list[str], *, exit_code: int, where: str) -> str:
        """Run a command and hand back what it printed."""
        program, *arguments = command
        assert program in PROGRAMS, f"{where}: {program} is none of {sorted(PROGRAMS)}"
        if program == "pytest":
            chosen = {each.partition("::")[0] for each in arguments if not each.startswith("-")}
            self.unrun -= chosen or self.unrun
            code, printed = self._pytest(arguments)
        else:
            code, printed = self._process(program, arguments)
        said = f"{where}: $ {shlex.join(command)}\n{printed}"
        assert code == exit_code, f"ended with {code}, not {exit_code}\n{said}"
        return printed

    def _pytest(self, arguments: list[str]) -> tuple[int, str]:
        """Its exit code and output. In a process of its own each run would import the SDK."""
        environment = mock.patch.dict(os.environ, self.environment, clear=True)
        with contextlib.chdir(self.folder), environment:
            ran = self.pytester.runpytest_inprocess(*AS_READERS_RUN_IT, *arguments)
        return ran.ret, "\n".join([*ran.outlines, *ran.errlines])

    def _process(self, program: str, arguments: list[str]) -> tuple[int, str]:
        """Its exit code and output."""
        ran = subprocess.run(
            [_program(program), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
        )
        return ran.returncode, ran.stdout

    def python(self, block: Block) -> None:
        if block.name is not None:
            self._write(block)
            return
        # In this process: the SDK alone would cost each block more than a second.
        with contextlib.chdir(self.folder):
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})

    def console(self, block: Block) -> None:
        expected = {word.partition("=")[0]: word.partition("=")[2] for word in block.words}
        assert set(expected) <= {"exit"}, f"{block}: unknown words {block.words}"
        steps: list[tuple[str, list[str]]] = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif line:
                assert steps, f"{block}: output before the first command"
                steps[-1][1].append(line)
        assert steps, f"{block}: no line begins with '$ '"
        for number, (command, shown) in enumerate(steps, start=1):
            is_last = number == len(steps)
            code = int(expected.get("exit", "0")) if is_last else 0
            printed = self.run(shlex.split(command), exit_code=code, where=str(block))
            _check_shown(shown, printed, where=str(block))

    def toml(self, block: Block) -> None:
        settings = tomllib.loads(block.text)
        if "ini_options" in settings.get("tool", {}).get("pytest", {}):
            # With --strict-config an unknown name is an error; nothing is collected.
            trial = self.folder / f"line_{block.line}"
            trial.mkdir()
            (trial / "pyproject.toml").write_text(block.text, encoding="utf-8")
            self.run(
                ["pytest", "--strict-config", f"--rootdir={trial.name}", "-q", trial.name],
                exit_code=pytest.ExitCode.NO_TESTS_COLLECTED,
                where=str(block),
            )
        if block.name is not None:
            self._write(block)

    def yaml(self, block: Block) -> None:
        loaded = yaml.safe_load(block.text)
        if isinstance(loaded, dict) and "mnemosyne" in loaded:
            from pytest_mnemosyne.cassette import load

            path = self.folder / f"line_{block.line}.yaml"
            path.write_text(block.text, encoding="utf-8")
            assert load(path).interactions, f"{block}: this cassette holds nothing"
        if block.name is not None:
            self._write(block)

    def json(self, block: Block) -> None:
        json.loads(block.text)

    def bash(self, block: Block) -> None:
        assert block.name is not None, f"{block}: nothing runs a bash block without a name"
        assert block.page.name == "README.md", f"{block}: .ci/run takes its commands from README.md"
        assert len(block.text.splitlines()) == 1, f"{block}: more than one line to paste"

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.match("test_*.py"):
            self.unrun.add(str(block.name))


KINDS: Mapping[str, Callable[[Reader, Block], None]] = {
    "bash": Reader.bash,
    "console": Reader.console,
    "json": Reader.json,
    "python": Reader.python,
    "toml": Reader.toml,
    "yaml": Reader.yaml,
}


def _environment(home: Path) -> dict[str, str]:
    """Of somebody without a key, outside CI, whose folders are empty."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTHROPIC_", "MNEMOSYNE_", "PYTEST_", "COV_", "XDG_"))
        and name != "CI"
    }
    here = str(home)
    # The path makes an example importable that is not installed here.
    return kept | {
        "HOME": here,
        "USERPROFILE": here,
        "PYTHONPATH": here,
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }


def _program(name: str) -> str:
    beside_python = Path(sys.executable).with_name(name)
    return str(beside_python) if beside_python.exists() else name


def _check_shown(shown: list[str], printed: str, *, where: str) -> None:
    """Fail unless the lines that a page shows were printed, in that order."""
    patterns = [_pattern(line) for line in shown if line.strip() != "..."]
    try:
        pytest.LineMatcher(printed.splitlines()).fnmatch_lines(patterns)
    except pytest.fail.Exception as error:
        pytest.fail(f"{where}: the page shows what is not printed\n{error}\nprinted:\n{printed}")


def _pattern(line: str) -> str:
    return line.replace("[", "[[]").replace("...", "*")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=str(page.relative_to(ROOT).with_suffix(""))) for page in PAGES]
)
def test_a_reader_can_do_what_the_page_says(
    page: Path, tmp_path: Path, pytester: pytest.Pytester
) -> None:
    folder = tmp_path / "reader"
    if page in EXAMPLES:
        shutil.copytree(page.parent, folder, ignore=CACHES)
    else:
        folder.mkdir()

    Reader(folder, pytester).check(page)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("```ruby\nputs 1\n```", "nothing runs a 'ruby' block", id="unknown-language"),
        pytest.param("```\nx\n```", "nothing runs a '' block", id="no-language"),
        pytest.param("```python\n1 / 0\n```", "division by zero", id="program-that-fails"),
        pytest.param("```bash\nls\n```", "without a name", id="nameless-bash"),
        pytest.param("```console\n$ rm x\n```", "rm is none of", id="program-not-allowed"),
        pytest.param(
            "```console\n$ python -c 'print(1)'\n2\n```", "shows what is not printed", id="output"
        ),
        pytest.param("```console exit=1\n$ python -V\n```", "ended with 0, not 1", id="exit-code"),
        pytest.param(
            "```python name=test_x.py\ndef test_x():\n    assert False\n```",
            "ended with 1, not 0",
            id="failing-test-file",
        ),
        pytest.param(
            "```toml\n[tool.pytest.ini_options]\nmnemosyne_nonsense = 1\n```",
            "mnemosyne_nonsense",
            id="unknown-setting",
        ),
    ],
)
def test_a_page_that_is_not_true_fails(
    tmp_path: Path, pytester: pytest.Pytester, text: str, complaint: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()

    # A program that fails does so with an error of its own.
    with pytest.raises((AssertionError, ArithmeticError, pytest.fail.Exception), match=complaint):
        Reader(folder, pytester).check(page)


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []
