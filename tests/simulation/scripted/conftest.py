from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_mnemosyne.simulation import ScriptedClaude


@pytest.fixture
def scripted() -> Iterator[ScriptedClaude]:
    with ScriptedClaude() as claude:
        yield claude
