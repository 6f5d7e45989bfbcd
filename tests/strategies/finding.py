"""Ways to look into a strategy."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import TypeVar

from hypothesis import Phase, find, given, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

# The phase that explains a failure goes on from the simplest example to others.
_SHRINKING = settings(
    database=None, derandomize=True, max_examples=2000, phases=(Phase.generate, Phase.shrink)
)
_GENERATING = settings(database=None, derandomize=True, max_examples=3000, phases=(Phase.generate,))


def simplest(strategy: SearchStrategy[T], condition: Callable[[T], bool] = lambda _: True) -> T:
    """What a strategy shrinks to, among the values for which a condition holds."""
    return find(strategy, condition, settings=_SHRINKING)


def seen(strategy: SearchStrategy[T], *, examples: int) -> list[T]:
    """The first values that a strategy makes, the same ones in every run."""
    values: list[T] = []

    @settings(_GENERATING, max_examples=examples)
    @given(strategy)
    def collect(value: T) -> None:
        values.append(value)

    collect()
    return values


class _EnoughError(Exception):
    """All that was looked for has been seen."""


def check_reach(
    strategy: SearchStrategy[T],
    wanted: Iterable[Hashable],
    features: Callable[[T], Iterable[Hashable]],
) -> None:
    """Check that the features of a strategy's values are those wanted, all of them and no other.

    Makes as many values as it takes, since how many that is differs between versions of
    Hypothesis.
    """
    missing, others = set(wanted), set[Hashable]()
    expected = frozenset(missing)

    @_GENERATING
    @given(strategy)
    def look(value: T) -> None:
        found = set(features(value))
        missing.difference_update(found)
        others.update(found - expected)
        if not missing:
            raise _EnoughError

    with suppress(_EnoughError):
        look()
    assert (missing, others) == (set(), set())
