"""Where forwarded requests go."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from mnemosyne_core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Upstream:
    """Another server in place of the one that a client meant, such as a scripted Claude."""

    url: str
    """Scheme, host, port, and a path where its API does not begin at the root."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            raise UsageError(
                f"an upstream is a URL such as http://127.0.0.1:8080, got {self.url!r}"
            )

    def rebased(self, url: str) -> str:
        """The same request's URL here: a path up to `/v1/` belonged to the other server."""
        parts = urlsplit(url)
        start = parts.path.rfind("/v1/")
        path = parts.path[start:] if start >= 0 else parts.path
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.url.rstrip('/')}{path}{query}"
