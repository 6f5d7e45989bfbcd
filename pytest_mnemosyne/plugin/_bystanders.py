"""Who asks Claude while a test runs and is no part of it.

A thread that an earlier test has left running asks in the name of whichever test runs then,
and a fixture of a wider scope in the name of whichever test comes first. Neither can be put
right here; both are told, because what comes of them is other in each run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._record import TestRecord


class OlderThreads:
    """The threads that were there before the running test began."""

    def __init__(self) -> None:
        # Themselves and not their numbers, which are given away again when a thread has ended.
        self._threads: WeakSet[threading.Thread] = WeakSet()

    def look(self) -> None:
        """A test has ended: what is still running now is none of the next one's.

        Called in the thread in which tests run, which need not be the main one.
        """
        if threading.active_count() == 1 and not self._threads:
            return
        self._threads = WeakSet(threading.enumerate())
        self._threads.discard(threading.current_thread())

    def words(self) -> str:
        """A line about the calling thread; empty where it is the tests' or the test's own."""
        thread = threading.current_thread()
        if thread is threading.main_thread() or thread not in self._threads:
            return ""
        return (
            f"\n  asked by the thread {thread.name!r}, which was there before this test began: "
            "an earlier test or a fixture has started it"
        )


class WiderFixtures:
    """Tells of calls that fixtures of a wider scope have made; a plug-in of runs that record."""

    def __init__(self, current: Callable[[], TestRecord | None]) -> None:
        """Take what tells the running test."""
        self._current = current

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        """Count the calls of a fixture that outlives its test."""
        record = self._current()
        if fixturedef.scope == "function" or record is None:
            return (yield)
        before = _asked(record)
        try:
            return (yield)
        finally:
            calls = _asked(record) - before
            if calls and not (record.chosen and record.chosen.is_shared):
                record.notes.append(_note(record, fixturedef, calls))


def _asked(record: TestRecord) -> int:
    return 0 if record.cassette is None else len(record.cassette.wire_turns)


def _note(record: TestRecord, fixturedef: pytest.FixtureDef[object], calls: int) -> str:
    what = "a call" if calls == 1 else f"{calls} calls"
    assert record.cassette is not None
    return (
        f"the fixture {fixturedef.argname} (scope {fixturedef.scope}) has made {what} to Claude in "
        f"{record.nodeid}, so only {record.cassette.path} has it; whichever test comes first makes "
        "it. Give the tests that share the fixture one cassette: "
        '@pytest.mark.claude_cassette(name="...")'
    )
