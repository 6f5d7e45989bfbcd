"""Restart strategies: who is restarted with a child that failed.

============  ==============================
strategy      restarted
============  ==============================
one_for_one   it
one_for_all   every child
rest_for_one  it and all that started after
============  ==============================

Those that run are stopped in reverse start order first; then all of them are
started in start order, also those that had ended or been terminated by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import assert_never


class Strategy(StrEnum):
    """Who is restarted with a child that failed."""

    ONE_FOR_ONE = auto()
    ONE_FOR_ALL = auto()
    REST_FOR_ONE = auto()


def affected(strategy: Strategy, ids: Sequence[str], failed: str) -> tuple[str, ...]:
    """The children to restart when `failed` is restarted; `ids` and result in start order."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return (failed,)
        case Strategy.ONE_FOR_ALL:
            return tuple(ids)
        case Strategy.REST_FOR_ONE:
            return tuple(ids[ids.index(failed) :])
        case _:
            assert_never(strategy)
