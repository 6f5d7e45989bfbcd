"""Tests that their markers take out of a run in which they could do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_mnemosyne.plugin._commands import command_for
from pytest_mnemosyne.plugin._markers import LIVE_ONLY, REQUIRES_KEY, misused
from pytest_mnemosyne.plugin._modes import OPTION

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._options import Settings


def apply_live_only(item: pytest.Item, settings: Settings) -> None:
    """Skip a test that never replays, unless this run may call Claude.

    Raises:
        pytest.skip.Exception: It may not.
        UsageError: The marker is given something.
    """
    _check_bare(item, LIVE_ONLY)
    mode = settings.mode
    if mode.name == "live" or (mode.writes and settings.has_key):
        return
    _skip(
        f"live_only: mode {mode.name} does not call Claude; run it with a key in "
        f"ANTHROPIC_API_KEY: {command_for(item, f'{OPTION}=live')}"
    )


def apply_requires_key(item: pytest.Item, settings: Settings, *, has_cassette: bool) -> None:
    """Skip, or fail under CI, a test that can neither replay nor ask Claude.

    Raises:
        pytest.skip.Exception: There is nothing to replay, and this run does not ask.
        pytest.fail.Exception: The same under CI, where it means a forgotten recording.
        UsageError: The marker is given something.
    """
    _check_bare(item, REQUIRES_KEY)
    if has_cassette or settings.mode.forwards_unknown:
        return
    reason = (
        "requires_api_key: nothing is recorded for this test; record it with a key in "
        f"ANTHROPIC_API_KEY: {command_for(item, f'{OPTION}=record')}"
    )
    if settings.on_ci:
        pytest.fail(f"{reason} (and commit the cassette: CI only replays)", pytrace=False)
    _skip(reason)


def _check_bare(item: pytest.Item, name: str) -> None:
    marker = item.get_closest_marker(name)
    assert marker is not None, "who asks has seen it"
    if marker.args or marker.kwargs:
        raise misused(marker, ["takes nothing"])


def _skip(reason: str) -> None:
    # Reported at the test, not at this line.
    raise pytest.skip.Exception(reason, _use_item_location=True)
