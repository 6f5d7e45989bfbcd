"""What stands in for the API on loopback: answers with fresh ids, streams at a given pace.

The first path segment of the base URL says what to be: `plain`, `overloaded` (529, 529,
then an answer), or `slow-MS-MS`: the milliseconds until the first event and between events.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EVENTS = 12


@contextmanager
def serving() -> Iterator[str]:
    """The origin of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler() -> type[BaseHTTPRequestHandler]:
    asked = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            kind, *numbers = self.path.split("/")[1].split("-")
            if kind == "slow":
                self._stream(*(int(number) / 1000 for number in numbers))
            elif kind == "overloaded" and next(asked) % 3 < 2:
                error = {"type": "overloaded_error", "message": "Overloaded"}
                self._say(529, {"type": "error", "error": error}, **{"retry-after": "1"})
            else:
                self._say(200, _message())

        def _say(self, status: int, answer: dict[str, Any], **headers: str) -> None:
            body = json.dumps(answer).encode()
            self._begin(status, **headers, **{"content-length": str(len(body))})
            self.wfile.write(body)

        def _begin(self, status: int, **headers: str) -> None:
            self.send_response_only(status)
            given = {
                "content-type": "application/json",
                "date": formatdate(usegmt=True),
                "request-id": f"req_{uuid.uuid4().hex}",
                "anthropic-ratelimit-requests-remaining": str(next(asked)),
            }
            for name, value in (given | headers).items():
                self.send_header(name, value)
            self.end_headers()

        def _stream(self, first_s: float, between_s: float) -> None:
            chunked = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
            self._begin(200, **chunked)
            wait_s = first_s
            for name, data in _events():
                time.sleep(wait_s)
                text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                wait_s = between_s
            self.wfile.write(b"0\r\n\r\n")

    return Handler


def _message() -> dict[str, Any]:
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [
            {"type": "text", "text": "I look into the file first."},
            {
                "type": "tool_use",
                "id": f"toolu_{uuid.uuid4().hex}",
                "name": "read_file",
                "input": {"path": "a.py"},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 9},
    }


def _events() -> Iterator[tuple[str, dict[str, Any]]]:
    started = _message() | {"content": [], "stop_reason": None}
    yield "message_start", {"type": "message_start", "message": started}
    block = {"type": "text", "text": ""}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    yield "content_block_start", start
    for number in range(EVENTS - 5):
        delta = {"type": "text_delta", "text": f"word {number} "}
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {"output_tokens": 9}
    yield "message_delta", {"type": "message_delta", "delta": end, "usage": usage}
    yield "message_stop", {"type": "message_stop"}
