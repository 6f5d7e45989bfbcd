"""Which requests go to Claude, told from their URL.

Some hosts serve Claude and nothing else, some serve Claude among other things, so
that only the path tells, and some are Claude's because somebody pointed a client
at them.

This module is asked while pytest loads and at every name resolution: it imports
next to nothing and works on plain strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

BASE_URL_VARIABLES = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AWS_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_GOOGLE_CLOUD_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
)
"""The environment variables by which clients are pointed at another host."""

VERSION_HEADER = "anthropic-version"
"""The header that every client of Claude sends, and a client of nobody else."""

_DEDICATED = re.compile(
    r"(.+\.)?api(-[a-z0-9-]+)?\.(anthropic|claude)\.com"
    r"|(.+\.)?[a-z0-9-]+-api\.(anthropic|claude)\.com"
    r"|claude\.googleapis\.com"
    r"|aws-external-anthropic\.[a-z0-9-]+\.api\.aws"
)

_SHARED = re.compile(
    r"bedrock-(runtime|mantle)(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|api\.aws)"
    r"|([a-z0-9-]+-)?aiplatform\.([a-z]+\.rep\.)?googleapis\.com"
    r"|[a-z0-9-]+\.services\.ai\.azure\.com"
)

# Bedrock puts the model into the path, Vertex the publisher, the others a first segment.
_NAMES_CLAUDE = re.compile(r"anthropic|claude", re.IGNORECASE)

_API_PATH = re.compile(r"/v1/(messages|complete|models|files)(/.*)?|/v1/messages(:[a-z_]+)?")

_ORIGIN = re.compile(
    r"(?:(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*):)?//(?:[^/?#@]*@)?"
    r"(?P<host>\[[^\]]*\]|[^/?#:]*)(?::(?P<port>\d*))?(?P<path>[^?#]*)"
)

_DEFAULT_PORTS = {"https": 443, "http": 80}


class HostKind(StrEnum):
    """What a host's name says about its traffic."""

    CLAUDE = auto()
    """Serves Claude and nothing else that matters."""

    SHARED = auto()
    """Serves Claude among other models; only the path tells."""

    OTHER = auto()
    """Nothing in its name says Claude."""


def host_kind(host: str) -> HostKind:
    """Judge a host by its name alone, in any case, with or without a final dot."""
    name = host.lower().rstrip(".")
    if _DEDICATED.fullmatch(name):
        return HostKind.CLAUDE
    if _SHARED.fullmatch(name):
        return HostKind.SHARED
    return HostKind.OTHER


def is_loopback(host: str) -> bool:
    """Whether the host is this machine itself, by name or number."""
    name = host.lower().strip("[]").rstrip(".")
    return (
        name == "localhost"
        or name.endswith(".localhost")
        or name == "::1"
        or (re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None)
    )


def is_api_path(path: str) -> bool:
    """Whether a path, without its query, is one that the Messages API and its kin serve.

    Whatever stands before `/v1/` does not matter: a base URL may have a path of its own.
    """
    start = path.find("/v1/")
    return start >= 0 and _API_PATH.fullmatch(path[start:].rstrip("/")) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The part of a URL that says where a request goes."""

    host: str
    """In lower case, without brackets and final dot."""

    port: int
    path: str
    """Without the query; `/` where the URL has none."""

    @classmethod
    def of(cls, url: str) -> Address | None:
        """Take an absolute URL apart; `None` where it has no host."""
        found = _ORIGIN.match(url.strip())
        if found is None or not found["host"]:
            return None
        scheme = (found["scheme"] or "https").lower()
        port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme, 443)
        host = found["host"].lower().strip("[]").rstrip(".")
        return cls(host=host, port=port, path=found["path"] or "/")


class ClaudeHosts:
    """What counts as Claude: the known hosts, and the base URLs that were declared."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        """Know the API's hosts and `declared` base URLs; one without a host is left out."""
        found = (Address.of(url) for url in declared)
        self._declared = tuple(address for address in found if address is not None)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *declared: str) -> ClaudeHosts:
        """The known hosts, those that `environ` points clients at, and `declared` ones."""
        named = (environ[name] for name in BASE_URL_VARIABLES if environ.get(name))
        return cls((*named, *declared))

    def covers_host(self, host: str) -> bool:
        """Whether everything that goes to `host` goes to Claude, as far as a name can tell.

        A shared host does not count, and neither does a declared loopback host, where
        anything else may listen: they need the whole URL.
        """
        name = host.lower().strip("[]").rstrip(".")
        if host_kind(name) is HostKind.CLAUDE:
            return True
        return not is_loopback(name) and any(name == known.host for known in self._declared)

    def covers(self, url: str) -> bool:
        """Whether a request to the absolute `url` goes to Claude."""
        address = Address.of(url)
        if address is None:
            return False
        kind = host_kind(address.host)
        if kind is HostKind.CLAUDE:
            return True
        if kind is HostKind.SHARED and _NAMES_CLAUDE.search(address.path):
            return True
        return any(_is_below(address, base) for base in self._declared)


def _is_below(address: Address, base: Address) -> bool:
    prefix = base.path.rstrip("/")
    return (
        address.host == base.host
        and address.port == base.port
        and (address.path == prefix or address.path.startswith(f"{prefix}/"))
    )
