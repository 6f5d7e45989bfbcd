"""Requests that a file cannot tell apart, because they differ in nothing but their secrets.

Marks have names, so this is so of keys that are known by their looks alone: two of one kind
have one mark. In replay their requests are one question then, and either may be given the
answer of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._key import Key, request_key


@dataclass(frozen=True, slots=True)
class Indistinct:
    """Some interactions of a file whose requests became one."""

    interactions: tuple[int, ...]
    """Counted from 1, in the order of the file."""

    place: str
    """Where the first two of them differed, such as `messages[0] (user)`."""


def indistinct(before: Iterable[Interaction], after: Iterable[Interaction]) -> Iterator[Indistinct]:
    """What cannot be told apart any more.

    Args:
        before: The interactions of a file in their stored form, with their secrets.
        after: The same without.
    """
    became: dict[tuple[tuple[str, int] | None, Key], dict[int, Request]] = {}
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        if _differ(old.request, new.request):
            # Agents of one role may be given each other's answers, those of two never.
            group = None if new.lane is None else (new.lane.role, new.lane.attempt)
            # By what is asked, as replay looks it up: of two keys with one name JSON has the last.
            key = (group, request_key(new.request))
            became.setdefault(key, {})[number] = old.request
    for asked in became.values():
        first = next(iter(asked.values()))
        other = next((each for each in asked.values() if _differ(each, first)), None)
        if other is not None:
            yield Indistinct(tuple(asked), _place(first, other))


def _differ(one: Request, other: Request) -> bool:
    return (one.url, one.body) != (other.url, other.body)


def _place(one: Request, other: Request) -> str:
    from pytest_mnemosyne.cassette._difference import differences

    # Their words would hold the secrets.
    found = differences(one.body, other.body)
    return found[0].place if found else "the URL"
