"""A cassette's contents as bytes that are quick to open: a head, and what lies behind it.

The head is all that it takes to find an answer and to count it. Behind it lies a record for
each interaction. The messages of longer conversations lie beside the records, each once,
because each turn repeats all turns before it. Nothing of this is read before somebody
looks, and each piece has a checksum of its own.
"""

from __future__ import annotations

import marshal
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from datetime import datetime
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any, Final

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded, StandIns
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._kept import KeptInteractions
from pytest_mnemosyne.cassette._key import KeyMaker
from pytest_mnemosyne.cassette._loosening import Loosening
from pytest_mnemosyne.cassette._turn import tokens_of

LAYOUT: Final = 2
"""Raised with every change to what is packed here."""

_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_NUMBERS: Final = "Q"

_LONG: Final = 3
"""From so many messages on, a conversation is taken apart."""

Place = tuple[int, int, int]
"""Where a piece begins and ends behind the head, and its checksum."""


class DamagedPiece(Exception):  # noqa: N818 - a finding, for whoever has the file itself
    """A piece is not what was packed."""


def pack(file: CassetteFile, loosening: Loosening) -> tuple[bytes, bytes]:
    """The head, with keys for this loosening, and what lies behind it."""
    pieces = _Pieces()
    places = [pieces.put(pieces.record(one)) for one in file.interactions]
    recorded, volatile = file.recorded, file.volatile
    keys = KeyMaker(loosening)
    known: dict[Any, Any] = {}
    head: Any = (
        (file.container, file.loosened, (volatile.ids, volatile.folders, volatile.clock)),
        None
        if recorded is None
        else (
            recorded.source,
            None if recorded.at is None else recorded.at.isoformat(),
            recorded.test,
            tuple(recorded.versions.items()),
        ),
        tuple([one.lane and _once(known, astuple(one.lane)) for one in file.interactions]),
        tuple([keys.key(one.request) for one in file.interactions]),
        tuple([_once(known, astuple(tokens_of(one))) for one in file.interactions]),
        tuple([keys.spelling(one.request) for one in file.interactions]),
        _numbers(places),
        loosening.fingerprint,
    )
    return marshal.dumps(head), pieces.joined()


def unpack(
    head: bytes, behind: memoryview, instead: Callable[[], Sequence[Interaction]]
) -> CassetteFile:
    """The file that was packed.

    Args:
        head: Its head.
        behind: What lies behind it.
        instead: Makes the interactions from where they came, should a piece be damaged;
            called once.
    """
    found: Any = marshal.loads(head)  # noqa: S302 - the caller knows it is ours
    about, recorded, lanes, keys, tokens, spellings, places, fingerprint = found
    container, loosened, (ids, folders, clock) = about
    known = {each: None if each is None else Lane(*each) for each in set(lanes)}
    kept_lanes = [known[each] for each in lanes]
    return CassetteFile(
        container=container,
        loosened=loosened,
        volatile=StandIns(ids=ids, folders=folders, clock=clock),
        recorded=None if recorded is None else _recorded(*recorded),
        interactions=KeptInteractions(
            _Maker(behind, places, kept_lanes, instead),
            lanes=kept_lanes,
            keys=keys,
            tokens=tokens,
            spellings=spellings,
            keyed_for=fingerprint,
        ),
    )


def _once(known: dict[Any, Any], value: Any) -> Any:
    """An object that was there before is only referred to."""
    return known.setdefault(value, value)


# --- packing ---------------------------------------------------------------------------


class _Pieces:
    """The bytes behind the head, each piece once."""

    def __init__(self) -> None:
        self._places: dict[bytes, Place] = {}
        self._end = 0
        self._keys = KeyMaker()

    def put(self, piece: bytes) -> Place:
        found = self._places.get(piece)
        if found is None:
            end = self._end + len(piece)
            found = self._places[piece] = (self._end, end, zlib.crc32(piece))
            self._end = end
        return found

    def joined(self) -> bytes:
        return b"".join(self._places)

    def record(self, one: Interaction) -> bytes:
        request, response = one.request, one.response
        record: Any = (
            (request.method, request.url, request.headers, *self._body(request.body)),
            None
            if response is None
            else (
                response.status,
                response.headers,
                response.body,
                tuple([(len(chunk.data), chunk.at_s) for chunk in response.chunks]),
            ),
            one.outcome.value,
            one.took_s,
        )
        return marshal.dumps(record)

    def _body(self, body: bytes) -> tuple[bytes, bool]:
        """A body, or the places of what it is put together from; and which of the two it is."""
        layout = self._keys.layout(body)
        if layout is None or not layout.is_compact or len(layout.messages) < _LONG:
            return body, False
        parts = [layout.before, layout.after, *(each.raw for each in layout.messages)]
        return _numbers(map(self.put, parts)), True


def _numbers(places: Iterable[Place]) -> bytes:
    return array(_NUMBERS, [number for place in places for number in place]).tobytes()


# --- unpacking -------------------------------------------------------------------------


class _Maker:
    """Makes the interactions of one file, one by one."""

    def __init__(
        self,
        behind: memoryview,
        places: bytes,
        lanes: Sequence[Lane | None],
        instead: Callable[[], Sequence[Interaction]],
    ) -> None:
        self._behind = behind
        self._places = memoryview(places).cast(_NUMBERS)
        self._lanes = lanes
        self._instead = instead
        self._made_instead: Sequence[Interaction] | None = None

    def __call__(self, index: int) -> Interaction:
        at = index * 3
        places = self._places
        try:
            piece = self._piece(places[at], places[at + 1], places[at + 2])
            request, response, outcome, took_s = marshal.loads(piece)  # noqa: S302 - as above
            method, url, headers, body, is_apart = request
            return Interaction(
                request=Request(
                    method=method,
                    url=url,
                    headers=headers,
                    body=self._together(body) if is_apart else body,
                ),
                response=None if response is None else _response(*response),
                outcome=_OUTCOMES[outcome],
                lane=self._lanes[index],
                took_s=took_s,
            )
        except DamagedPiece:
            if self._made_instead is None:
                self._made_instead = self._instead()
            return self._made_instead[index]

    def _together(self, places: bytes) -> bytes:
        numbers = memoryview(places).cast(_NUMBERS)
        before, after, *messages = [
            self._piece(*numbers[at : at + 3]) for at in range(0, len(numbers), 3)
        ]
        return b"".join((before, b'"messages":[', b",".join(messages), b"]", after))

    def _piece(self, start: int, end: int, checksum: int) -> memoryview:
        piece = self._behind[start:end]
        if zlib.crc32(piece) != checksum:
            raise DamagedPiece
        return piece


def _response(
    status: int, headers: Any, body: bytes, sizes_and_times: tuple[tuple[int, float], ...]
) -> Response:
    if not sizes_and_times:
        return Response(status=status, headers=headers, body=body)
    ends = accumulate([size for size, _ in sizes_and_times], initial=0)
    return Response(
        status=status,
        headers=headers,
        body=body,
        chunks=tuple(
            [
                Chunk(data=body[start:end], at_s=at_s)
                for (start, end), (_, at_s) in zip(pairwise(ends), sizes_and_times, strict=True)
            ]
        ),
    )


def _recorded(
    source: str, at: str | None, test: str | None, versions: tuple[tuple[str, str], ...]
) -> Recorded:
    return Recorded(
        source=source,
        at=None if at is None else datetime.fromisoformat(at),
        test=test,
        versions=MappingProxyType(dict(versions)),
    )
