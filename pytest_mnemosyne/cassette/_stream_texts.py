"""The texts that the events of a stream make together: what a client reads as one.

A text arrives in pieces, one in each event. Pieces belong together that stand at the
same place of events for the same content block; the beginning of a block, in
`content_block`, and what is added to it, in `delta`, are one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pytest_mnemosyne.cassette._edits import Edit
from pytest_mnemosyne.cassette._json_styles import COMPACT, is_deep, print_json
from pytest_mnemosyne.wire import SseStream, decode

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A text in the data of an event."""

    event: int
    """The index of its event."""

    path: _Path
    """The keys and indexes that lead to it."""

    data: bytes
    """As UTF-8."""


class StreamTexts:
    """A stream, and the texts in it that are in several pieces."""

    def __init__(self, body: bytes) -> None:
        """Read a stream; whatever is none has no texts."""
        self._stream = decode(body)
        self.texts = _in_pieces(self._stream)

    def starts(self) -> list[int]:
        """Where each event begins in the body, and where the last one ends."""
        starts = [0]
        for event in self._stream.events:
            starts.append(starts[-1] + len(event.encode(self._stream.newline)))
        return starts

    def edits(self, changed: Mapping[Piece, bytes]) -> list[Edit]:
        """What to replace in the body so that these pieces have these texts.

        Events that cannot be printed again, such as those with NaN in them, stay as they are.
        """
        documents: dict[int, object] = {}
        for piece, text in changed.items():
            document = documents.setdefault(piece.event, self._document(piece.event))
            _put(document, piece.path, text.decode("utf-8", "surrogatepass"))
        starts = self.starts()
        edits: list[Edit] = []
        for at, document in sorted(documents.items()):
            data = _printed(document)
            if data is not None:
                event = replace(self._stream.events[at], raw=None, complete=True, data=data)
                edits.append((starts[at], starts[at + 1], event.encode(self._stream.newline)))
        return edits

    def _document(self, at: int) -> object:
        return json.loads(self._stream.events[at].data or "")


def _in_pieces(stream: SseStream) -> tuple[tuple[Piece, ...], ...]:
    places: dict[tuple[object, ...], list[Piece]] = {}
    for at, event in enumerate(stream.events):
        try:
            data = json.loads(event.data or "")
        except (ValueError, RecursionError):
            continue
        if is_deep(data):
            continue
        block = data.get("index") if isinstance(data, dict) else None
        for path, text in _texts(data, ()):
            if path[-1:] != ("type",):
                piece = Piece(at, path, text.encode("utf-8", "surrogatepass"))
                places.setdefault(_place(block, path), []).append(piece)
    return tuple(tuple(pieces) for pieces in places.values() if len(pieces) > 1)


def _place(block: object, path: _Path) -> tuple[object, ...]:
    """What pieces of one text have in common."""
    inner = path[1:] if path[:1] in (("content_block",), ("delta",)) else path
    return (block if isinstance(block, int) else None, *inner)


def _texts(value: object, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, (*path, at))


def _put(document: object, path: _Path, text: str) -> None:
    for step in path[:-1]:
        document = document[step]  # type: ignore[index]
    document[path[-1]] = text  # type: ignore[index]


def _printed(document: object) -> str | None:
    # Lone surrogates can only be escaped.
    for style in (COMPACT, "compact-ascii"):
        try:
            return print_json(document, style).decode()
        except (ValueError, RecursionError):
            continue
    return None
