"""The fence around a test: what connects is stopped, what is allowed passes."""

from __future__ import annotations

import contextlib
import importlib.machinery
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.compat._network import Network, NetworkDisabledError


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """The address of somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as connecting:
        yield connecting


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
def test_a_connection_is_refused(
    client: socket.socket, server: tuple[str, int], connect: str
) -> None:
    with (
        Network().blocked(),
        pytest.raises(RuntimeError, match=r"^Network is disabled for host '127\.0\.0\.1'$"),
    ):
        getattr(client, connect)(server)


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [
        pytest.param(["127.0.0.1"], True, id="the-host"),
        pytest.param(["example.com", "127.*"], True, id="one-of-several"),
        pytest.param(["127"], True, id="its-beginning"),
        pytest.param(["0.0.1"], False, id="its-end"),
        pytest.param(["localhost"], False, id="another-name-of-it"),
        pytest.param([], False, id="none"),
    ],
)
def test_hosts_are_allowed_by_their_beginning(
    client: socket.socket, server: tuple[str, int], allowed: list[str], passes: bool
) -> None:
    refused = contextlib.nullcontext() if passes else pytest.raises(NetworkDisabledError)

    with Network().blocked(allowed), refused:
        client.connect(server)


def test_after_the_block_everything_passes(client: socket.socket, server: tuple[str, int]) -> None:
    network = Network()
    connect, pair = socket.socket.connect, socket.socketpair
    with pytest.raises(ZeroDivisionError), network.blocked():
        1 / 0  # noqa: B018

    client.connect(server)

    assert (socket.socket.connect, socket.socketpair) == (connect, pair)


def test_a_block_inside_another_ends_with_itself(
    client: socket.socket, server: tuple[str, int]
) -> None:
    network = Network()
    with network.blocked():
        with network.blocked(["127.*"]), pytest.raises(NetworkDisabledError):
            client.connect(server)
        with pytest.raises(NetworkDisabledError):
            client.connect(server)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no socket files here")
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_socket_file_is_known_by_its_path(tmp_path: Path, as_bytes: bool) -> None:
    path: str | bytes = str(tmp_path / "s").encode() if as_bytes else str(tmp_path / "s")
    with (
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as first,
        socket.socket(socket.AF_UNIX) as second,
    ):
        listening.bind(path)
        listening.listen()
        with Network().blocked([str(tmp_path)]):
            first.connect(path)
        with Network().blocked(), pytest.raises(NetworkDisabledError) as refused:
            second.connect(path)

    assert refused.value.host == path


def test_a_pair_of_sockets_is_no_network(
    monkeypatch: pytest.MonkeyPatch, server: tuple[str, int]
) -> None:
    """As on Windows, where a pair is made by connecting."""
    refused: list[Exception] = []

    def try_to_connect() -> None:
        with socket.socket() as connecting:
            try:
                connecting.connect(server)
            except NetworkDisabledError as error:
                refused.append(error)

    def pair() -> tuple[socket.socket, ...]:
        others = threading.Thread(target=try_to_connect)
        others.start()
        others.join()
        try_to_connect()
        return ()

    monkeypatch.setattr(socket, "socketpair", pair)

    with Network().blocked():
        socket.socketpair()
        in_pair = len(refused)
        try_to_connect()

    # The thread beside it was refused, then what came after it.
    assert (in_pair, len(refused)) == (1, 2)


def test_a_wrong_expression_is_told() -> None:
    with pytest.raises(UsageError, match=r"allowed_hosts holds '\(', which is no regular"):
        Network().blocked(["("]).__enter__()


def test_the_error_knows_its_host_and_travels() -> None:
    error = pickle.loads(pickle.dumps(NetworkDisabledError(host=b"example.com")))

    assert (error.host, str(error)) == (
        b"example.com",
        "Network is disabled for host b'example.com'",
    )


# --- pycurl, by a module that looks like it --------------------------------------------

URL, OTHER = 10_002, 10_001


class Handle:
    """As curl's: attributes of the class are found before those of the handle."""

    def setopt(self, option: int, value: Any) -> None: ...
    def reset(self) -> None: ...
    def perform(self) -> str:
        return "performed"

    perform_rb = perform_rs = perform


@pytest.fixture
def pycurl(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("pycurl")
    module.__spec__ = importlib.machinery.ModuleSpec("pycurl", loader=None)
    module.Curl, module.URL = Handle, URL
    monkeypatch.setitem(sys.modules, "pycurl", module)
    return module


@pytest.mark.parametrize("perform", ["perform", "perform_rb", "perform_rs"])
@pytest.mark.parametrize("url", ["http://example.com/x", "example.com:80/x", b"http://example.com"])
def test_curl_is_stopped_as_well(pycurl: Any, url: str | bytes, perform: str) -> None:
    network = Network()
    with network.watching_curl():
        handle = pycurl.Curl()
        handle.setopt(URL, url)
        handle.setopt(OTHER, "http://other.example")
        assert getattr(handle, perform)() == "performed"
        with network.blocked(["example"]):
            assert getattr(handle, perform)() == "performed"
        with network.blocked(["other"]), pytest.raises(NetworkDisabledError) as refused:
            getattr(handle, perform)()
        assert refused.value.host == "example.com"

    assert pycurl.Curl is Handle


def test_a_handle_that_goes_nowhere_says_so_itself(pycurl: Any) -> None:
    network = Network()
    with network.watching_curl(), network.blocked():
        handle = pycurl.Curl()
        assert handle.perform() == "performed"
        handle.setopt(URL, "http://example.com")
        handle.reset()
        assert handle.perform() == "performed"


def test_without_curl_there_is_nothing_to_watch(
    pycurl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_mnemosyne.compat._network.find_spec", lambda name: None)

    with Network().watching_curl():
        assert pycurl.Curl is Handle
