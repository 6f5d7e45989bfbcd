"""The last fence: in replay mode nothing reaches a Claude host, whoever asks.

The cassette's door answers the clients that it knows. What comes past the door - a
test without a cassette, a client that nobody has heard of, a socket by hand - has to
resolve a name or begin TLS first, and both go through a Python function of the
standard library. The fence stands there:

- `socket.getaddrinfo`, which asyncio, urllib3, httpcore and http.client all look up
  on the module when they call it;
- `ssl.SSLContext.wrap_socket` and `wrap_bio` by `server_hostname`, for requests that
  an explicit proxy resolves elsewhere;
- `NO_PROXY`, where the environment names a proxy, so that clients resolve by
  themselves and meet the first fence.

A client in C that brings its own resolver and its own TLS (pycurl, gRPC) is not
held. Loopback and every other host pass untouched.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

Judge = Callable[[str], BaseException | None]
"""Takes the host; hands back what is raised for the contact, having noted it, or nothing."""

_BYPASSED: Final = ("anthropic.com", "claude.com", "claude.googleapis.com", "api.aws")
_NO_PROXY: Final = ("no_proxy", "NO_PROXY")


class Guard:
    """Refuses contact with some hosts while installed."""

    def __init__(self, *, refuse: Judge, environ: MutableMapping[str, str]) -> None:
        """Prepare; nothing is patched yet.

        Args:
            refuse: Called for each contact, in the thread that makes it.
            environ: The environment whose proxy settings are bent.
        """
        self._refuse = refuse
        self._environ = environ
        self._undo: list[Callable[[], None]] = []
        self._holds_ssl = False

    def install(self) -> None:
        """Put the fences up."""
        self._hold_names()
        self.hold_tls_if_loaded()
        self._bypass_proxies()

    def uninstall(self) -> None:
        """Take the fences down again; safe to call twice."""
        while self._undo:
            self._undo.pop()()
        self._holds_ssl = False

    def hold_tls_if_loaded(self) -> None:
        """Guard TLS once somebody has imported `ssl`; until then nobody can use it."""
        if self._holds_ssl or "ssl" not in sys.modules:
            return
        self._holds_ssl = True
        context = sys.modules["ssl"].SSLContext
        for name in ("wrap_socket", "wrap_bio"):
            self._patch(context, name, self._checking_server_name(getattr(context, name)))

    def _hold_names(self) -> None:
        resolve = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check(host)
            return resolve(host, *args, **kwargs)

        self._patch(socket, "getaddrinfo", getaddrinfo)

    def _checking_server_name(self, wrap: Callable[..., Any]) -> Callable[..., Any]:
        def checked(context: Any, *args: Any, **kwargs: Any) -> Any:
            # `server_hostname` comes by name, or among the positions that differ
            # between the two functions; any text there is a host's name.
            for value in (kwargs.get("server_hostname"), *args):
                if isinstance(value, str | bytes):
                    self._check(value)
            return wrap(context, *args, **kwargs)

        return checked

    def _check(self, host: object) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str):
            error = self._refuse(name)
            if error is not None:
                raise error

    def _patch(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        original = getattr(owner, name)
        setattr(owner, name, replacement)

        def restore() -> None:
            # Somebody who patched on top of the fence keeps their patch.
            if getattr(owner, name) is replacement:
                setattr(owner, name, original)

        self._undo.append(restore)

    def _bypass_proxies(self) -> None:
        environ = self._environ
        proxies = [name for name in environ if name.lower().endswith("_proxy")]
        if not any(name.lower() != "no_proxy" for name in proxies):
            return
        before = {name: environ.get(name) for name in _NO_PROXY}
        # Clients prefer the lower-case name and read only one of the two.
        named = next((value for value in before.values() if value), "")
        if named.strip() == "*":
            return
        for name in _NO_PROXY:
            environ[name] = ",".join(filter(None, (named, *_BYPASSED)))

        def restore() -> None:
            for name, value in before.items():
                if value is None:
                    environ.pop(name, None)
                else:
                    environ[name] = value

        self._undo.append(restore)
