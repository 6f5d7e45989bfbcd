r"""Secrets are taken out of an exchange before anything of it is written.

Two kinds are looked for: values that the run knows to be secret, and texts that
look like a key. A body is searched in every form that a reader could decode:

- as it stands, with each character also in its JSON escapes (`\"`, `\\\"`, `\u002d`)
  and percent-encoded,
- base64 in any alignment, standard or URL-safe, in one line or several,
- gzip, whole or inside base64,
- the texts of a stream's events joined, since a key may arrive in several deltas.

What is found is replaced by `<redacted>` in the form it was found in. Every
replacement is an edit of a stretch of bytes, so that the chunks of a stream keep
their boundaries around it.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._edits import Edit, edited, moved_chunks, spread
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Request, Response
from pytest_mnemosyne.cassette._json_styles import is_deep, print_json
from pytest_mnemosyne.cassette._secret_patterns import (
    BASE64_RUN,
    GZIP,
    GZIP_BASE64,
    SHAPES,
    base64_fragments,
    gunzip,
    pattern_of,
    plain_base64,
    unbase64,
)
from pytest_mnemosyne.wire import SseEvent, SseStream, decode, looks_like_sse

REDACTED: Final = "<redacted>"

SHORTEST_SECRET: Final = 6
"""In characters. A shorter value stands in every other text by chance."""

_MARK: Final = REDACTED.encode()
_DEPTH: Final = 3
"""How many wrappings (base64 in gzip in base64) are opened."""


class SecretFoundError(Exception):
    """A secret is still there after everything that was found was replaced.

    Attributes:
        secret: Its name.
        where: The part of the exchange that holds it.
    """

    def __init__(self, secret: str, where: str) -> None:
        self.secret = secret
        self.where = where
        super().__init__(f"{where} holds {secret}")


class Redactor:
    """Knows the run's secrets, finds them and takes them out."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        """Look for the values of `secrets` (name to value), and for what looks like a key.

        Empty values are left out. The values appear in no error and no representation.
        Quotes and backslashes around a value are not looked for: in JSON they cannot be
        told from the quotes and escapes around it.

        Raises:
            UsageError: A value is so short that it would be found everywhere.
        """
        given = []
        # The longest first: one secret may begin with another.
        for name, value in sorted((secrets or {}).items(), key=lambda item: -len(item[1])):
            core = value.strip('"\\')
            if value and len(core) < SHORTEST_SECRET:
                raise UsageError(
                    f"the secret {name} has {len(core)} characters and would be found in every "
                    f"other text; use one of at least {SHORTEST_SECRET}"
                )
            if value:
                given.append(pattern_of(name, core))
        self._patterns = (*given, *SHAPES)
        self._in_base64 = tuple(
            (fragment, pattern.name)
            for pattern in self._patterns
            for literal in pattern.literals
            for fragment in base64_fragments(literal)
        )

    # --- whole exchanges ---------------------------------------------------------------

    def interaction(self, interaction: Interaction) -> Interaction:
        """The exchange without secrets.

        Raises:
            SecretFoundError: One could not be taken out.
        """
        response = interaction.response
        return replace(
            interaction,
            request=self.request(interaction.request),
            response=None if response is None else self.response(response),
        )

    def request(self, request: Request) -> Request:
        """The request without secrets; equal requests stay equal."""
        return replace(
            request,
            url=self._text(request.url, "the request's URL"),
            headers=self._headers(request.headers, "the request's headers"),
            body=self._body(request.body, "the request's body")[0],
        )

    def response(self, response: Response) -> Response:
        """The response without secrets; chunks keep their times and their boundaries."""
        body, edits = self._body(response.body, "the response's body")
        return replace(
            response,
            headers=self._headers(response.headers, "the response's headers"),
            body=body,
            chunks=moved_chunks(response.chunks, body, edits),
        )

    def find(self, data: bytes) -> str | None:
        """The name of a secret in `data`, in any form; `None` where there is none."""
        return self._find(data, _DEPTH)

    def redact(self, data: bytes) -> bytes:
        """`data` with every secret replaced that is found in it."""
        return self._redact(data, _DEPTH)[0]

    # --- parts of them -----------------------------------------------------------------

    def _text(self, text: str, where: str) -> str:
        data = text.encode("utf-8", "surrogateescape")
        redacted = self.redact(data)
        self._check(redacted, where)
        return redacted.decode("utf-8", "surrogateescape")

    def _headers(self, headers: Headers, where: str) -> Headers:
        return tuple((name, self._text(value, where)) for name, value in headers)

    def _body(self, body: bytes, where: str) -> tuple[bytes, list[list[Edit]]]:
        redacted, passes = self._redact(body, _DEPTH)
        self._check(redacted, where)
        return redacted, passes

    def _check(self, data: bytes, where: str) -> None:
        found = self.find(data)
        if found is not None:
            raise SecretFoundError(found, where)

    # --- search and replacement --------------------------------------------------------

    def _redact(self, data: bytes, depth: int) -> tuple[bytes, list[list[Edit]]]:
        """`data` redacted, and the edits of each pass that made it so."""
        plain = gunzip(data)
        if plain is not None:
            inner = self._redact(plain, depth - 1)[0] if depth else plain
            if inner == plain:
                return data, []
            packed = gzip.compress(inner, mtime=0)
            return packed, [[(0, len(data), packed)]]
        passes = [self._edits(data, depth)]
        data = edited(data, passes[0])
        if looks_like_sse(data):
            passes.append(self._stream_edits(data, depth))
            data = edited(data, passes[1])
        return data, [edits for edits in passes if edits]

    def _find(self, data: bytes, depth: int) -> str | None:
        plain = gunzip(data)
        if plain is not None:
            return self._find(plain, depth - 1) if depth else None
        for pattern in self._patterns:
            if pattern.spelled.search(data):
                return pattern.name
        for _, _, decoded in self._suspects(data) if depth else ():
            found = self._find(decoded, depth - 1)
            if found is not None:
                return found
        if looks_like_sse(data):
            for channel in _channels(decode(data).events).values():
                joined = "".join(text for _, _, text in channel).encode("utf-8", "surrogatepass")
                found = self._find(joined, depth - 1) if depth and len(channel) > 1 else None
                if found is not None:
                    return found
        return None

    def _edits(self, data: bytes, depth: int) -> list[Edit]:
        """What to replace in `data` as it stands, in order, without overlaps."""
        found: list[Edit] = [
            (*match.span(1), _MARK)
            for pattern in self._patterns
            for match in pattern.spelled.finditer(data)
        ]
        for start, end, decoded in self._suspects(data) if depth else ():
            clean = self._redact(decoded, depth - 1)[0]
            if clean != decoded:
                found.append((start, end, base64.b64encode(clean)))
        edits: list[Edit] = []
        for edit in sorted(found, key=lambda edit: (edit[0], -edit[1])):
            if not edits or edit[0] >= edits[-1][1]:
                edits.append(edit)
        return edits

    def _suspects(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Stretches of base64 that may hold a secret: start, end, and what they decode to."""
        if not self._may_hold_base64(data):
            return
        for run in BASE64_RUN.finditer(data):
            text = run[0]
            if not self._may_hold_base64(text):
                continue
            for skip in range(4):
                # Nobody says where base64 begins: other characters may stand before it.
                decoded = unbase64(text[skip:])
                if decoded is not None and (
                    decoded.startswith(GZIP)
                    or any(p.spelled.search(decoded) for p in self._patterns)
                ):
                    yield run.start() + skip, run.end(), decoded
                    break

    def _may_hold_base64(self, data: bytes) -> bool:
        plain = plain_base64(data)
        return GZIP_BASE64 in plain or any(known in plain for known, _ in self._in_base64)

    def _stream_edits(self, data: bytes, depth: int) -> list[Edit]:
        """What to replace in the events of a stream so that their joined texts are clean."""
        stream = decode(data)
        changed: dict[int, object] = {}
        for channel in _channels(stream.events).values():
            if len(channel) < 2:
                continue
            texts = [text.encode("utf-8", "surrogatepass") for _, _, text in channel]
            edits = self._edits(b"".join(texts), depth)
            if not edits:
                continue
            for (at, path, _), text in zip(channel, spread(texts, edits), strict=True):
                document = changed.setdefault(at, json.loads(stream.events[at].data or ""))
                _put(document, path, text.decode("utf-8", "surrogatepass"))
        return _event_edits(stream, changed)


