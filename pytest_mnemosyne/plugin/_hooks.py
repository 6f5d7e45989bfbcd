"""The hooks of pytest that this plug-in adds; a `conftest.py` or a plug-in implements them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_mnemosyne.cassette import Matcher


def pytest_mnemosyne_matchers(config: pytest.Config) -> Sequence[Matcher]:  # type: ignore[empty-body]
    """Declare kinds of texts that tests may leave out of matching, by name.

    A declared matcher does nothing by itself. A test names it, in
    `claude_cassette(match=["ticket"])`, or the ini setting `mnemosyne_match` does for all.

    Args:
        config: The run's.

    Returns:
        The matchers, with names that nobody else has given.
    """
