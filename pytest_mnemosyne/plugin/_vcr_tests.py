"""Tests that vcrpy records: pytest-recording's, or those of what is loaded in its place.

That plug-in and this one may serve one suite. They share the network and not a test:
where vcrpy records, nothing is refused, and no test has a cassette of each.
"""

from __future__ import annotations

from typing import Final

import pytest

MARKER: Final = "vcr"
_FIXTURE: Final = "vcr"
PLUGINS: Final = ("recording", "pytest_recording.plugin")
"""What pytest-recording is called: by its entry point, and by its module."""


def is_recorded(item: pytest.Item) -> bool:
    """Whether vcrpy records what is sent just now, because its user has asked for it."""
    cassette = getattr(item, "funcargs", {}).get(_FIXTURE)
    # By its looks: whoever has no such cassette need not have imported vcrpy.
    return getattr(cassette, "write_protected", True) is False


def refuse_two_recorders(item: pytest.Item) -> None:
    """Stop a test that would have a cassette of pytest-recording's and one of ours.

    Raises:
        UsageError: vcrpy stands in front and would answer for Claude, too.
    """
    manager = item.config.pluginmanager
    if (
        item.get_closest_marker(MARKER) is None
        or not any(map(manager.has_plugin, PLUGINS))
        or item.config.getoption("disable_recording", False)
    ):
        return
    from mnemosyne_core.errors import UsageError

    raise UsageError(
        f"{item.name} has the marker {MARKER} of pytest-recording and a cassette for Claude, and "
        "both would record the same requests; take one of the two away, or let Claude have its "
        "own cassette beside vcrpy's: pytest -p pytest_mnemosyne.compat.recording"
    )
