"""What a cassette's file holds, and which part of an exchange is worth storing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Headers,
    Interaction,
    Request,
    Response,
)
from pytest_mnemosyne.wire import VERSION_HEADER, ClaudeHosts, is_api_path, is_loopback

FORMAT: Final = 1
"""The number of the format that this release writes, and the highest that it reads."""

API_ORIGIN: Final = "https://api.anthropic.com"
"""Where a request without an origin went."""

REQUEST_HEADERS: Final = frozenset({VERSION_HEADER, "anthropic-beta", "content-type"})
"""The request headers that are stored; no other ever reaches a file."""

RESPONSE_HEADERS: Final = frozenset(
    {"content-type", "retry-after", "retry-after-ms", "request-id", "x-should-retry"}
)
"""The response headers that are stored, with all that begin as below."""

_RESPONSE_PREFIX: Final = "anthropic-ratelimit-"

_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#]*@)?(?P<host>[^/?#]*)(?P<rest>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Where a cassette comes from."""

    source: str
    """`api`, `scripted`, or the origin of another upstream."""

    at: datetime | None = None
    """When; with a time zone."""

    test: str | None = None
    """The test that recorded it."""

    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What it was recorded with: package or header name, and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """What stands in a file in place of values that differ from run to run."""

    ids: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    clock: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ids or self.folders or self.clock)


NO_STAND_INS: Final = StandIns()


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteFile:
    """The contents of one file."""

    interactions: Sequence[Interaction] = ()
    """In recorded order; a tuple, or what behaves like one."""

    recorded: Recorded | None = None
    """`None` for the files of other recorders, which do not say."""

    loosened: tuple[str, ...] = ()
    """What matching leaves out beyond the default."""

    volatile: StandIns = NO_STAND_INS
    """What stands in it for ids, folders and times of the run that recorded it."""

    container: str = "mnemosyne"
    """Whose format it had: `mnemosyne`, `vcrpy`, `ruby-vcr`, `go-vcr`, `har` or `single`."""


def asks_claude(request: Request) -> bool:
    """Whether a request is one for Claude, as far as its URL and its headers tell."""
    url = request.url.partition("?")[0]
    return (
        is_api_path(url)
        or "://" not in url
        or ClaudeHosts().covers(url)
        or any(name.lower() == VERSION_HEADER for name, _ in request.headers)
    )


def stored_form(interaction: Interaction) -> Interaction:
    """The interaction as a file gives it back.

    Headers are those of the allow-lists, sorted; credentials in the URL are dropped,
    and so is an origin on this machine, because its port means nothing tomorrow;
    times are rounded to a tenth of a millisecond.
    """
    response = interaction.response
    return replace(
        interaction,
        request=_stored_request(interaction.request),
        response=None if response is None else _stored_response(response),
        took_s=round(interaction.took_s, 4),
    )


def _stored_request(request: Request) -> Request:
    origin, path = split_url(request.url)
    return replace(
        request,
        method=request.method.upper(),
        url=origin + path,
        headers=_allowed(request.headers, REQUEST_HEADERS, prefix=None),
    )


def _stored_response(response: Response) -> Response:
    return replace(
        response,
        headers=_allowed(response.headers, RESPONSE_HEADERS, prefix=_RESPONSE_PREFIX),
        chunks=tuple(Chunk(data=c.data, at_s=round(c.at_s, 4)) for c in response.chunks),
    )


def _allowed(headers: Headers, names: frozenset[str], *, prefix: str | None) -> Headers:
    lowered = ((name.lower(), value) for name, value in headers)
    kept = [
        (name, value)
        for name, value in lowered
        if name in names or (prefix is not None and name.startswith(prefix))
    ]
    return tuple(sorted(kept, key=lambda header: header[0]))


def split_url(url: str) -> tuple[str, str]:
    """Origin and the rest of a URL; what has no origin or a local one gets the API's."""
    found = _URL.fullmatch(url)
    if found is None:
        return API_ORIGIN, _rooted(url)
    host = found["host"].lower()
    name = re.sub(r":\d*\Z", "", host)
    if not host or is_loopback(name):
        return API_ORIGIN, _rooted(found["rest"])
    return f"{found['scheme'].lower()}://{host}", _rooted(found["rest"])


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
