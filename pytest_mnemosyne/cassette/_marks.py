"""What stands in the place of a secret: a mark that says which secret it was.

`<redacted:NAME>` names the variable that holds the value, or, of what is known by its
looks alone, its kind. So two requests that name two secrets stay two requests, and one of
them is the same request for everybody who has the variable, whatever its value is.

A mark that holds a secret itself, because a name does, is the one without a name. That is
also what older files have in the place of every secret.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final, Protocol

from pytest_mnemosyne.cassette._decodings import unescaped
from pytest_mnemosyne.cassette._secret_search import Hit

REDACTED: Final = "<redacted>"
"""The mark that names nothing."""

NAMELESS: Final = REDACTED.encode()

_NOT_IN_A_WORD: Final = re.compile(r"[^A-Za-z0-9_.-]+")
"""What some notation would have to escape, so that it cannot stand in a mark."""

_LETTERS: Final = re.compile(rb"[A-Za-z0-9]")
_LACED: Final = re.compile(rb"(\0*)[^\0](\0+)[^\0](?:\2[^\0])*")
"""ASCII in UTF-16 or UTF-32, in either order of bytes; the NULs before it belong to it."""


class Marking(Protocol):
    """How secrets are marked."""

    def settled(self, data: bytes, hits: Iterable[Hit]) -> Iterator[Hit]:
        """Those of `hits` in `data` that are to be marked, each as what it is to be called."""
        ...

    def mark(self, hit: Hit, stretch: bytes) -> bytes:
        """What stands in the place of the stretch of a hit."""
        ...


class Named:
    """Marks that say which secret it was."""

    def __init__(self, find: Callable[[bytes], str | None]) -> None:
        """`find` tells whether there is a secret in a mark."""
        self._find = find
        self._marks: dict[str, bytes] = {}

    def settled(self, data: bytes, hits: Iterable[Hit]) -> Iterator[Hit]:
        """A known value comes before what only looks like a key.

        The look may reach beyond the values in it. Letters there may belong to a longer key
        and go with it, under the name of the first value. All else, such as the end of a
        sentence, stays, so that the text is the same for every value.
        """
        hits = list(hits)
        known = sorted((hit for hit in hits if hit.is_known), key=lambda hit: hit.start)
        starts = [hit.start for hit in known]
        for hit in hits:
            inner: list[Hit] = []
            if not hit.is_known and hit.wrapped is None:
                within = known[bisect_left(starts, hit.start) : bisect_left(starts, hit.end)]
                inner = [each for each in within if each.end <= hit.end]
            if not inner:
                yield hit
            elif _has_letters_between(data, hit, inner):
                yield replace(hit, word=inner[0].word)

    def mark(self, hit: Hit, stretch: bytes) -> bytes:
        """The mark with the hit's name, in the width of the characters that were there."""
        mark = self._marks.get(hit.word)
        if mark is None:
            mark = f"<redacted:{_NOT_IN_A_WORD.sub('_', hit.word)}>".encode()
            if self._find(mark) is not None:
                mark = NAMELESS
            self._marks[hit.word] = mark
        return _as_wide_as(stretch, mark)


class Nameless:
    """The one mark for every secret, as older files have it."""

    def settled(self, data: bytes, hits: Iterable[Hit]) -> Iterator[Hit]:  # noqa: ARG002
        """All of them."""
        return iter(hits)

    def mark(self, hit: Hit, stretch: bytes) -> bytes:  # noqa: ARG002
        """Always the same."""
        return NAMELESS


def _has_letters_between(data: bytes, hit: Hit, inner: list[Hit]) -> bool:
    """Whether there are letters in the stretch of `hit` and outside of those of `inner`."""
    rest = []
    at = hit.start
    for each in inner:
        rest.append(data[at : each.start])
        at = max(at, each.end)
    rest.append(data[at : hit.end])
    # What spells a dot may have letters itself.
    return any(_LETTERS.search(unescaped(each)) for each in rest)


def _as_wide_as(stretch: bytes, mark: bytes) -> bytes:
    """The mark, in UTF-16 or UTF-32 where the stretch is."""
    found = _LACED.fullmatch(stretch) if b"\0" in stretch else None
    if found is None:
        return mark
    before, between = found.groups()
    return bytes(before) + bytes(between).join(mark[at : at + 1] for at in range(len(mark)))
