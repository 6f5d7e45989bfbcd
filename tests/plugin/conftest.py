"""A pytest inside pytest, in surroundings that know nothing of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import surroundings
from tests.plugin.project import Project


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> None:
    surroundings.import_once()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings.be_plain(monkeypatch)


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
