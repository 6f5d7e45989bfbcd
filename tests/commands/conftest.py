from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from mnemosyne_core.cli import make_app
from pytest_mnemosyne import commands

Cassettes = Callable[..., Result]


@pytest.fixture(autouse=True)
def nobodys_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key in the environment that could be found in a file by chance."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@functools.cache
def _app() -> typer.Typer:
    return make_app([commands], load_entry_points=False)


@pytest.fixture
def cassettes() -> Cassettes:
    """The commands `mnemosyne cassettes ...`, in this process."""

    def run(*arguments: object) -> Result:
        ran = CliRunner().invoke(_app(), ["cassettes", *map(str, arguments)])
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        return ran

    return run
