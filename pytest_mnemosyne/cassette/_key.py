"""The canonical key of a request: what is asked of Claude, compared by value.

Two requests have the same key when they ask the same thing: method, path and query
without host, port and whatever a base URL puts before `/v1/`, and the body. A JSON
body counts by its value, so the order of keys, spacing and escapes do not matter, but
every string, number and type does (`1`, `1.0` and `true` are three values). A
multipart body counts with its random boundary taken out, any other one by its bytes.
Headers do not count: they say who asks, not what.

Two spellings are the same question: `"stream": false` and none, and the `?beta=true`
that some versions of the SDK put behind the path and others leave out.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b
from typing import NewType
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_mnemosyne.cassette._interaction import Request

Key = NewType("Key", bytes)

VERSION = 1
"""Raised with every change to what a key is made of: keys are kept between runs."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def request_key(request: Request) -> Key:
    """Digest what the request asks; equal keys mean equal questions."""
    digest = blake2b(_place(request.method, request.url), digest_size=16)
    digest.update(_canonical_body(request.body))
    return Key(digest.digest())


@lru_cache(maxsize=256)
def _place(method: str, url: str) -> bytes:
    parts = urlsplit(url)
    start = parts.path.rfind("/v1/")
    path = parts.path[start:] if start >= 0 else parts.path
    # Segment by segment: an escaped slash is not the slash that separates.
    segments = [unquote(segment) for segment in path.split("/")]
    query = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name != "beta"
    )
    return json.dumps([method.upper(), segments, query]).encode()


def _canonical_body(body: bytes) -> bytes:
    if not body:
        return b""
    try:
        value = json.loads(body)
        if isinstance(value, dict) and value.get("stream") is False:
            del value["stream"]
        # ASCII, so that a lone surrogate in an escape has a form too.
        return b"json:" + _CANONICAL.encode(value).encode()
    except (ValueError, RecursionError):
        return b"bytes:" + _without_boundary(body)


def _without_boundary(body: bytes) -> bytes:
    """A multipart body with its boundary made nothing; any other body as it is."""
    if not body.startswith(b"--"):
        return body
    boundary = body.split(b"\r\n", 1)[0]
    if len(boundary) < 3 or not body.rstrip(b"\r\n").endswith(boundary + b"--"):
        return body
    return body.replace(boundary, b"--")
