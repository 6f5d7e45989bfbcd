"""The group as a whole, and what only a real process shows."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from .conftest import Cassettes
from .making import call, cassette, message, text, user

COMMANDS = ("show", "textconv", "diff", "check", "trim", "export", "import", "recover")
HEAVY = {"anthropic", "httpx2", "pytest", "vcr", "yaml"}


def test_the_group_is_an_entry_point_of_the_command_line() -> None:
    (found,) = entry_points(group="mnemosyne", name="cassettes")

    assert found.value == "pytest_mnemosyne.commands"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cassettes: Cassettes, command: str) -> None:
    ran = cassettes(command, "--help")

    assert ran.exit_code == 0
    assert f"cassettes {command} [OPTIONS]" in ran.stdout
    # Typer brackets what may be left out by itself.
    assert "[[" not in ran.stdout


def test_help_lists_the_commands(cassettes: Cassettes) -> None:
    ran = cassettes("--help")

    listed = [line.split()[0] for line in ran.stdout.partition("Commands:\n")[2].splitlines()]
    assert sorted(listed) == sorted(COMMANDS)
    assert "..." not in ran.stdout.partition("Commands:")[2], "each is told in one line"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from mnemosyne_core.cli import make_app\n"
        "from pytest_mnemosyne import commands\n"
        "make_app([commands], load_entry_points=False)(\n"
        "    ['cassettes', '--help'], standalone_mode=False\n"
        ")\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    imported = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "Look at cassettes" in ran.stdout
    assert not imported & HEAVY


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    many = [call([user(f"Question {n} " * 500)], message(text("Yes."))) for n in range(40)]
    path = cassette(tmp_path / "x.yaml", *many)
    mnemosyne = Path(sys.executable).with_name("mnemosyne")

    with subprocess.Popen(
        [mnemosyne, "cassettes", "show", path, "--full"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert first == f"{path}\n"
    assert errors == ""
