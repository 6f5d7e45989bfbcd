"""pytest-mnemosyne's cassettes, without its fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from conversations import URL, Exchange

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteMissError,
    Chunk,
    Door,
    Interaction,
    Recorded,
    RecordMode,
    Request,
    Response,
    load,
    write,
)

SUFFIX = ".yaml"
MISS: type[BaseException] = CassetteMissError


def keep(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write a cassette."""
    write(path, CassetteFile(interactions=tuple(map(_interaction, exchanges))))


def _interaction(each: Exchange) -> Interaction:
    asked, answered = (
        (("content-type", kind),) for kind in ("application/json", each.content_type)
    )
    pieces = each.pieces
    # A stream's events come one by one, and when they came is kept, too.
    chunks = [Chunk(data=piece, at_s=0.4 + 0.0217 * at) for at, piece in enumerate(pieces)]
    return Interaction(
        request=Request(method="POST", url=URL, headers=asked, body=each.body),
        response=Response(
            status=200,
            headers=answered,
            body=b"".join(pieces),
            chunks=tuple(chunks) if len(chunks) > 1 else (),
        ),
    )


def matcher(path: Path) -> Callable[[bytes], object]:
    """How to find the answer to a body, without an HTTP client."""
    cassette = _open(path, RecordMode.REPLAY)
    cassette.read()

    def answer(body: bytes) -> object:
        return cassette.answer(Request(method="POST", url=URL, body=body), None)

    return answer


@contextmanager
def playing(path: Path) -> Iterator[None]:
    """Answer this process's requests from a cassette."""
    with _through(path, RecordMode.REPLAY):
        yield


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Record this process's requests anew."""
    with _through(path, RecordMode.RERECORD) as cassette:
        yield
    cassette.save(Recorded(source="scripted"))


@contextmanager
def _through(path: Path, mode: RecordMode) -> Iterator[Cassette]:
    door = Door(mode=mode)
    cassette = _open(path, mode)
    cassette.read()
    try:
        with door.playing(cassette):
            yield cassette
    finally:
        door.uninstall()


def _open(path: Path, mode: RecordMode) -> Cassette:
    loader = partial(load, cache_dir=path.parent / "parsed")
    return Cassette(path, mode=mode, loader=loader)
