"""What a pytest inside pytest finds around it: nothing of this machine, and all that is heavy."""

from __future__ import annotations

import importlib
import os

import anthropic
import pytest

from pytest_mnemosyne.cassette import Door, RecordMode


def import_once(*names: str) -> None:
    """Import what inner runs import late: they forget all modules that they brought."""
    for name in names:
        importlib.import_module(name)
    door = Door(mode=RecordMode.REPLAY)
    door.install()
    door.uninstall()
    for kind in (anthropic.Anthropic, anthropic.AsyncAnthropic):
        assert kind(api_key="none").messages is not None


def be_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out of the environment what makes runs differ."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "MNEMOSYNE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    # pytest cuts its lines at this width.
    monkeypatch.setenv("COLUMNS", "80")
