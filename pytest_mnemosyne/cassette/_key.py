"""The canonical key of a request: what is asked of Claude, compared by value.

Two requests have the same key when they ask the same thing: method, path and query
without host, port and whatever a base URL puts before `/v1/`, and the body. A JSON
body counts by its value, so the order of keys, spacing and escapes do not matter, but
every string, number and type does (`1`, `1.0` and `true` are three values). A
multipart body counts with its random boundary taken out, any other one by its bytes.
Headers do not count: they say who asks, not what.

Two spellings are the same question: `"stream": false` and none, and the `?beta=true`
that some versions of the SDK put behind the path and others leave out.

Each turn of a conversation repeats all turns before it. So a key is made of digests,
one for each message and one for the rest of the body, and a `KeyMaker` remembers them
by the bytes they were made of: of a longer conversation only what is new is parsed.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple, NewType
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_mnemosyne.cassette._interaction import Request
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening

Key = NewType("Key", bytes)

VERSION = 2
"""Raised with every change to what a key is made of: keys are kept between runs."""

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()
_DIGEST_BYTES: Final = 16

_OPENING: Final = re.compile(rb'"messages"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*')
_BETWEEN: Final = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")

_SHORT_BYTES: Final = 8_192
"""A body of up to so many costs less to digest as it is than to take apart."""

_MOST_RECENT: Final = 4
"""How many messages that came at the same place are tried before a new one is parsed."""


def request_key(request: Request) -> Key:
    """Digest what one request asks; equal keys mean equal questions."""
    return KeyMaker().key(request)


class KeyMaker:
    """Makes keys of requests that repeat each other."""

    def __init__(self, loosening: Loosening = EXACTLY) -> None:
        """Leave out what `loosening` leaves out."""
        self._loosening = loosening
        self._first = _Message(b"", 0, b"")
        """Stands before the first message of every conversation."""
        self._rests: dict[tuple[bytes, bytes], bytes] = {}

    def key(self, request: Request) -> Key:
        """What the request asks."""
        place = _place(request.method, request.url)
        if self._loosening:
            place = self._loosening.text(place)
        key = blake2b(place.encode(), digest_size=_DIGEST_BYTES)
        key.update(self._digest(request.body))
        return Key(key.digest())

    def spelling(self, request: Request) -> bytes:
        """The same for requests with the same body, byte by byte; empty for a long one."""
        if len(request.body) > _SHORT_BYTES:
            return b""
        place = _place(request.method, request.url)
        return blake2b(place.encode() + request.body, digest_size=_DIGEST_BYTES).digest()

    def canonical(self, request: Request) -> bytes:
        """What the request asks as one text; of requests with one key it is the same."""
        place = self._loosening.text(_place(request.method, request.url)).encode()
        try:
            value = self._loosening.value(json.loads(request.body))
            if isinstance(value, dict):
                value = _without_default(value)
            return place + _canonical(value)
        except (ValueError, RecursionError):
            return place + self._loosening.raw(_without_boundary(request.body))

    def layout(self, body: bytes) -> Layout | None:
        """Where the messages of a conversation stand in its body; `None` for any other body."""
        try:
            return self._layout(body)
        except (ValueError, RecursionError):
            return None

    def _digest(self, body: bytes) -> bytes:
        if not body:
            return b""
        if not self._loosening:
            layout = self.layout(body)
            rest = None if layout is None else self._rest(layout)
            if layout is not None and rest is not None:
                return b"".join((b"talk:", rest, *(each.digest for each in layout.messages)))
        try:
            return _digest_of_value(self._loosening.value(json.loads(body)))
        except (ValueError, RecursionError):
            return b"bytes:" + self._loosening.raw(_without_boundary(body))

    def _rest(self, layout: Layout) -> bytes | None:
        """The digest of everything but the messages; `None` where they are no field of the body."""
        around = (layout.before, layout.after)
        known = self._rests.get(around)
        if known is None:
            try:
                rest = json.loads(b'%b"messages":null%b' % around)
                if not isinstance(rest, dict) or rest.pop("messages", 0) is not None:
                    # They stand deeper inside, or twice.
                    return None
                known = self._rests[around] = _digest_of_rest(rest)
            except (ValueError, RecursionError):
                return None
        return known

    def _layout(self, body: bytes) -> Layout | None:
        # Inside a text a quote is escaped, so these bytes are a key, of some object.
        at = body.find(b'"messages"')
        opening = _OPENING.match(body, at) if at > 0 else None
        if opening is None or body[:1] != b"{":
            return None
        scan = _Scan(body, opening.end())
        messages: list[_Message] = []
        is_compact = opening[0] == b'"messages":['
        last, end = self._first, body[scan.at : scan.at + 1] == b"]"
        while not end:
            last = last.followed_by(scan)
            messages.append(last)
            if body.startswith(b",{", scan.at):
                scan.skip(1)
                continue
            between = _BETWEEN.match(body, scan.at)
            if between is None:
                return None
            end = between[1] == b"]"
            is_compact &= between[0] == between[1]
            if not end:
                scan.skip(between.end() - scan.at)
        after = body.index(b"]", scan.at) + 1
        return Layout(body[:at], tuple(messages), body[after:], is_compact)


class _Scan:
    """A place in a body, in bytes, and in characters where it was decoded."""

    __slots__ = ("_body", "_text", "_text_at", "at")

    def __init__(self, body: bytes, at: int) -> None:
        self._body = body
        self.at = at
        self._text: str | None = None
        self._text_at = 0

    def pass_by(self, raw: bytes, characters: int) -> bool:
        """Go on behind these bytes, if they stand here."""
        found = self._body.startswith(raw, self.at)
        if found:
            self.at += len(raw)
            self._text_at += characters
        return found

    def skip(self, length: int, characters: int | None = None) -> None:
        """Go on by some bytes, which are as many characters unless said otherwise."""
        self.at += length
        self._text_at += length if characters is None else characters

    def value(self) -> tuple[object, bytes, int]:
        """The JSON value that stands here, its bytes, and how many characters they are."""
        if self._text is None:
            # As `json.loads` does, which takes a lone surrogate, too.
            self._text = self._body[self.at :].decode("utf-8", "surrogatepass")
            self._text_at = 0
        value, end = _DECODER.raw_decode(self._text, self._text_at)
        raw = self._text[self._text_at : end].encode("utf-8", "surrogatepass")
        return value, raw, end - self._text_at


class _Message:
    """One message at its place in a conversation, and what came after it."""

    __slots__ = ("_next", "_recent", "characters", "digest", "raw")

    def __init__(self, raw: bytes, characters: int, digest: bytes) -> None:
        self.raw = raw
        self.characters = characters
        self.digest = digest
        self._next: dict[bytes, _Message] = {}
        self._recent: tuple[_Message, ...] = ()

    def followed_by(self, scan: _Scan) -> _Message:
        """The message at `scan`, which goes behind it.

        Raises:
            ValueError: There is no JSON value.
        """
        for each in self._recent:
            if scan.pass_by(each.raw, each.characters):
                return each
        value, raw, characters = scan.value()
        scan.skip(len(raw), characters)
        found = self._next.get(raw)
        if found is None:
            found = _Message(raw, characters, _short_digest(value))
            if not isinstance(value, dict):
                # A number's bytes may be the beginning of another number's.
                return found
            self._next[raw] = found
        self._recent = (found, *self._recent)[:_MOST_RECENT]
        return found


class Layout(NamedTuple):
    """A conversation's body, taken apart."""

    before: bytes
    """Up to the key `messages`."""

    messages: tuple[_Message, ...]
    after: bytes
    """What follows the list."""

    is_compact: bool
    """Whether nothing but a comma stands between messages."""


