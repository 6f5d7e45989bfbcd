"""Valid cassettes of every container, to be damaged."""

from __future__ import annotations

import json
from functools import cache

import yaml

from pytest_mnemosyne.cassette import CassetteFile, Recorded
from pytest_mnemosyne.cassette._file import render

from ._make import STREAM, interaction
from ._talks import talk


@cache
def originals() -> tuple[bytes, ...]:
    """Valid cassettes of every container."""
    ours = CassetteFile(
        recorded=Recorded(source="api", test="t.py::t", versions={"anthropic": "2"}),
        interactions=(
            interaction({"model": "m", "system": "s", "tools": [{"name": "t"}], "messages": [1]}),
            interaction(answer=STREAM, response_headers=(("content-type", "text/event-stream"),)),
            interaction(b"\x00\xff", b"plain", status=529),
        ),
    )
    turns = list(talk(6, words=4))
    talked = CassetteFile(
        interactions=(*(turn.streamed() for turn in turns[:5]), turns[4].whole(), turns[5].whole())
    )
    exchange = {
        "request": {"method": "POST", "uri": "https://h/v1", "headers": {"a": ["b"]}, "body": "{}"},
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": '{"id": "msg_1"}'},
        },
    }
    go = {"request": {"url": "https://h", "method": "GET"}, "response": {"code": 200, "body": "x"}}
    har = {
        "request": {"method": "POST", "url": "https://h", "postData": {"text": "{}"}},
        "response": {"status": 200, "content": {"text": "eA==", "encoding": "base64"}},
        "time": 12.5,
    }
    return (
        render(ours),
        render(talked),
        yaml.safe_dump({"interactions": [exchange], "version": 1}).encode(),
        yaml.safe_dump({"http_interactions": [exchange]}).encode(),
        yaml.safe_dump({"version": 2, "interactions": [go]}).encode(),
        json.dumps({"log": {"entries": [har]}}).encode(),
        json.dumps(exchange).encode(),
        json.dumps([exchange]).encode(),
    )
