"""Settings for the whole suite."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# Here, because not only its own folder's tests import it.
pytest.register_assert_rewrite("tests.recordings._sdk")

# The same examples in every run: a red build is then always about the change at hand.
# HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would the
# programs that tests start and interrupt: they would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
