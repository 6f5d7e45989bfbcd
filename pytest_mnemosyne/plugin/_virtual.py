"""Virtual time for tests: who gets a virtual loop, and what is checked when it ends.

pytest-asyncio asks a hook for the loop factories of every async test. Ours is a
wrapper around everybody else's answer: a test that wants virtual time gets one
factory, which does not show in its id; any other keeps what it had.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_mnemosyne.plugin._loop_scopes import loop_scope_of
from pytest_mnemosyne.plugin._markers import (
    VIRTUAL_TIME,
    Asked,
    misused,
    unknown_settings,
    uses_any,
)

if TYPE_CHECKING:
    from pytest_mnemosyne.plugin._record import TestRecord
    from pytest_mnemosyne.simulation.loop import Limits, VirtualClock, VirtualLoop
    from pytest_mnemosyne.simulation.schedules import Properties, Schedule

FIXTURES: Final = frozenset({"properties", "virtual_clock"})
"""The fixtures that give a test virtual time."""

_LEAVES: Final = "leaves"
_FACTORY_FIXTURE: Final = "_asyncio_loop_factory"
_SETTINGS: Final = ("hold_s", "until_s", "steps", _LEAVES)
"""What the marker knows: the limits of the loop, and what may be left."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class VirtualLoopFactory:
    """Makes the virtual loops of tests with the same limits.

    There is one factory for each set of limits: pytest tells by it whether two tests may
    share a loop of their module.
    """

    def __init__(self, limits: Limits, schedule: Callable[[], Schedule | None]) -> None:
        """A factory of loops with `limits`, under the schedule that is asked for each."""
        self._limits = limits
        self._schedule = schedule

    def __call__(self) -> VirtualLoop:
        """A loop for the test that is running."""
        from pytest_mnemosyne.simulation.loop import VirtualLoop

        schedule = self._schedule()
        if schedule is None:
            return VirtualLoop(limits=self._limits)
        return VirtualLoop(limits=self._limits, order=schedule, trace=schedule.trace)


class VirtualLoops:
    """The loop factories of one run."""

    def __init__(self, schedule: Callable[[], Schedule | None]) -> None:
        """No factories yet; `schedule` tells that of the test that is running."""
        self._schedule = schedule
        self._factories: dict[Limits, VirtualLoopFactory] = {}

    def factories_for(
        self, item: pytest.Item, others: Mapping[str, LoopFactory] | None
    ) -> Mapping[str, LoopFactory]:
        """The loop factories of an async test, given what other hooks say."""
        if not wants_virtual_time(item):
            return {"asyncio": asyncio.new_event_loop} if others is None else others
        _check_names_no_factories(item)
        from mnemosyne_core.errors import UsageError
        from pytest_mnemosyne.simulation.loop import Limits

        try:
            limits = Wish.of(item).limits
        except UsageError:
            # Said in the test's setup, where it is a plain failure.
            limits = Limits()
        if limits not in self._factories:
            self._factories[limits] = VirtualLoopFactory(limits, self._schedule)
        return {"virtual": self._factories[limits]}


# --- what a test wants -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """What a test wants of its virtual time."""

    limits: Limits
    leaves: tuple[str, ...] = ()
    """Parts of the lines about what may be left at its end."""

    @classmethod
    def of(cls, item: pytest.Item) -> Wish:
        """Read a test's markers; the closest one wins, setting by setting.

        Raises:
            UsageError: One says what cannot be.
        """
        from pytest_mnemosyne.simulation.loop import Limits

        given: dict[str, Any] = {}
        for marker in item.iter_markers(VIRTUAL_TIME):
            problems = unknown_settings(marker, _SETTINGS)
            if marker.args:
                problems.append(f"takes {', '.join(_SETTINGS)}, each by name")
            if problems:
                raise misused(marker, problems)
            given = {**marker.kwargs, **given}
        leaves = given.pop(_LEAVES, ())
        return cls(Limits(**given), (leaves,) if isinstance(leaves, str) else tuple(leaves))


