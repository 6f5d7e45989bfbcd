"""A server on loopback that says what it was asked, and the how-manieth time it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.cassette.door.loopback import message

MESSAGES = "/v1/messages"


class Echo:
    """What the server was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[str] = Counter()

    def forget(self) -> None:
        """As if nothing had been asked."""
        self.asked.clear()

    def answer(self, path: str) -> bytes:
        """The answer to one request; a message of Claude's where Claude is asked."""
        self.asked[path] += 1
        text = f"{path} {self.asked[path]}"
        return message(text) if path.endswith(MESSAGES) else text.encode()


@contextmanager
def echoing() -> Iterator[Echo]:
    """Serve until the block ends."""
    echo = Echo()

    class Handler(BaseHTTPRequestHandler):
        """Without the headers that differ from one second to the next."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = echo.answer(self.path)
            self.send_response_only(200, "OK")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    echo.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield echo
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
