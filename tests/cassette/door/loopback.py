"""A server that does to its clients whatever a test wants, byte by byte."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

PATIENCE_S = 5.0


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The first message's content."""
        return str(json.loads(self.body)["messages"][0]["content"])


class Wire:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A whole answer with its length."""
        given = {"content-type": "application/json", **headers}
        lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def begin_stream(self) -> None:
        """The head of a streamed answer."""
        self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )

    def chunk(self, data: bytes) -> None:
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_stream(self) -> None:
        self.send(b"0\r\n\r\n")

    def stand_still(self) -> None:
        """Say nothing until the client goes away."""
        self._connection.settimeout(PATIENCE_S)
        assert self._connection.recv(1) == b""

    def reset(self) -> None:
        """Break the connection so that the client notices at once."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()


Behaviour = Callable[[Wire, Asked], None]


@dataclass
class Loopback:
    """A running server."""

    url: str
    behave: Behaviour
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(behave: Behaviour) -> Iterator[Loopback]:
    """Serve each connection in a thread of its own until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Loopback(f"http://127.0.0.1:{listener.getsockname()[1]}", behave)
    stopping = Event()
    threads: list[Thread] = []
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while (asked := _read_request(connection)) is not None:
                server.asked.append(asked)
                server.behave(Wire(connection), asked)

    def accept() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            thread = Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(PATIENCE_S)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def _read_request(connection: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, body)


def message(text: str, **more: object) -> bytes:
    """A whole Messages API answer."""
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
            **more,
        }
    ).encode()


def events(text: str) -> list[bytes]:
    """The same answer as a stream, one event to an entry."""
    start = json.loads(message(""))
    start["content"] = []
    start["stop_reason"] = None
    start["usage"]["output_tokens"] = 1
    found: list[tuple[str, dict[str, object]]] = [
        ("message_start", {"message": start}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
            for word in text.split(" ")
        ),
        ("content_block_stop", {"index": 0}),
        (
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
        ),
        ("message_stop", {}),
    ]
    return [
        f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
        for kind, data in found
    ]


def echo(wire: Wire, asked: Asked) -> None:
    """Answer every question with itself, streamed where a stream is asked for."""
    if json.loads(asked.body).get("stream"):
        wire.begin_stream()
        for event in events(f"echo {asked.text}"):
            wire.chunk(event)
        wire.end_stream()
    else:
        wire.answer(message(f"echo {asked.text}"))


# --- what may go wrong -----------------------------------------------------------------


def drop(wire: Wire, asked: Asked) -> None:
    """Go away in the middle of a stream."""
    _begin_to_say(wire)
    raise ConnectionError


def cut(wire: Wire, asked: Asked) -> None:
    """End a stream cleanly before it has said all."""
    _begin_to_say(wire)
    wire.end_stream()


def stall(wire: Wire, asked: Asked) -> None:
    """Fall silent in the middle of a stream."""
    _begin_to_say(wire)
    wire.stand_still()


def break_off(wire: Wire, asked: Asked) -> None:
    """Break the connection in the middle of a stream."""
    _begin_to_say(wire)
    wire.reset()


def reset(wire: Wire, asked: Asked) -> None:
    """Break the connection in place of an answer."""
    wire.reset()


def leave(wire: Wire, asked: Asked) -> None:
    """Go away in place of an answer."""
    raise ConnectionError


def silent(wire: Wire, asked: Asked) -> None:
    """Never answer."""
    wire.stand_still()


def _begin_to_say(wire: Wire) -> None:
    wire.begin_stream()
    for piece in events("half said")[:3]:
        wire.chunk(piece)
