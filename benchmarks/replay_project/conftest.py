"""Notes what every test costs, all of its hooks and fixtures included."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

# Imported here, so that no row and no test pays for it.
import anthropic
import pytest

assert anthropic.AsyncAnthropic is not None, "loads what the SDK loads late"
assert anthropic.AsyncAnthropic(api_key="none").messages is not None

COSTS: list[tuple[float, float]] = []
"""For each test the seconds of processor and of the wall, in order."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    # A conftest's wrapper is the outermost one: every plug-in's hooks run inside of it.
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    result = yield
    COSTS.append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    return result


def pytest_sessionfinish() -> None:
    if "BENCHMARK_COSTS" in os.environ:
        Path(os.environ["BENCHMARK_COSTS"]).write_text(json.dumps(COSTS), encoding="utf-8")
