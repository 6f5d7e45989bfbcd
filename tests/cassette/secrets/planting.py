"""Where a secret may stand in an exchange, and how it may be spelled there."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import Headers, Request

URL = "https://api.anthropic.com/v1/messages"
JSON = ("content-type", "application/json")

Spelling = Callable[[str], str]


def _base64(text: str, *, before: int = 0, lines: bool = False, urls: bool = False) -> str:
    data = b"x" * before + text.encode() + b"yz"
    if lines:
        return base64.encodebytes(data * 3).decode()
    return (base64.urlsafe_b64encode if urls else base64.b64encode)(data).decode()


ESCAPES: dict[str, Spelling] = {
    "json": lambda text: json.dumps({"inner": text}),
    "key": lambda text: json.dumps({text: [1]}),
    "ascii": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "percent": lambda text: quote(text, safe=""),
    "percent all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
}
_WRAPPINGS: dict[str, Spelling] = {
    **{f"base64 {n}": lambda text, n=n: _base64(text, before=n) for n in range(3)},  # type: ignore[misc]
    "url-safe": lambda text: _base64(text + "??>>", urls=True),
    "lines": lambda text: _base64(text, lines=True),
    "narrow lines": lambda text: "\r\n".join(re.findall(".{1,16}", _base64(text))),
    "unpadded": lambda text: _base64(text).rstrip("="),
    "twice": lambda text: _base64(_base64(text, before=1), before=2),
    "gzip": lambda text: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode(),
    "json in base64": lambda text: _base64(json.dumps({"inner": text})),
}


@st.composite
def spellings(draw: st.DrawFn) -> Spelling:
    """Any way to spell a text: at most one wrapping, then any escapes around it."""
    names = [
        *draw(st.lists(st.sampled_from(sorted(_WRAPPINGS)), max_size=1)),
        *draw(st.lists(st.sampled_from(sorted(ESCAPES)), max_size=3)),
    ]
    known = _WRAPPINGS | ESCAPES

    def spelled(text: str) -> str:
        for name in names:
            text = known[name](text)
        return text

    return spelled


@dataclass(frozen=True)
class Planted:
    """An exchange with a secret somewhere in it, and what goes with it."""

    request: Request
    status: int
    headers: Headers
    chunks: tuple[bytes, ...]
    lane: Lane | None
    test: str
    may_refuse: bool
    """Whether the secret stands where nothing can be put in its place."""


def _asked(content: Any, **more: Any) -> bytes:
    body = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": content, **more}
    return json.dumps(body, ensure_ascii=False).encode()


def _user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


IN_REQUEST: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: _asked(_user(f"before {text} after")),
    "system": lambda text: _asked(_user("Hi"), system=[{"type": "text", "text": text}]),
    "model": lambda text: _asked(_user("Hi"), model=text),
    "key": lambda text: _asked(_user("Hi"), metadata={text: "x"}),
    "nested": lambda text: _asked(_user([{"a": [{"b": {"c": [text]}}]}])),
    "tool": lambda text: _asked(_user("Hi"), tools=[{"name": "f", "description": text}]),
    "tool input": lambda text: _asked(
        [{"role": "assistant", "content": [{"type": "tool_use", "input": {"path": text}}]}]
    ),
    "tool result": lambda text: _asked(
        _user([{"type": "tool_result", "tool_use_id": "t1", "content": text}])
    ),
    "no json": lambda text: f"just {text}, and no JSON".encode(),
    "upload": lambda text: (
        b'--b7\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n\x00\xff'
        + text.encode()
        + b"\r\n--b7--\r\n"
    ),
    "upload of text": lambda text: (
        b'--0c1f\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + text.encode()
        + b"\r\n--0c1f--\r\n"
    ),
    "words behind": lambda text: _asked(_user(f"{text}\nwords\nbehind it")),
    "packed upload": lambda text: (
        b'--b7\r\ncontent-disposition: form-data; name="file"\r\n\r\n'
        + gzip.compress(text.encode(), mtime=0)
        + b"\r\n--b7--\r\n"
    ),
    "utf-16 upload": lambda text: b"--b7\r\n\r\n" + text.encode("utf-16") + b"\r\n--b7--\r\n",
}


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def _streamed(kind: str, name: str, pieces: list[str]) -> tuple[bytes, ...]:
    first, *rest = pieces
    block = {"type": kind, name: first}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": f"{name}_delta", name: each}}
        for each in rest
    ]
    return (
        _event({"type": "message_start", "message": {"id": "msg_1", "usage": {}}}),
        _event({"type": "content_block_start", "index": 0, "content_block": block}),
        *(_event(each) for each in deltas),
        _event({"type": "content_block_start", "index": 1, "content_block": {"type": "text"}}),
        _event({"type": "message_stop"}),
    )


_IN_ANSWER: dict[str, Callable[[str], tuple[int, bytes]]] = {
    "answer": lambda text: (
        200,
        json.dumps({"content": [{"type": "text", "text": text}]}).encode(),
    ),
    "error": lambda text: (
        400,
        json.dumps({"type": "error", "error": {"type": "x", "message": f"bad: {text}"}}).encode(),
    ),
    "html": lambda text: (502, f"<h1>Bad gateway</h1>{text}".encode()),
    "packed": lambda text: (200, gzip.compress(text.encode(), mtime=0)),
}

_IN_URL: dict[str, Callable[[str], str]] = {
    "path": lambda text: f"https://api.anthropic.com/v1/files/{quote(text, safe='')}/content",
    "query": lambda text: f"{URL}?after_id={quote(text, safe='')}",
    "userinfo": lambda text: f"https://user:{quote(text, safe='')}@api.anthropic.com/v1/messages",
}

_REQUEST_HEADERS = ("x-api-key", "authorization", "cookie", "anthropic-beta", "content-type")
_ANSWER_HEADERS = ("set-cookie", "request-id", "retry-after", "anthropic-organization-id", "x-else")


_ASKED = Request(method="POST", url=URL, headers=(JSON,), body=_asked(_user("Hi")))
_PLAIN = Planted(
    request=_ASKED,
    status=200,
    headers=(JSON,),
    chunks=(b'{"content":[]}',),
    lane=None,
    test="tests/test_x.py::test_y",
    may_refuse=False,
)


@st.composite
def planted(draw: st.DrawFn, secret: str) -> Planted:
    """An exchange with `secret` at one place of it, spelled in some way."""
    text = draw(spellings())(secret)
    kinds = ("request", "answer", "stream", "url", "header", "answer header", "lane", "test")
    match draw(st.sampled_from(kinds)):
        case "request":
            body = IN_REQUEST[draw(st.sampled_from(sorted(IN_REQUEST)))](text)
            return replace(_PLAIN, request=replace(_ASKED, body=body))
        case "answer":
            status, body = _IN_ANSWER[draw(st.sampled_from(sorted(_IN_ANSWER)))](text)
            cut = draw(st.integers(0, len(body)))
            return replace(_PLAIN, status=status, chunks=(body[:cut], body[cut:]))
        case "stream":
            what = draw(st.sampled_from(["text", "thinking", "partial_json"]))
            cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
            pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
            headers = (("content-type", "text/event-stream"),)
            return replace(_PLAIN, headers=headers, chunks=_streamed("text", what, pieces))
        case "url":
            url = _IN_URL[draw(st.sampled_from(sorted(_IN_URL)))](text)
            return replace(_PLAIN, request=replace(_ASKED, url=url))
        case "header":
            sent = (draw(st.sampled_from(_REQUEST_HEADERS)), text)
            return replace(_PLAIN, request=replace(_ASKED, headers=(sent,)))
        case "answer header":
            got = (draw(st.sampled_from(_ANSWER_HEADERS)), text)
            return replace(_PLAIN, headers=(JSON, got))
        case "lane":
            return replace(_PLAIN, lane=Lane(f"executor/{text}"), may_refuse=True)
        case _:
            return replace(_PLAIN, test=f"tests/test_x.py::test_y[{text}]", may_refuse=True)
