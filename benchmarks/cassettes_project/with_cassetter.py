"""cassetter, matching on bodies as well, which by default it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cassetter import Cassetter
from cassetter._core import Body, HttpInteraction, HttpRequest, HttpResponse
from cassetter._core import Cassette as Kept
from conversations import URL, Exchange

SUFFIX = ".yaml"
MISS: type[BaseException] = Exception

_JSON = {"content-type": ["application/json"]}


def keep(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write a cassette."""
    kept = Kept()
    for each in exchanges:
        kept.add_interaction(
            HttpInteraction(
                HttpRequest("POST", URL, _JSON, Body("json", each.asked)),
                _response(each),
                "2026-11-22T15:00:00+00:00",
            )
        )
    kept.save(str(path))


def _response(each: Exchange) -> HttpResponse:
    if each.asked.get("stream"):
        headers = {"content-type": [each.content_type]}
        return HttpResponse(200, headers, Body("text", b"".join(each.pieces).decode()))
    return HttpResponse(200, _JSON, Body("json", each.answer))


def matcher(path: Path) -> Callable[[bytes], object]:
    """How to find the answer to a body, without an HTTP client."""
    cassette = _settings("none").cassette(path)
    cassette.load()
    return lambda body: cassette.play("POST", URL, _JSON, body)


@contextmanager
def playing(path: Path) -> Iterator[None]:
    """Answer this process's requests from a cassette."""
    with _settings("none").use_cassette(path):
        yield


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Record this process's requests anew."""
    with _settings("rewrite").use_cassette(path):
        yield


def _settings(mode: str) -> Cassetter:
    return Cassetter(record_mode=mode, match_on=["method", "uri", "json_body"])
