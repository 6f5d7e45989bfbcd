"""The fence of `block_network`: connections of Python's sockets and of pycurl.

It stands around single tests and stops what connects; resolving a name is free, and so
are servers that listen. What a test may still reach is a list of regular expressions,
each of which has to match the beginning of the host as the caller gives it.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final
from unittest import mock
from urllib.parse import urlsplit

from mnemosyne_core.errors import MnemosyneError, UsageError

_NETWORKS: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_LOCAL: Final = getattr(socket, "AF_UNIX", None)

_PERFORM: Final = ("perform", "perform_rb", "perform_rs")

Check = Callable[[str | bytes | bytearray], None]
"""Lets a host pass, or raises."""


class NetworkDisabledError(MnemosyneError, RuntimeError):
    """A test connected to a host that it may not reach.

    A `RuntimeError` with these very words, because that is what suites expect.

    Attributes:
        host: Which one, as the caller gave it.
    """

    code = "network_disabled"
    hint = "allow it with block_network(allowed_hosts=[...]) or --allowed-hosts"

    def __init__(self, *, host: str | bytes | bytearray) -> None:
        self.host = host
        # No note: pytest counts notes as a part of the words that a test compares.
        super().__init__(f"Network is disabled for host {host!r}")


class Network:
    """The network as the tests of one run see it."""

    def __init__(self) -> None:
        """Nothing is blocked."""
        self._check: Check | None = None
        """What holds curl's handles: one may be older than the test that uses it."""

    @contextmanager
    def blocked(self, allowed_hosts: Iterable[str] = ()) -> Iterator[None]:
        """Keep this process from every host but those that match `allowed_hosts`.

        Raises:
            UsageError: One of them is no regular expression.
        """
        check = _checking(allowed_hosts)
        before, self._check = self._check, check
        try:
            with ExitStack() as stack:
                for owner, name, replacement in _sockets_that(check):
                    stack.enter_context(mock.patch.object(owner, name, replacement))
                yield
        finally:
            self._check = before

    @contextmanager
    def watching_curl(self) -> Iterator[None]:
        """Have pycurl's handles ask before they connect: curl is not Python, and does it itself.

        To be entered before anybody imports the class of the handles by its name.
        """
        if find_spec("pycurl") is None:
            yield
            return
        pycurl = import_module("pycurl")
        with mock.patch.object(pycurl, "Curl", self._watched(pycurl)):
            yield

    def _watched(self, pycurl: Any) -> type:
        network = self

        class Curl(pycurl.Curl):  # type: ignore[misc]
            """A handle that knows where it goes."""

            # No default in the class: a handle finds that before its own attributes.
            def setopt(self, option: int, value: Any) -> Any:
                if option == pycurl.URL:
                    self._url = value
                return super().setopt(option, value)

            def reset(self) -> Any:
                self._url = ""
                return super().reset()

        def checked(perform: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def performing(handle: Any) -> Any:
                host = _host_of_url(getattr(handle, "_url", ""))
                # Without a host there is nothing to reach, as curl itself is going to say.
                if network._check is not None and host:
                    network._check(host)
                return perform(handle)

            return performing

        for name in _PERFORM:
            setattr(Curl, name, checked(getattr(pycurl.Curl, name)))
        return Curl


def _checking(allowed_hosts: Iterable[str]) -> Check:
    try:
        allowed = tuple(re.compile(each) for each in allowed_hosts)
    except re.error as error:
        raise UsageError(
            f"allowed_hosts holds {error.pattern!r}, which is no regular expression: {error}"
        ) from error

    def check(host: str | bytes | bytearray) -> None:
        name = host if isinstance(host, str) else host.decode("utf-8", "replace")
        if not any(each.match(name) for each in allowed):
            raise NetworkDisabledError(host=host)

    return check


def _sockets_that(check: Check) -> Iterator[tuple[object, str, Callable[..., Any]]]:
    """What to replace in the module `socket`: owner, name and replacement."""
    pairing = threading.local()
    for name in ("connect", "connect_ex"):
        yield socket.socket, name, _guarded(getattr(socket.socket, name), check, pairing)
    yield socket, "socketpair", _free(socket.socketpair, pairing)


def _guarded(
    connect: Callable[..., Any], check: Check, pairing: threading.local
) -> Callable[..., Any]:
    def guarded(connecting: socket.socket, address: Any, *args: Any) -> Any:
        if not getattr(pairing, "is_under_way", False):
            check(_host_of_address(connecting.family, address))
        return connect(connecting, address, *args)

    return guarded


def _free(pair: Callable[..., Any], pairing: threading.local) -> Callable[..., Any]:
    """Windows makes a pair by connecting to itself, and every event loop needs one."""

    def socketpair(*args: Any, **options: Any) -> Any:
        before = getattr(pairing, "is_under_way", False)
        pairing.is_under_way = True
        try:
            return pair(*args, **options)
        finally:
            pairing.is_under_way = before

    return socketpair


def _host_of_address(family: int, address: Any) -> str | bytes | bytearray:
    """A socket's host, or the path of its file; nothing for other families."""
    if family in _NETWORKS:
        address = address[0]
    elif family != _LOCAL:
        return ""
    return address if isinstance(address, str | bytes | bytearray) else str(address)


def _host_of_url(url: str | bytes) -> str | None:
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else url
    # curl does without a scheme.
    return urlsplit(text if "://" in text else f"//{text}").hostname
