"""vcrpy, matching on bodies as well, which by default it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vcr
from conversations import URL, Exchange
from vcr.request import Request
from vcr.serialize import serialize
from vcr.serializers import jsonserializer, yamlserializer

SUFFIX = ".yaml"
MISS: type[BaseException] = Exception

_MATCH = ("method", "scheme", "host", "port", "path", "query", "body")


def keep(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write a cassette."""
    kept = {
        "requests": [_request(each.body) for each in exchanges],
        "responses": [_response(each) for each in exchanges],
    }
    serializer = jsonserializer if path.suffix == ".json" else yamlserializer
    path.write_text(serialize(kept, serializer), encoding="utf-8")


def _request(body: bytes) -> Request:
    return Request("POST", URL, body, {"content-type": "application/json"})


def _response(each: Exchange) -> dict[str, Any]:
    return {
        "status": {"code": 200, "message": "OK"},
        "headers": {"content-type": [each.content_type]},
        "body": {"string": b"".join(each.pieces)},
    }


def matcher(path: Path) -> Callable[[bytes], object]:
    """How to find the answer to a body, without an HTTP client."""
    with _vcr("none").use_cassette(str(path)) as cassette:
        pass  # it is loaded, and goes on to answer whoever holds it

    def answer(body: bytes) -> object:
        request = _request(body)
        # As its own stubs do.
        return cassette.can_play_response_for(request) and cassette.play_response(request)

    return answer


@contextmanager
def playing(path: Path) -> Iterator[None]:
    """Answer this process's requests from a cassette."""
    with _vcr("none").use_cassette(str(path)):
        yield


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Record this process's requests anew."""
    path.unlink(missing_ok=True)
    with _vcr("all").use_cassette(str(path)):
        yield


def _vcr(mode: str) -> vcr.VCR:
    return vcr.VCR(record_mode=mode, match_on=_MATCH)
