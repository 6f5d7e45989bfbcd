"""The loop that a test runs on, as pytest-asyncio finds it.

An async fixture of ours has to sit on the test's own loop, whatever scope that loop
has; so there is one of each for every scope, and a test gets the one of its own.
"""

from __future__ import annotations

from typing import Final, Literal

import pytest

LoopScope = Literal["session", "package", "module", "class", "function"]
LOOP_SCOPES: Final[tuple[LoopScope, ...]] = ("session", "package", "module", "class", "function")


def loop_scope_of(item: pytest.Item) -> str:
    """The scope of the loop that a test runs on."""
    marker = item.get_closest_marker("asyncio")
    named = marker and (marker.kwargs.get("loop_scope") or marker.kwargs.get("scope"))
    return str(named or item.config.getini("asyncio_default_test_loop_scope") or "function")
