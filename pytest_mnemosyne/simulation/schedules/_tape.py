"""A tape: every choice that a run left to chance and that was not the plain one.

The n-th choice of a run is at place n, whatever it was about. A run makes thousands of
choices, and after shrinking nearly all are plain, so a tape names the others alone.
As a text it is `35=2,48=1`: at place 35 the third option was taken, at 48 the second.
`plain` is the tape on which nothing stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from mnemosyne_core.errors import UsageError

_PLAIN: Final = "plain"
_TEXT: Final = re.compile(r"\d+=[1-9]\d*(,\d+=[1-9]\d*)*")


class TapeError(UsageError):
    """A text that is no tape.

    Attributes:
        given: The text.
    """

    code = "tape"

    def __init__(self, *, given: str) -> None:
        self.given = given
        super().__init__(
            f"{given!r} is no tape: a tape is `{_PLAIN}`, or places and choices such as "
            "`35=2,48=1`, in rising order; copy it whole from the report of a failure"
        )


class Tape(Mapping[int, int]):
    """Choices by place; a place that is not on the tape has the plain choice, 0."""

    __slots__ = ("_choices",)

    def __init__(self, choices: Mapping[int, int] | None = None) -> None:
        """A tape of the choices that are not 0."""
        given = {} if choices is None else choices
        if any(place < 0 or choice < 0 for place, choice in given.items()):
            raise UsageError(f"places and choices of a tape count from 0, got {dict(given)!r}")
        self._choices = {place: given[place] for place in sorted(given) if given[place] != 0}

    @classmethod
    def parse(cls, text: str) -> Tape:
        """Read a tape's text.

        Raises:
            TapeError: It is none.
        """
        if text.strip() == _PLAIN:
            return cls()
        if _TEXT.fullmatch(text.strip()) is None:
            raise TapeError(given=text)
        pairs = [pair.split("=") for pair in text.strip().split(",")]
        places = [int(place) for place, _ in pairs]
        if places != sorted(set(places)):
            raise TapeError(given=text)
        return cls({int(place): int(choice) for place, choice in pairs})

    def __getitem__(self, place: int) -> int:
        return self._choices[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __hash__(self) -> int:
        return hash(tuple(self._choices.items()))

    def __str__(self) -> str:
        return ",".join(f"{place}={choice}" for place, choice in self.items()) or _PLAIN

    def __repr__(self) -> str:
        return f"Tape({self._choices!r})"
