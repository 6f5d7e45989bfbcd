"""What a pytest inside pytest finds around it: nothing of this machine, and all that is heavy."""

from __future__ import annotations

import importlib
import os
import pkgutil

import anthropic
import pytest

import mnemosyne_core
import pytest_mnemosyne
from pytest_mnemosyne.cassette import Door, RecordMode

_LATE = ("uvicorn",)
"""What is not ours, takes long, and is imported where it is first used."""


def import_once() -> None:
    """Import what inner runs import late: they forget all modules that they brought.

    All of ours, or else what an inner run has left in a front that imports late is of
    another copy of its module than what comes after it.
    """
    for package in (mnemosyne_core, pytest_mnemosyne):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in _LATE:
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
