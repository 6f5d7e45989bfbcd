from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mnemosyne_core.cli import make_app
from pytest_mnemosyne import commands
from tests.plugin.project import Project


def test_what_a_full_run_has_kept_is_removed_by_the_command(project: Project) -> None:
    used = project.cassette("test_it/test_one", ("One?", "1"), ("Two?", "2"))
    orphan = project.cassette("old", ("Three?", "3"))
    project.test_file("def test_one(claude_sync): assert ask_sync(claude_sync, 'One?') == '1'")
    _run(project)

    app = make_app([commands], load_entry_points=False)
    ran = CliRunner().invoke(app, ["cassettes", "trim", str(project.path)])

    assert ran.exit_code == 0, ran.output
    assert "Two?" not in used.read_text("utf-8")
    assert not orphan.exists()
    _run(project).assert_outcomes(passed=1)


def _run(project: Project) -> pytest.RunResult:
    """pytest with its cache, which the other inner runs do without."""
    return project.pytester.runpytest_inprocess("-p", "no:hypothesispytest", "-p", "no:recording")
