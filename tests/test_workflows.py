"""What the workflows promise: every Python, the README's commands, and no key for strangers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import markdown

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
KEY = "${{ secrets.ANTHROPIC_API_KEY }}"

each_workflow = pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in WORKFLOWS]
)


def workflow(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else str(key): value for key, value in loaded.items()}


def triggers(path: Path) -> set[str]:
    on = workflow(path)["on"]
    return {on} if isinstance(on, str) else set(on)


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def test_there_is_a_workflow_for_changes_and_one_for_recording() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "record"]


@each_workflow
def test_only_what_is_started_by_hand_sees_a_secret(path: Path) -> None:
    names_a_secret = "secrets." in path.read_text(encoding="utf-8")

    assert not names_a_secret or triggers(path) == {"workflow_dispatch"}


@each_workflow
def test_no_workflow_runs_with_a_strangers_code_and_our_rights(path: Path) -> None:
    assert not triggers(path) & {"pull_request_target", "workflow_run", "issue_comment"}


@each_workflow
def test_what_people_type_never_becomes_part_of_a_script(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@each_workflow
def test_every_right_is_named(path: Path) -> None:
    assert workflow(path)["permissions"] in ({}, {"contents": "read"})


def test_the_key_is_in_the_environment_of_the_recording_step_alone() -> None:
    path = ROOT / ".github/workflows/record.yml"

    with_key = [step["name"] for step in steps(path) if KEY in step.get("env", {}).values()]

    assert with_key == ["Record"]
    assert path.read_text(encoding="utf-8").count("secrets.") == 1


def test_the_job_that_has_the_key_cannot_push_and_the_one_that_pushes_runs_no_tests() -> None:
    jobs = workflow(ROOT / ".github/workflows/record.yml")["jobs"]

    assert jobs["record"]["permissions"] == {"contents": "read"}
    assert not any("python" in step.get("run", "") for step in jobs["propose"]["steps"])


def test_recording_allows_the_network_in_its_own_step_and_then_replays_without() -> None:
    runs = [step["run"] for step in steps(ROOT / ".github/workflows/record.yml") if "run" in step]
    recording, replaying = (run for run in runs if "pytest" in run)

    assert recording == f"{replaying} --mnemosyne-mode=rerecord --mnemosyne-allow-live"


def test_every_python_of_the_project_file_is_in_the_matrix() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    job = workflow(ROOT / ".github/workflows/ci.yml")["jobs"]["all"]

    assert job["strategy"]["matrix"]["python"] == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_changes_are_checked_by_the_script_that_developers_run() -> None:
    runs = [step["run"] for step in steps(ROOT / ".github/workflows/ci.yml") if "run" in step]

    assert runs == [".ci/run"]


def test_the_script_runs_each_of_the_readmes_commands() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = markdown.blocks(ROOT / "README.md")

    called = re.findall(r"^readme_command (\w+)$", script, re.MULTILINE)

    assert sorted(called) == sorted(str(each.name) for each in readme if each.language == "bash")