def wants_virtual_time(item: pytest.Item, asked: Asked | None = None) -> bool:
    """Whether a test's time is virtual: by a marker, or by a fixture of ours."""
    return (asked or Asked.of(item)).virtual_time or uses_any(item, FIXTURES)


def prepare_virtual_time(item: pytest.Item, record: TestRecord) -> None:
    """Get a test ready whose time is virtual, in its setup, before fixtures are made.

    Raises:
        UsageError: Its marker says what cannot be, or it would run in real time.
    """
    from pytest_mnemosyne.simulation.draws import Plain
    from pytest_mnemosyne.simulation.schedules import seeded_random

    record.wish = Wish.of(item)
    _check_runs_on_virtual_loop(item)
    _put_first(item, f"_mnemosyne_clock_{loop_scope_of(item)}")
    record.closers.enter_context(seeded_random(record.schedule or Plain()))


def _check_names_no_factories(item: pytest.Item) -> None:
    """Fail a test at its collection that pytest-asyncio would skip."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and marker.kwargs.get("loop_factories"):
        pytest.fail(
            f"{item.nodeid} wants virtual time, and its marker asyncio names other "
            "loop_factories; leave out one of the two",
            pytrace=False,
        )


def _check_runs_on_virtual_loop(item: pytest.Item) -> None:
    from mnemosyne_core.errors import UsageError

    callspec = getattr(item, "callspec", None)
    params: Mapping[str, object] = {} if callspec is None else callspec.params
    if not isinstance(params.get(_FACTORY_FIXTURE), VirtualLoopFactory):
        raise UsageError(
            f"{item.name} wants virtual time and would not get it: that takes an async test that "
            "pytest-asyncio runs (asyncio_mode = auto, or the marker asyncio), without "
            "loop_factories=... and without a hook that overrides pytest_asyncio_loop_factories"
        )


def _put_first(item: pytest.Item, fixture: str) -> None:
    """Have a fixture made before all others of this test alone, and so ended after them."""
    names: list[str] = item.fixturenames  # type: ignore[attr-defined]
    if fixture in names:
        names.remove(fixture)
    definitions = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    of_this_test = (
        place
        for place, name in enumerate(names)
        if definitions.get(name) and definitions[name][-1].scope == "function"
    )
    names.insert(next(of_this_test, len(names)), fixture)


# --- what its fixtures do --------------------------------------------------------------


@asynccontextmanager
async def watched_clock(record: TestRecord) -> AsyncIterator[VirtualClock]:
    """The running loop's clock; in the end, what the test has left on the loop fails it."""
    from pytest_mnemosyne.simulation.loop import LeftoversError, VirtualClock, leftovers

    clock = VirtualClock.of_running_loop()
    loop = clock.loop
    before = Counter(leftovers(loop))
    yield clock
    if record.failed:
        # What it left then is no news.
        return
    # What was closed takes a turn of the loop to be gone.
    await clock.settle()
    left = (Counter(leftovers(loop)) - before).elements()
    declared = record.wish.leaves if record.wish is not None else ()
    undeclared = tuple(line for line in left if not any(part in line for part in declared))
    if undeclared:
        raise LeftoversError(leftovers=undeclared)


@asynccontextmanager
async def watched_properties(record: TestRecord) -> AsyncIterator[Properties]:
    """Properties of the running loop, checked until the test is over."""
    from pytest_mnemosyne.simulation.loop import VirtualClock
    from pytest_mnemosyne.simulation.schedules import Properties

    loop = VirtualClock.of_running_loop().loop
    properties = Properties(loop)
    with loop.checking(properties.check):
        yield properties
    # In a search it is enough that `sometimes` is true under one of the orders.
    properties.finish(failed=record.failed, judge_sometimes=record.sometimes is None)
    if record.sometimes is not None:
        for name, seen in properties.seen.items():
            record.sometimes[name] = seen or record.sometimes.get(name, False)
