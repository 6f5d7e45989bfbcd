"""Parsed cassettes, kept by the hash of the file they were parsed from.

YAML costs a hundred times what the contents themselves cost to load, and nearly
every run reads files that did not change. An entry is named after the file's
bytes and whatever its own layout depends on, and holds a checksum, so that it is
either right or not used; there is nothing to invalidate.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import secrets
import sys
import zlib
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import _key
from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._turn import Tokens

# Raised with every change to a reader of files or to the tuples below.
_LAYOUT: Final = 3

_SALT: Final = f"{_LAYOUT}-{_key.VERSION}-{sys.implementation.cache_tag}-{marshal.version}".encode()
_CHECKSUM_BYTES: Final = 4

_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def entry(cache_dir: Path, data: bytes) -> str:
    """The path of the entry for a file with these bytes."""
    name = hashlib.blake2b(data, digest_size=20, key=_SALT).hexdigest()
    return f"{cache_dir}{os.sep}{name}"


def load(entry: str) -> CassetteFile | None:
    """The contents kept there, keys and tokens included; `None` where none can be trusted."""
    try:
        kept = read_bytes(entry)
    except OSError:
        return None
    payload = kept[_CHECKSUM_BYTES:]
    if _checksum(payload) != kept[:_CHECKSUM_BYTES]:
        return None
    return _from_plain(marshal.loads(payload))  # noqa: S302 - the checksum says it is ours


def store(entry: str, file: CassetteFile) -> None:
    """Keep `file` for the next time, if the folder allows it."""
    payload = marshal.dumps(_to_plain(file))
    temporary = f"{entry}.{secrets.token_hex(4)}"
    # A cache that cannot be written costs time and nothing else.
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(entry), exist_ok=True)  # noqa: PTH103, PTH120
        with open(temporary, "xb") as out:  # noqa: PTH123
            out.write(_checksum(payload) + payload)
        os.replace(temporary, entry)  # noqa: PTH105


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")


# --- to tuples and back ----------------------------------------------------------------


def _to_plain(file: CassetteFile) -> Any:
    recorded = file.recorded
    return (
        file.container,
        file.loosened,
        None
        if recorded is None
        else (
            recorded.source,
            None if recorded.at is None else recorded.at.isoformat(),
            recorded.test,
            tuple(recorded.versions.items()),
        ),
        tuple(_plain_interaction(one) for one in file.interactions),
        file.keys,
        tuple((used.input, used.output) for used in file.tokens),
    )


def _plain_interaction(one: Interaction) -> Any:
    request, response, lane = one.request, one.response, one.lane
    return (
        (request.method, request.url, request.headers, request.body),
        None
        if response is None
        else (
            response.status,
            response.headers,
            response.body,
            tuple((chunk.data, chunk.at_s) for chunk in response.chunks),
        ),
        one.outcome.value,
        None if lane is None else (lane.agent, lane.attempt),
        one.took_s,
    )


def _from_plain(plain: Any) -> CassetteFile:
    container, loosened, recorded, interactions, keys, tokens = plain
    return CassetteFile(
        container=container,
        loosened=loosened,
        recorded=None if recorded is None else _recorded(*recorded),
        interactions=tuple([_interaction(*one) for one in interactions]),
        keys=keys,
        tokens=tuple([Tokens(*used) for used in tokens]),
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


def _interaction(
    request: Any, response: Any, outcome: str, lane: tuple[str, int] | None, took_s: float
) -> Interaction:
    method, url, headers, body = request
    return Interaction(
        request=Request(method=method, url=url, headers=headers, body=body),
        response=None if response is None else _response(*response),
        outcome=_OUTCOMES[outcome],
        lane=None if lane is None else Lane(*lane),
        took_s=took_s,
    )


def _response(
    status: int, headers: Any, body: bytes, chunks: tuple[tuple[bytes, float], ...]
) -> Response:
    return Response(
        status=status,
        headers=headers,
        body=body,
        chunks=tuple([Chunk(data=data, at_s=at_s) for data, at_s in chunks]),
    )
