"""Failed comparisons in the helper module say what differs."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.recordings._sdk")
