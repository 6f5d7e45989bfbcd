from __future__ import annotations

import http.client
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.wire import (
    ConnectionDropped,
    HttpAnswer,
    HttpRequest,
    LoopbackServer,
    MissingServerError,
    StreamedAnswer,
)


@contextmanager
def connected(server: LoopbackServer) -> Iterator[http.client.HTTPConnection]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        yield connection
    finally:
        connection.close()


def echo(request: HttpRequest) -> HttpAnswer:
    said = f"{request.method} {request.path} {request.query} {len(request.body)}"
    return HttpAnswer(status=200, headers=(("x-mine", "1"),), chunks=(said.encode(),))


def test_a_request_reaches_the_handler_and_its_answer_the_client() -> None:
    with LoopbackServer(echo) as server, connected(server) as connection:
        connection.request("POST", "/a%20b?c=d", body=b"x" * 100_000)
        answer = connection.getresponse()

        assert (answer.status, answer.read()) == (200, b"POST /a b c=d 100000")
        assert answer.headers["x-mine"] == "1"
        assert answer.headers["content-length"] == "20"
        assert "server" not in answer.headers


def test_a_connection_serves_one_request_after_the_other() -> None:
    with LoopbackServer(echo) as server, connected(server) as connection:
        for number in range(3):
            connection.request("GET", f"/{number}")
            assert connection.getresponse().read() == f"GET /{number}  0".encode()


def test_a_head_request_has_no_body() -> None:
    with LoopbackServer(echo) as server, connected(server) as connection:
        connection.request("HEAD", "/")

        assert connection.getresponse().read() == b""


def test_it_listens_on_this_machine_alone() -> None:
    with LoopbackServer(echo) as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_piece_is_on_its_way_before_the_next_one_exists() -> None:
    first_was_read = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        import asyncio

        yield b"first"
        await asyncio.to_thread(first_was_read.wait, 5)
        yield b" second"

    def handler(_: HttpRequest) -> StreamedAnswer:
        return StreamedAnswer(status=200, chunks=pieces())

    with LoopbackServer(handler) as server, connected(server) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.read(5) == b"first"
        first_was_read.set()
        assert answer.read() == b" second"


def test_a_connection_can_be_dropped_before_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    def handler(_: HttpRequest) -> HttpAnswer:
        raise ConnectionDropped

    with (
        caplog.at_level(logging.DEBUG),
        LoopbackServer(handler) as server,
        connected(server) as connection,
    ):
        connection.request("GET", "/")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()

    assert [record for record in caplog.records if "uvicorn" in record.name] == []


def test_stopping_breaks_off_what_is_under_way_and_leaves_nothing_behind() -> None:
    entered = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        import asyncio

        yield b"first"
        entered.set()
        await asyncio.Event().wait()

    def handler(_: HttpRequest) -> StreamedAnswer:
        return StreamedAnswer(status=200, chunks=pieces())

    before = set(threading.enumerate())
    server = LoopbackServer(handler)
    server.start()
    port = urlsplit(server.url).port or 0
    with connected(server) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert entered.wait(5)
        server.stop()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.read()

    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_server_can_be_started_again() -> None:
    server = LoopbackServer(echo)
    for _ in range(2):
        with server, connected(server) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 200


def test_stopping_twice_or_too_early_does_nothing() -> None:
    server = LoopbackServer(echo)

    server.stop()
    server.start()
    server.stop()
    server.stop()

    assert not [each for each in threading.enumerate() if "mnemosyne-loopback" in each.name]


def test_a_server_that_does_not_run_has_no_address() -> None:
    with pytest.raises(UsageError, match="has no address before start"):
        _ = LoopbackServer(echo).url


def test_a_running_server_is_not_started_twice() -> None:
    with LoopbackServer(echo) as server, pytest.raises(UsageError, match="is running already"):
        server.start()


def test_without_uvicorn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.h11_impl", None)

    with pytest.raises(MissingServerError, match=r"pip install 'pytest-mnemosyne\[scripted\]'"):
        LoopbackServer(echo).start()


def test_bytes_that_are_no_request_are_refused_and_the_server_lives_on() -> None:
    with LoopbackServer(echo) as server:
        port = urlsplit(server.url).port or 0
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        with connected(server) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
