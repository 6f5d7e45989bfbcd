"""The hook of pytest-recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vcr import VCR


def pytest_recording_configure(config: pytest.Config, vcr: VCR) -> None:
    """Configure the `VCR` of a test before its cassette is opened.

    Args:
        config: Pytest's.
        vcr: Made for this one test: register serializers, matchers and persisters on it.
    """
