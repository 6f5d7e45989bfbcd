"""A pytest inside pytest, in surroundings that know nothing of this machine."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import anthropic
import pytest

from pytest_mnemosyne.cassette import Door, RecordMode
from tests.plugin.project import Project


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> None:
    """What inner runs import late, imported here: they forget all modules that they brought."""
    for name in (
        "mnemosyne_core",
        "pytest_mnemosyne.plugin._clients",
        "pytest_mnemosyne.plugin._systems",
        "pytest_mnemosyne.simulation",
        "uvicorn",
    ):
        importlib.import_module(name)
    door = Door(mode=RecordMode.REPLAY)
    door.install()
    door.uninstall()
    for kind in (anthropic.Anthropic, anthropic.AsyncAnthropic):
        assert kind(api_key="none").messages is not None


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "MNEMOSYNE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    # pytest cuts its lines at this width.
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    return Project(pytester, Path(pytester.path))