def _digest_of_value(value: object) -> bytes:
    if not isinstance(value, dict):
        return b"json:" + _canonical(value)
    messages = value.get("messages")
    if not isinstance(messages, list):
        return b"json:" + _digest_of_rest(value)
    rest = {name: each for name, each in value.items() if name != "messages"}
    return b"".join((b"talk:", _digest_of_rest(rest), *map(_short_digest, messages)))


def _digest_of_rest(rest: dict[str, object]) -> bytes:
    return _short_digest(_without_default(rest))


def _without_default(body: dict[str, object]) -> dict[str, object]:
    if body.get("stream") is not False:
        return body
    return {name: each for name, each in body.items() if name != "stream"}


def _short_digest(value: object) -> bytes:
    return blake2b(_canonical(value), digest_size=_DIGEST_BYTES).digest()


def _canonical(value: object) -> bytes:
    # ASCII, so that a lone surrogate in an escape has a form too.
    return _CANONICAL.encode(value).encode()


@lru_cache(maxsize=256)
def _place(method: str, url: str) -> str:
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
    return json.dumps([method.upper(), segments, query])


def _without_boundary(body: bytes) -> bytes:
    """A multipart body with its boundary made nothing; any other body as it is."""
    if not body.startswith(b"--"):
        return body
    boundary = body.split(b"\r\n", 1)[0]
    if len(boundary) < 3 or not body.rstrip(b"\r\n").endswith(boundary + b"--"):
        return body
    return body.replace(boundary, b"--")
