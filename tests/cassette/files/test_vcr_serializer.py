"""Plain vcrpy on our files, with a client that is none of ours."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import vcr

from pytest_mnemosyne.cassette import (
    CassetteFile,
    Outcome,
    Redactor,
    SecretLeakError,
    VcrpySerializer,
    load,
    write,
)

from ._make import STREAM, compact, interaction

KEY = "sk-ant-api03-abcdefghijklmnop"


def plain_vcr(mode: str, serializer: VcrpySerializer) -> vcr.VCR:
    configured = vcr.VCR(serializer="mnemosyne", record_mode=mode)
    configured.register_serializer("mnemosyne", serializer)
    return configured


def ask(host: str, port: int | None, body: bytes) -> tuple[int, str | None, bytes]:
    secure = http.client.HTTPSConnection(host) if port is None else None
    client = secure or http.client.HTTPConnection(host, port)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    client.request("POST", "/v1/messages", body, headers)
    answer = client.getresponse()
    found = answer.status, answer.getheader("content-type"), answer.read()
    client.close()
    return found


def test_plain_vcrpy_plays_our_file(tmp_path: Path) -> None:
    path = tmp_path / "test_x.yaml"
    question = compact({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    stream = (("content-type", "text/event-stream"),)
    calls = (
        interaction(question, {"type": "error"}, status=529),
        interaction(question, STREAM, response_headers=stream),
        interaction(question, outcome=Outcome.DROPPED),
    )
    write(path, CassetteFile(interactions=calls))

    with plain_vcr("none", VcrpySerializer()).use_cassette(str(path)) as cassette:
        overloaded = ask("api.anthropic.com", None, question)
        streamed = ask("api.anthropic.com", None, question)

    assert overloaded == (529, "application/json", b'{"type":"error"}')
    assert streamed == (200, "text/event-stream", STREAM)
    # The drop is left out: vcrpy would play it as a whole answer.
    assert len(cassette) == 2


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", "session=1")
        self.end_headers()
        self.wfile.write(b'{"echo":' + body + b"}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_plain_vcrpy_writes_our_format_and_no_key(tmp_path: Path, port: int) -> None:
    path = tmp_path / "test_x.yaml"
    body = compact({"messages": [{"role": "user", "content": f"my key is {KEY}"}]})

    with plain_vcr("once", VcrpySerializer()).use_cassette(str(path)):
        ask("127.0.0.1", port, body)

    text = path.read_text("utf-8")
    assert text.startswith("mnemosyne: 1\nrecorded:\n  source: vcrpy\n")
    assert KEY not in text
    assert "cookie" not in text
    (found,) = load(path).interactions
    assert found.request.body == body.replace(KEY.encode(), b"<redacted:anthropic-key>")
    assert found.response is not None
    assert found.response.body == b'{"echo":' + found.request.body + b"}"


def test_what_vcrpy_must_not_write_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor()
    serializer = VcrpySerializer(redactor=redactor)
    monkeypatch.setattr(redactor, "_redact", lambda data, _depth: (data, []))
    request = {"method": "GET", "uri": f"https://h/?key={KEY}"}
    response = {"status": {"code": 200, "message": ""}}

    with pytest.raises(SecretLeakError, match="the request's URL"):
        serializer.serialize({"interactions": [{"request": request, "response": response}]})
