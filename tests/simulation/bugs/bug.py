"""A seeded bug: something right, the same thing broken on purpose, and what tells them apart.

The scenario is one for both. It uses the thing as its users would, and fails under the
orders, times or faults that bring the bug out; the right thing passes under all of them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from pytest_mnemosyne.simulation.draws import of_running_loop
from pytest_mnemosyne.simulation.schedules import PolicyName, Properties, PropertyError
from tests.simulation.schedules.programs import Program

Part = TypeVar("Part")

RELIABLE: Final = 100
"""A policy finds a bug reliably if each of its searches needs at most so many orders."""


class Obstacle(StrEnum):
    """Why a policy does not find a bug reliably."""

    TIMES = "it takes two certain times, and exhaustive tries each single one before any two"
    DELAYS = "it takes several delays, and exhaustive tries each single one before any two"
    SWITCHES = "it takes tasks to take turns, and pct lets one run on until it waits"
    HEAD_START = "it takes one task to get far ahead of another, which at random happens seldom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug, ready to be searched for."""

    name: str

    told: str
    """What is wrong, in a sentence."""

    wrong: Program
    """The scenario with the broken thing."""

    right: Program
    """The scenario with the right one."""

    fails_with: str
    """The class of the error that the broken thing ends in, and no other."""

    elusive: Mapping[PolicyName, Obstacle] = field(default_factory=dict)
    """The policies that do not find it reliably, and why not."""


def seeded(
    name: str,
    scenario: Callable[[Properties, Part], Awaitable[None]],
    *,
    right: Part,
    wrong: Part,
    fails_with: type[Exception] = PropertyError,
    random: Obstacle | None = None,
    pct: Obstacle | None = None,
    exhaustive: Obstacle | None = None,
) -> Bug:
    """Seed a bug.

    Args:
        name: A few words for it.
        scenario: Given the properties of a run and one of the two parts.
        right: The part as it should be; as a rule a class or function.
        wrong: The part with the bug, whose docstring says what is wrong with it.
        fails_with: How the scenario notices.
        random: Why this policy does not find it reliably, if it does not.
        pct: Likewise.
        exhaustive: Likewise.
    """

    def with_part(part: Part) -> Program:
        async def program(properties: Properties) -> None:
            await scenario(properties, part)

        return program

    told = inspect.getdoc(wrong)
    if not told:
        raise ValueError(f"the broken part of {name!r} needs a docstring that tells the bug")
    return Bug(
        name=name,
        told=told.partition("\n")[0],
        wrong=with_part(wrong),
        right=with_part(right),
        fails_with=fails_with.__name__,
        elusive={
            policy: obstacle
            for policy, obstacle in (
                (PolicyName.RANDOM, random),
                (PolicyName.PCT, pct),
                (PolicyName.EXHAUSTIVE, exhaustive),
            )
            if obstacle is not None
        },
    )


async def turns(count: int) -> None:
    """Give way so many times, as work with that many awaits does."""
    for _ in range(count):
        await asyncio.sleep(0)


def drawn(label: str, options: int) -> int:
    """A number that the schedule decides, below `options`: a time, or which fault there is.

    In the plain order it is 0.
    """
    draws = of_running_loop()
    assert draws is not None, "seeded bugs run on a virtual loop"
    return draws.draw(label, options)