# --- streams ---------------------------------------------------------------------------

_Path = tuple[str | int, ...]
_Channels = dict[tuple[object, ...], list[tuple[int, _Path, str]]]


def _channels(events: tuple[SseEvent, ...]) -> _Channels:
    """The texts at the same place of events for the same content block, in order.

    Each is the event's index, the path to the text inside its data, and the text.
    """
    channels: _Channels = {}
    for at, event in enumerate(events):
        try:
            data = json.loads(event.data or "")
        except (ValueError, RecursionError):
            continue
        if is_deep(data):
            continue
        block = data.get("index") if isinstance(data, dict) else None
        for path, text in _texts(data, ()):
            key = (block if isinstance(block, int) else None, path)
            channels.setdefault(key, []).append((at, path, text))
    return channels


def _texts(value: object, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, (*path, at))


def _put(document: object, path: _Path, text: str) -> None:
    for step in path[:-1]:
        document = document[step]  # type: ignore[index]
    document[path[-1]] = text  # type: ignore[index]


def _event_edits(stream: SseStream, changed: Mapping[int, object]) -> list[Edit]:
    edits: list[Edit] = []
    start = 0
    for at, event in enumerate(stream.events):
        end = start + len(event.encode(stream.newline))
        if at in changed:
            clean = replace(event, raw=None, complete=True, data=print_json(changed[at]).decode())
            edits.append((start, end, clean.encode(stream.newline)))
        start = end
    return edits
