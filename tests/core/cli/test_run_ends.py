"""How `mnemosyne run` ends when it is told to, or when its tree gives up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mnemosyne_core.roles import AgentActor
from mnemosyne_core.tree import SupervisionConfig
from pytest_mnemosyne.simulation import ScriptedClaude
from tests.core.cli.conftest import Mnemosyne

PROGRAM = str(Path(sys.executable).with_name("mnemosyne"))


class Hesitating:
    """A Claude that is asked and does not answer."""

    def __init__(self, api: ScriptedClaude) -> None:
        self.asked, self.released = threading.Event(), threading.Event()
        api.answer(self._hesitate)

    def _hesitate(self, _request: object) -> str:
        self.asked.set()
        self.released.wait(60)
        return "Too late."


@pytest.fixture
def hesitating(api: ScriptedClaude) -> Iterator[Hesitating]:
    claude = Hesitating(api)
    yield claude
    claude.released.set()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("numbers", "code", "said"),
    [
        pytest.param([signal.SIGTERM], 143, "terminated", id="SIGTERM"),
        pytest.param([signal.SIGINT] * 2, 130, "interrupted", id="SIGINT-twice"),
    ],
)
def test_a_signal_ends_the_run_with_its_code_and_leaves_nothing_half_done(
    mnemosyne: Mnemosyne,
    hesitating: Hesitating,
    numbers: list[signal.Signals],
    code: int,
    said: str,
) -> None:
    command = [PROGRAM, "run", "Think.", "--database", "w.db"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert hesitating.asked.wait(60)
        for number in numbers:
            process.send_signal(number)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == code
    assert errors.decode() == f"mnemosyne: {said}; what was stored so far is kept\n"
    (item,) = json.loads(mnemosyne("work", "list", "--json", "--database", "w.db").stdout)
    assert item["state"] in ("cancelled", "active")
    (stopped,) = mnemosyne(
        "events", "--json", "--database", "w.db", "--kind", "tree_stopped"
    ).stdout.splitlines()
    assert json.loads(stopped)["fact"]["kind"] == "tree_stopped"


def test_a_tree_that_gives_up_ends_the_run_with_3_and_says_why(
    mnemosyne: Mnemosyne, api: ScriptedClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*arguments: Any) -> None:
        raise RuntimeError("a defect of the actor")

    monkeypatch.setattr(AgentActor, "work", break_down)
    impatient = partial(SupervisionConfig, max_restarts=0)
    monkeypatch.setattr("mnemosyne_core.tree.SupervisionConfig", impatient)

    ran = mnemosyne("run", "Think.")

    assert ran.exit_code == 3
    assert ran.stderr.startswith("mnemosyne: supervisor tree gave up after more than 0 restarts")
    assert "a defect of the actor" in ran.stderr
