"""Secrets that stand in a file already, whoever wrote it.

A file is searched three times, because each sees what the others cannot:

- as bytes, which needs no format and knows every line,
- as plain data, for what is a secret by its place: a cookie, a key's header, a password
  in a URL,
- as exchanges, whose bodies are decoded first: what YAML folded, what was compressed, and
  the events of a stream.

A finding names the kind of the secret and its place, never its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._errors import CassetteFileError
from pytest_mnemosyne.cassette._interaction import Headers, Interaction
from pytest_mnemosyne.cassette._raw import UnknownContainer, parse_document
from pytest_mnemosyne.cassette._reading import parse
from pytest_mnemosyne.cassette._redaction import Redactor
from pytest_mnemosyne.cassette._yaml import Where, YamlProblem, line_finder

_CREDENTIALS: Final = {
    "authorization": "a credential",
    "proxy-authorization": "a credential",
    "x-api-key": "an API key",
    "api-key": "an API key",
    "x-goog-api-key": "an API key",
    "x-amz-security-token": "a session token",
    "cookie": "a cookie",
    "set-cookie": "a cookie",
    "anthropic-organization-id": "the id of an organisation",
    "openai-organization": "the id of an organisation",
}
"""What the value of a header is, unless somebody has put something else in its place."""

_PARAMETERS = re.compile(
    r"[?&](?:api[-_]?key|key|access[-_]token|auth[-_]?token|token|password|secret|client[-_]secret)"
    r"=([^&#\s\"']+)",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s\"'@:]*:([^/?#\s\"'@]+)@")

_STAND_IN = re.compile(
    r"""(?ix)
    [<\[{(*%$].*                        # <API_KEY>, [FILTERED], {{ key }}, $KEY, ****
    | [x*.\-_\ ]*                       # xxxx
    | (?:none|null|true|false|\d{0,5})
    | [a-z_\-.\ ]*                      # words alone that say what they are
      (?:redact|filter|scrub|mask|censor|remov|hidden|secret|dummy|fake|mock|test|example|sample
        |placeholder|xxx|your|my[-_\ ]|api[-_\ ]?key|-id\b|cookie|token|value)
      [a-z_\-.\ ]*
    """
)
"""What people and recorders write where a secret was."""

_HEADER_KEYS: Final = frozenset({"headers", "header", "cookies"})
_URL_KEYS: Final = frozenset({"uri", "url", "path", "origin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A secret in a file."""

    line: int | None
    """Counted from 1; `None` where no line can be named."""

    what: str
    """What kind of secret it is, or its name."""

    where: str
    """Where it stands and how it is wrapped, in words."""


def find_leaks(
    data: bytes, path: Path | None = None, *, redactor: Redactor | None = None
) -> tuple[Leak, ...]:
    """The secrets in a file, in the order of its lines.

    Args:
        data: What the file holds; of any format, and none is fine.
        path: The file's name, which is searched too.
        redactor: Knows more secrets than the shapes of well-known keys.
    """
    redactor = redactor or Redactor()
    found = [*_in_name(path, redactor), *_in_bytes(data, redactor)]
    found += _in_places(data, found)
    found += _in_exchanges(data, redactor, found)
    return tuple(sorted(dict.fromkeys(found), key=lambda leak: (leak.line or 0, leak.what)))


def _in_name(path: Path | None, redactor: Redactor) -> Iterator[Leak]:
    secret = None if path is None else redactor.find(path.name.encode("utf-8", "surrogateescape"))
    if secret is not None:
        yield Leak(line=None, what=secret, where="the file's name")


def _in_bytes(data: bytes, redactor: Redactor) -> Iterator[Leak]:
    line_at = _line_counter(data)
    for hit in redactor.hits(data):
        yield Leak(
            line=line_at(hit.start),
            what=hit.secret,
            where=f"the file, {hit.form}" if hit.form else "the file",
        )


def _line_counter(data: bytes) -> Callable[[int], int]:
    """A function from a position to its line; cheap where positions grow."""
    seen, lines = 0, 1

    def line_at(position: int) -> int:
        nonlocal seen, lines
        if position < seen:
            seen, lines = 0, 1
        lines += data.count(b"\n", seen, position)
        seen = position
        return lines

    return line_at


# --- what is a secret by its place -----------------------------------------------------


def _in_places(data: bytes, known: list[Leak]) -> Iterator[Leak]:
    try:
        document = parse_document(data)
    except (UnknownContainer, YamlProblem):
        return
    lines = None
    for where, what, place in _secret_places(document):
        lines = lines or line_finder(data)
        line = lines(where)
        # A key's shape in a header has been found already.
        if not any(leak.line == line for leak in known):
            yield Leak(line=line, what=what, where=place)


def _secret_places(document: object) -> Iterator[tuple[Where, str, str]]:
    """Every secret that stands where secrets stand: its path, what it is, and words for both."""
    pending: list[tuple[Where, object]] = [((), document)]
    seen: set[int] = set()
    while pending:
        where, value = pending.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            name = str(key).lower()
            if name in _HEADER_KEYS:
                yield from _in_headers(inner, (*where, key))
            elif name in _URL_KEYS and isinstance(inner, str):
                yield from _in_url(inner, (*where, key))
            else:
                pending.append(((*where, key), inner))


def _in_headers(headers: object, where: Where) -> Iterator[tuple[Where, str, str]]:
    for at, name, value in _header_pairs(headers, where):
        what = _CREDENTIALS.get(name.lower())
        if what is None and where[-1:] == ("cookies",):
            what = "a cookie"
        if what is not None and not _is_stand_in(value):
            yield at, what, f"the header {name.lower()}"


def _header_pairs(headers: object, where: Where) -> Iterator[tuple[Where, str, str]]:
    """Names and values, in all the ways in which recorders keep them."""
    items = headers.items() if isinstance(headers, dict) else ()
    for name, values in items:
        for value in values if isinstance(values, list) else [values]:
            yield (*where, name), _text(name), _text(value)
    for at, item in enumerate(headers if isinstance(headers, list) else ()):
        match item:
            case {"name": name, "value": value}:
                yield (*where, at, "value"), _text(name), _text(value)
            case [name, value]:
                yield (*where, at, 1), _text(name), _text(value)
            case str():
                name, _, value = item.partition(":")
                yield (*where, at), name.strip(), value


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_stand_in(value: str) -> bool:
    """Whether a value was put in the place of a secret: `Bearer <filtered>`, `X-API-KEY-XXX`."""
    value = re.sub(r"(?i)\A(?:bearer|basic|token)\s+", "", value.strip())
    return _STAND_IN.fullmatch(value) is not None


def _in_url(url: str, where: Where) -> Iterator[tuple[Where, str, str]]:
    for pattern, place in ((_PARAMETERS, "the query of a URL"), (_USERINFO, "a URL")):
        for match in pattern.finditer(url):
            if not _is_stand_in(match[1]):
                yield where, "a credential", place


# --- what is seen once it is decoded ---------------------------------------------------


def _in_exchanges(data: bytes, redactor: Redactor, known: list[Leak]) -> Iterator[Leak]:
    try:
        file = parse(data, Path("cassette"))
    except CassetteFileError:
        return
    lines = None
    for at, interaction in enumerate(file.interactions):
        for part, text in _decoded(interaction):
            for hit in redactor.hits(text):
                lines = lines or line_finder(data)
                first, last = lines(_place(file, at)), lines(_place(file, at + 1))
                # What can be seen without decoding has been found already, with its line.
                if not _has(known, hit.secret, first, last):
                    form = f", {hit.form}" if hit.form else ""
                    where = f"interaction {at + 1}: the {part}{form}"
                    yield Leak(line=first, what=hit.secret, where=where)


def _has(known: list[Leak], what: str, first: int | None, last: int | None) -> bool:
    """Whether a secret is known to stand between two lines; the last exchange has no second."""
    start = first or 0
    end = last if last is not None and last > start else None
    return any(
        leak.what == what
        and leak.line is not None
        and leak.line >= start
        and (end is None or leak.line < end)
        for leak in known
    )


def _place(file: CassetteFile, at: int) -> Where:
    """Where the exchange stands in the document of its container."""
    match file.container:
        case "ruby-vcr":
            return "http_interactions", at
        case "har":
            return "log", "entries", at
        case "single":
            return ()
        case _:
            return "interactions", at


def _decoded(interaction: Interaction) -> Iterator[tuple[str, bytes]]:
    """The parts of an exchange, each with its name."""
    request, response = interaction.request, interaction.response
    yield "request's URL", request.url.encode("utf-8", "surrogatepass")
    yield from _headers_of("request", request.headers)
    yield "request's body", request.body
    if response is not None:
        yield from _headers_of("response", response.headers)
        yield "response's body", response.body


def _headers_of(half: str, headers: Headers) -> Iterator[tuple[str, bytes]]:
    for name, value in headers:
        yield f"{half}'s header {name}", value.encode("utf-8", "surrogatepass")
