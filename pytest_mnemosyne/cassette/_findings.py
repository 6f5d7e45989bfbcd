"""What is wrong with a cassette's file, for whoever reviews a folder of them.

A file that plays may still be wrong: a part that no interaction uses any more, a header
that was written in by hand, an exchange that can never play. Secrets are looked for
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pytest_mnemosyne.cassette._contents import CassetteFile, stored_form
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CorruptCassetteError,
    UnreadableCassetteError,
)
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Outcome
from pytest_mnemosyne.cassette._parts import named_parts
from pytest_mnemosyne.cassette._raw import packing
from pytest_mnemosyne.cassette._reading import parse_whole
from pytest_mnemosyne.cassette._stand_ins import stand_ins_of
from pytest_mnemosyne.cassette._yaml import Where, line_finder

SUFFIXES: Final = frozenset({".har", ".json", ".yaml", ".yml"})
"""What recorders call their files."""

_TOP: Final = frozenset({"mnemosyne", "recorded", "loosened", "volatile", "parts", "interactions"})

_SHOWN: Final = 3
"""How many names a finding lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a file."""

    path: Path
    line: int | None
    """Counted from 1; `None` where no line can be named."""

    what: str

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.what}"


def findings(data: bytes, path: Path, *, now: datetime) -> tuple[Finding, ...]:
    """What is wrong with the file of these bytes.

    A file whose name says that it is no cassette, or that holds something else, is only
    asked whether one can look into it.

    Args:
        data: The file.
        path: Where it is, for the findings.
        now: No cassette can be newer.
    """
    packed = packing(data)
    if packed is not None:
        return (Finding(path=path, line=None, what=f"cannot be looked into: it is {packed}"),)
    if path.suffix not in SUFFIXES:
        return ()
    try:
        document, file = parse_whole(data, path)
    except CorruptCassetteError as error:
        return (Finding(path=path, line=error.line, what=error.problem),)
    except UnreadableCassetteError:
        return ()
    except CassetteFileError as error:
        return (Finding(path=path, line=None, what=str(error).removeprefix(f"{path} ")),)
    if file.container != "mnemosyne":
        return ()
    assert isinstance(document, dict), "a cassette of format 1 is a mapping"
    problems = [*_in_header(file, document, now), *_unused(document), *_in_interactions(file)]
    if not problems:
        return ()
    line = line_finder(data)
    return tuple(Finding(path=path, line=line(where), what=what) for where, what in problems)


def _in_header(
    file: CassetteFile, document: Mapping[str, object], now: datetime
) -> Iterator[tuple[Where, str]]:
    for name in document:
        if name not in _TOP:
            yield (name,), f"{name!r} is no key of the format, so nothing reads it"
    if "volatile" in document and file.volatile != stand_ins_of(file.interactions):
        yield ("volatile",), "volatile does not list the stand-ins that are in the file"
    if file.recorded is None:
        yield ("mnemosyne",), "no header says where it comes from (recorded: {source: ...})"
    elif file.recorded.at is not None and file.recorded.at > now:
        at = file.recorded.at.astimezone(UTC)
        yield ("recorded", "at"), f"recorded in the future, at {at:%Y-%m-%d %H:%M} UTC"


def _unused(document: Mapping[str, object]) -> Iterator[tuple[Where, str]]:
    parts = document.get("parts")
    if not isinstance(parts, dict):
        return
    used = named_parts(_texts(document.get("interactions")), parts)
    unused = [name for name in parts if name not in used]
    if unused:
        more = f" and {len(unused) - _SHOWN} more" if len(unused) > _SHOWN else ""
        names = ", ".join(map(str, unused[:_SHOWN])) + more
        yield ("parts", unused[0]), f"no interaction uses {names} of the parts"


def _texts(value: object) -> Iterator[str]:
    """Every text in plain data, keys apart; the name of a part in use is among them."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


def _in_interactions(file: CassetteFile) -> Iterator[tuple[Where, str]]:
    if not file.interactions:
        yield ("interactions",), "there are no interactions in it"
    for at, one in enumerate(file.interactions):
        where: Where = ("interactions", at)
        if one.response is None and one.outcome is Outcome.COMPLETE:
            yield where, "it can never play: it is complete and has no response"
        for half, surplus in _surplus(one):
            yield (
                (*where, half, "headers"),
                f"headers of the {half} that are never stored: {', '.join(surplus)}",
            )


def _surplus(one: Interaction) -> Iterator[tuple[str, list[str]]]:
    """The headers of each half that no recording would have written."""
    stored = stored_form(one)
    halves = [("request", one.request.headers, stored.request.headers)]
    if one.response is not None and stored.response is not None:
        halves.append(("response", one.response.headers, stored.response.headers))
    for half, there, kept in halves:
        surplus = _names(there) - _names(kept)
        if surplus:
            yield half, sorted(surplus)


def _names(headers: Headers) -> set[str]:
    return {name for name, _ in headers}
