"""What this run made and no other run will: ids drawn at random, instants off a real clock.

Whoever compares two runs has to know these values by where they come from, since their
looks prove nothing. So the sources tell of each value that they hand out, and whoever
listens hears of it, also from a tree that somebody built by hand.

There is one listener, and it is the process's: a source may sit in a thread or on a loop
that has never heard of the listener's context. Without one, telling costs a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol


class OriginListener(Protocol):
    """Hears of the values, in whatever thread they are made; it must not raise or wait."""

    def minted(self, value: str, kind: str) -> None:
        """An id was made that is unique everywhere; every id of its kind begins with `kind`."""
        ...

    def told(self, instant: datetime) -> None:
        """The wall clock was read."""
        ...


_listener: OriginListener | None = None


@contextmanager
def listening(listener: OriginListener) -> Iterator[None]:
    """Have `listener` hear of every value for the block, in place of whoever did before."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def minted(value: str, kind: str = "") -> str:
    """Tell of an id that no other run will make, and give it back; for sources of ids.

    Args:
        value: The id; what follows `kind` in it is drawn at random.
        kind: What it begins with in every run.
    """
    if _listener is not None:
        _listener.minted(value, kind)
    return value


def told(instant: datetime) -> datetime:
    """Tell of a reading of the wall clock, and give it back; for clocks that really run."""
    if _listener is not None:
        _listener.told(instant)
    return instant
