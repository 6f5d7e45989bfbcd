"""Suites of vcrpy tests, in surroundings that know nothing of this machine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from unittest import mock

import pytest

from tests import surroundings
from tests.compat.echo import Echo, echoing
from tests.compat.suite import Suite


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> None:
    surroundings.import_once()
    # It wants the assertions of vcrpy rewritten, which is imported already, and that warns.
    with mock.patch.object(pytest, "register_assert_rewrite"):
        importlib.import_module("pytest_recording.plugin")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings.be_plain(monkeypatch)


@pytest.fixture(scope="session")
def _server() -> Iterator[Echo]:
    with echoing() as server:
        yield server


@pytest.fixture
def echo(_server: Echo) -> Echo:
    """A server that has not been asked anything yet."""
    _server.forget()
    return _server


@pytest.fixture
def suite(pytester: pytest.Pytester, echo: Echo) -> Suite:
    return Suite(pytester, echo)
