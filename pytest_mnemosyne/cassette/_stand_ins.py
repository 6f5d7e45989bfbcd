r"""What stands in a cassette in place of values that no two runs share.

=======  =====================  ====================================================
kind     in the file            in place of
=======  =====================  ====================================================
ids      `this-run-work-1`      the first id of the kind `work` that the run minted; with
                                an agent's name before the number one that it minted
folders  `/mnemosyne/tmp_path`  the folder of the test's fixture `tmp_path`
         `/mnemosyne/tmp`       the folder of the run's temporary files
         `/mnemosyne/root`      pytest's rootdir
         `/mnemosyne/cwd`       the working folder
         `/mnemosyne/home`      the user's home folder
clock    `2001-02-03T04:05:06`  a reading of the run's clock, in the reading's spelling
=======  =====================  ====================================================

They are told by their looks, so what a file holds of them can be found in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from pytest_mnemosyne.cassette._contents import StandIns
from pytest_mnemosyne.cassette._interaction import Interaction

FOLDERS: Final = ("tmp_path", "tmp", "root", "cwd", "home")
"""The folders that are known; of two that are one and the same, the first."""

_INSTANT: Final = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)

AFTER_ESCAPE: Final = rb"(?:(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))"
"""What stands before a word in JSON may be the end of a line, or another character."""

_ID_MARK: Final = b"this-run-"
_ID_BEHIND: Final = rb"(?:[A-Za-z][0-9A-Za-z_.]*-)*[0-9]+"
ID: Final = re.compile(
    rb"(?:(?<![0-9A-Za-z_-])|%b)%b%b(?![0-9A-Za-z])" % (AFTER_ESCAPE, _ID_MARK, _ID_BEHIND)
)
_FOLDER: Final = re.compile(
    rb"(?:(?<![\w.-])|%b)/mnemosyne/(?:%b)(?![\w-])" % (AFTER_ESCAPE, "|".join(FOLDERS).encode())
)
_INSTANTS: Final = tuple(
    re.compile(
        rb"(?:(?<![0-9A-Za-z])|%b)"
        % AFTER_ESCAPE
        + rb"(?P<year>[0-9]{4})%b(?P<month>[0-9]{2})%b(?P<day>[0-9]{2})(?P<between>%b)"
        rb"(?P<hour>[0-9]{2})%b(?P<minute>[0-9]{2})(?:%b(?P<second>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
        rb"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?(?![0-9])" % (dash, dash, between, colon, colon)
    )
    for dash, between, colon in ((b"-", b"[T ]", b":"), (b"", b"T", b""))
)
"""The extended and the basic format of ISO 8601; `str` has a space in the first."""


@lru_cache(maxsize=64)
def word(
    pattern: bytes, *, of: bytes, before: bytes = b"", behind: bytes = b"(?!)"
) -> re.Pattern[bytes]:
    """The pattern where it is no part of another word: `/home/al` is not in `/home/alice`.

    Args:
        pattern: What is looked for.
        of: The characters of a word.
        before: Those that may not stand before it, besides.
        behind: What may not stand behind it, besides.
    """
    start = rb"(?:(?<![%b%b])|%b)" % (before, of, AFTER_ESCAPE)
    return re.compile(rb"%b%b(?![%b]|%b)" % (start, pattern, of, behind))


def folder_stand_in(name: str) -> str:
    """What stands for one of `FOLDERS`."""
    return f"/mnemosyne/{name}"


@dataclass(frozen=True, slots=True)
class InstantText:
    """A date with a time of day, as ISO 8601 or `str` spells it."""

    start: int
    end: int
    at: datetime
    """To the second, or to the minute."""

    spelled: re.Match[bytes]

    @property
    def has_seconds(self) -> bool:
        return self.spelled["second"] is not None

    def respelled(self, at: datetime) -> bytes:
        """Another instant in this spelling, without a fraction of a second.

        A fraction of zero is spelled by leaving it out, so whether there is one is chance.
        """
        at = at.astimezone(self.at.tzinfo)
        is_basic = self.spelled[0][4:5] != b"-"
        date, time = ("%Y%m%d", "%H%M") if is_basic else ("%Y-%m-%d", "%H:%M")
        if self.has_seconds:
            time += "%S" if is_basic else ":%S"
        between, zone = self.spelled["between"], self.spelled["zone"] or b""
        return at.strftime(date).encode() + between + at.strftime(time).encode() + zone


def instant_texts(data: bytes) -> Iterator[InstantText]:
    """Every date with a time of day in `data`; without a zone it counts as UTC."""
    for pattern in _INSTANTS:
        for found in pattern.finditer(data):
            names = ("year", "month", "day", "hour", "minute", "second")
            year, *rest = [int(found[name] or b"0") for name in names]
            try:
                at = datetime(year, *rest, tzinfo=_zone(found["zone"] or b""))  # type: ignore[arg-type, misc]
            except (ValueError, OverflowError):
                continue
            yield InstantText(found.start(), found.end(), at, found)


def _zone(text: bytes) -> timezone:
    if text in (b"", b"Z"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text.startswith(b"-") else minutes))


@dataclass(frozen=True, slots=True)
class StandIn:
    """One place where something stands in."""

    start: int
    end: int
    text: str
    instant: InstantText | None = None
    """For those of the clock: their spelling."""


def stood_for(text: InstantText) -> bytes:
    """What stands for a reading of a clock."""
    return text.respelled(_INSTANT)


def find(data: bytes, kinds: StandIns | None = None) -> list[StandIn]:
    """Where something stands in, in order; only of the kinds that `kinds` has some of."""
    found: list[StandIn] = []
    if (kinds is None or kinds.ids) and _ID_MARK in data:
        found += _matches(ID, data)
    if (kinds is None or kinds.folders) and b"/mnemosyne/" in data:
        found += _matches(_FOLDER, data)
    # In whatever time zone, it is the third of February or a day beside it.
    if (kinds is None or kinds.clock) and (b"2001-02-0" in data or b"2001020" in data):
        found += [
            StandIn(each.start, each.end, data[each.start : each.end].decode(), each)
            for each in instant_texts(data)
            if each.at == (_INSTANT if each.has_seconds else _INSTANT.replace(second=0))
        ]
    return sorted(found, key=lambda each: each.start)


def _kind_and_number(stand_in: str) -> tuple[str, int]:
    kind, _, number = stand_in.rpartition("-")
    return kind, int(number)


def _matches(pattern: re.Pattern[bytes], data: bytes) -> Iterator[StandIn]:
    return (StandIn(each.start(), each.end(), each[0].decode()) for each in pattern.finditer(data))


def numbered(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """`data` with ids counted in their order instead of named, and their names in that order."""
    names: dict[bytes, bytes] = {}
    text = ID.sub(lambda each: names.setdefault(each[0], b"#%d" % len(names)), data)
    return text, tuple(name.decode() for name in names)


def stand_ins_of(interactions: Iterable[Interaction]) -> StandIns:
    """All that stands in for something in these interactions."""
    ids: set[str] = set()
    folders: set[str] = set()
    clock: set[str] = set()
    for one in interactions:
        bodies = [one.request.url.encode(), one.request.body]
        if one.response is not None:
            bodies.append(one.response.body)
        for each in (found for body in bodies for found in find(body)):
            kind = clock if each.instant else folders if each.text.startswith("/") else ids
            kind.add(each.text)
    return StandIns(
        ids=tuple(sorted(ids, key=_kind_and_number)),
        folders=tuple(sorted(folders)),
        clock=tuple(sorted(clock)),
    )
