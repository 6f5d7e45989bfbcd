"""What it costs to have the plug-in installed."""

from __future__ import annotations

import json

import pytest

from tests.plugin.project import Project

HEAVY = ("anthropic", "httpx2", "hypothesis", "pydantic", "starlette", "uvicorn", "vcr", "yaml")


@pytest.mark.slow
def test_loading_and_an_ordinary_test_import_nothing_heavy(project: Project) -> None:
    project.pytester.makepyfile(
        """
        import json, sys

        def test_it():
            with open("loaded.json", "w") as file:
                json.dump(sorted(sys.modules), file)
        """
    )

    result = project.run_apart("-p", "no:hypothesispytest", "-p", "no:anyio")

    result.assert_outcomes(passed=1)
    loaded = json.loads((project.path / "loaded.json").read_text(encoding="utf-8"))
    assert "pytest_mnemosyne.plugin" in loaded
    assert sorted(set(HEAVY) & set(loaded)) == []


@pytest.mark.slow
def test_it_can_be_switched_off(project: Project) -> None:
    project.pytester.makepyfile("def test_it(): pass")

    project.run_apart("-p", "no:mnemosyne").assert_outcomes(passed=1)


def test_no_state_is_left_from_one_run_to_the_next(project: Project) -> None:
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        async def test_it(claude):
            assert await ask(claude, "known") == "answer"
        """
    )

    for _ in range(2):
        result = project.run()
        result.stdout.fnmatch_lines(["mnemosyne (replay): 1 played; 7 tokens in, 3 out"])
