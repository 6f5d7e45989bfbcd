"""CPython's own tests of queues, locks, timeouts and wait_for, on the virtual loop."""

from __future__ import annotations

import asyncio
import importlib
import unittest
import warnings
from collections.abc import Iterator

import pytest

from pytest_mnemosyne.simulation.loop import Trace, VirtualLoop

MODULES = ("test_queues", "test_locks", "test_timeouts", "test_waitfor")


@pytest.fixture(params=[False, True], ids=["all that is ready", "step by step"])
def _virtual_loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everybody who asks gets a virtual loop."""

    def new_event_loop() -> VirtualLoop:
        # A trace makes the loop run one callback at a time, which is another way through it.
        return VirtualLoop(trace=Trace() if request.param else None)

    with warnings.catch_warnings():
        # Policies are on their way out; CPython's own tests still go by them.
        warnings.simplefilter("ignore")
        before = asyncio.get_event_loop_policy()
        policy = asyncio.DefaultEventLoopPolicy()
        policy.new_event_loop = new_event_loop  # type: ignore[method-assign]
        asyncio.set_event_loop_policy(policy)
        yield
        asyncio.set_event_loop_policy(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_virtual_loops")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_cpythons_own_tests_pass(name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(f"test.test_asyncio.{name}")
    except ImportError:
        pytest.skip("this Python was installed without its own tests (package `test`)")
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TestResult()

    for case in _cases(suite):
        case.run(result)

    problems = [f"{case}\n{text}" for case, text in [*result.failures, *result.errors]]
    assert problems == []
    assert result.testsRun > 10


def _cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Without the module's own teardown, which would take away our loops."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from _cases(part)
        else:
            yield part
