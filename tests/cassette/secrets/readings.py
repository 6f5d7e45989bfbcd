"""Everything that a curious reader could make of some bytes.

It shares nothing with the code under test: where that traces escapes back and searches
for fragments of base64, this decodes whatever can be decoded, again and again, and hands
over each reading.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_plus, unquote_to_bytes

import yaml

_ROUNDS = 5


def holds(data: bytes, secret: str) -> bool:
    """Whether some reading of `data` has the secret in it."""
    wanted = secret.encode()
    return any(wanted in reading for reading in readings(data))


def readings(data: bytes) -> Iterator[bytes]:
    """`data`, what it decodes to, what that decodes to, and so on."""
    seen: set[bytes] = set()
    found = [data]
    for _ in range(_ROUNDS):
        new = [each for each in dict.fromkeys(found) if each not in seen]
        yield from new
        seen.update(new)
        found = [decoded for each in new for decoded in _decoded(each)]


def _decoded(data: bytes) -> Iterator[bytes]:
    yield from _documents(data)
    yield from _stream(data)
    yield unquote_to_bytes(data)
    yield unquote_plus(data.decode("latin-1"), encoding="latin-1").encode("latin-1")
    yield data.replace(b"\x00", b"")
    yield re.sub(rb"\\+u00([0-9a-fA-F]{2})", lambda m: bytes.fromhex(m[1].decode()), data)
    yield re.sub(rb'\\(["\\/])', rb"\1", data)
    yield from _base64s(data)
    for start in (match.start() for match in re.finditer(rb"\x1f\x8b\x08", data)):
        yield from _gunzipped(data[start:])


def _documents(data: bytes) -> Iterator[bytes]:
    if data.lstrip()[:1] not in (b"{", b"[", b'"') and b"mnemosyne: 1" not in data:
        return
    try:
        document = json.loads(data)
    except ValueError:
        try:
            document = yaml.safe_load(data)
        except (yaml.YAMLError, ValueError):
            return
    yield from _texts(document)


def _texts(value: Any) -> Iterator[bytes]:
    match value:
        case str():
            yield value.encode("utf-8", "surrogatepass")
        case bytes():
            yield value
        case dict():
            for key, inner in value.items():
                yield from _texts(key)
                yield from _texts(inner)
            if "events" in value and isinstance(value["events"], list):
                yield from _joined(each.get("data") for each in value["events"])
        case list():
            for inner in value:
                yield from _texts(inner)


def _stream(data: bytes) -> Iterator[bytes]:
    lines = re.findall(rb"^data: ?(.*)$", data, re.MULTILINE)
    events = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    yield from _joined(events)


def _joined(events: Iterable[Any]) -> Iterator[bytes]:
    """The texts of a stream's content blocks, as a client puts them together."""
    blocks: dict[tuple[Any, str], str] = {}
    for event in events:
        if isinstance(event, dict):
            for holder in (event.get("content_block"), event.get("delta")):
                for name, text in holder.items() if isinstance(holder, dict) else ():
                    if isinstance(text, str) and name != "type":
                        key = (event.get("index"), name)
                        blocks[key] = blocks.get(key, "") + text
    for text in blocks.values():
        yield text.encode("utf-8", "surrogatepass")


def _base64s(data: bytes) -> Iterator[bytes]:
    for joined in (data, re.sub(rb"[\r\n]+[ \t]*|\\+[nr]", b"", data)):
        for run in re.findall(rb"[A-Za-z0-9+/_-]{8,}", joined):
            text = run.translate(bytes.maketrans(b"-_", b"+/"))
            for skip in range(4):
                whole = text[skip : skip + (len(text) - skip) // 4 * 4]
                rest = text[skip + len(whole) :]
                yield base64.b64decode(whole) + _end(rest)


def _end(rest: bytes) -> bytes:
    return base64.b64decode(rest + b"=" * (4 - len(rest))) if len(rest) > 1 else b""


def _gunzipped(data: bytes) -> Iterator[bytes]:
    try:
        yield gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            yield unpacker.decompress(data)
        except zlib.error:
            return
