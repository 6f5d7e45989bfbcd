from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mnemosyne_core.cli import make_app
from pytest_mnemosyne.simulation import ScriptedClaude

Mnemosyne = Callable[..., Result]


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no profile, no data folder but this test's own."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "MNEMOSYNE_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mnemosyne() -> Mnemosyne:
    """The command line, in this process."""

    def run(*arguments: object) -> Result:
        app = make_app(load_entry_points=False)
        ran = CliRunner().invoke(app, [str(each) for each in arguments])
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        return ran

    return run


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedClaude]:
    """A Claude that the environment leads to."""
    with ScriptedClaude() as scripted:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", scripted.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
        yield scripted
