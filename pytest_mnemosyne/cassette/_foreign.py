"""The files of other recorders, read as they are.

vcrpy in all its layouts, Ruby VCR, go-vcr, HAR, and one JSON object with a request
and a response. They name the same things differently, so each half of an exchange
is read by one tolerant function that looks for every name; what tells the
containers apart is only where the exchanges stand.

Bodies come back decoded. Whether one is gzip is decided by its bytes, because
recorders decode bodies and leave the header, and some drop the headers instead.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Request, Response
from pytest_mnemosyne.cassette._json_styles import print_json
from pytest_mnemosyne.cassette._raw import UnknownContainer
from pytest_mnemosyne.cassette._yaml import ShapeProblem, Where
from pytest_mnemosyne.wire import header, looks_like_sse

NO_RECORDING: Final = "data without recorded exchanges"
"""The container of a file that is well-formed and holds something else."""

_WIRE_HEADERS: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""They described the bytes on the wire, not the decoded body."""

_GZIP: Final = b"\x1f\x8b"

_MOST_UNPACKED_BYTES: Final = 256 * 1024 * 1024
"""More than the API takes or gives at once; a bomb is not unpacked to its end."""


def read_foreign(document: object) -> CassetteFile:
    """The contents of another recorder's file.

    Raises:
        ShapeProblem: An exchange in it lacks what an exchange needs.
        UnknownContainer: It is data of some other kind.
    """
    container, items = _exchanges(document)
    return CassetteFile(
        container=container,
        interactions=tuple(_interaction(item, where) for where, item in items),
    )


def _exchanges(document: object) -> tuple[str, list[tuple[Where, object]]]:
    """Whose file it is, and its exchanges with the places where they stand."""
    match document:
        case {"http_interactions": list(items)}:
            return "ruby-vcr", _numbered(items, "http_interactions")
        case {"log": {"entries": list(items)}}:
            return "har", _numbered(items, "log", "entries")
        case {"interactions": list(items)}:
            return ("go-vcr" if _is_go(items) else "vcrpy"), _numbered(items, "interactions")
        case {"interactions": None}:
            return "vcrpy", []
        case {"request": dict(), "response": dict()}:
            return "single", [((), document)]
        case [{"request": dict()}, *_]:
            # vcrpy before 1.0: no envelope, the URL in parts.
            assert isinstance(document, list)
            return "vcrpy", _numbered(document)
        case _:
            raise UnknownContainer(NO_RECORDING)


def _numbered(items: list[object], *where: str) -> list[tuple[Where, object]]:
    return [((*where, at), item) for at, item in enumerate(items)]


def _is_go(items: list[object]) -> bool:
    match items:
        case [{"request": {"url": _}, "response": {"code": _}}, *_]:
            return True
        case _:
            return False


def _interaction(item: object, where: Where) -> Interaction:
    if not isinstance(item, dict):
        raise ShapeProblem(where, "an exchange is a mapping of request and response")
    halves = {}
    for half in ("request", "response"):
        if not isinstance(item.get(half), dict):
            raise ShapeProblem(where, f"the exchange has no {half}")
        halves[half] = item[half]
    return Interaction(
        request=_request(halves["request"], (*where, "request")),
        response=_response(halves["response"], (*where, "response")),
        took_s=_took_s(item, halves["response"]),
    )


def _took_s(item: Mapping[str, Any], response: Mapping[str, Any]) -> float:
    """HAR has milliseconds beside the exchange, go-vcr `1.5s` in the response."""
    milliseconds = item.get("time")
    if isinstance(milliseconds, int | float) and milliseconds > 0:
        return float(milliseconds) / 1000
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|µs)", str(response.get("duration", "")))
    if match is None:
        return 0.0
    return float(match[1]) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[match[2]]


# --- requests --------------------------------------------------------------------------


def _request(written: Mapping[str, Any], where: Where) -> Request:
    method = written.get("method")
    if not isinstance(method, str) or not method:
        raise ShapeProblem((*where, "method"), "the request has no method")
    headers = _headers(written.get("headers"), (*where, "headers"))
    body = _decoded(_request_bytes(written, where), headers, where)
    return Request(
        method=method.upper(),
        url=_url(written, where),
        headers=_without_wire(headers),
        body=_unwrapped_multipart(body, headers),
    )


def _url(written: Mapping[str, Any], where: Where) -> str:
    for key in ("uri", "url"):
        if isinstance(written.get(key), str):
            return str(written[key])
    match written:
        case {"protocol": str(scheme), "host": str(host), "path": str(path)}:
            port = written.get("port")
            default = {"https": 443, "http": 80}.get(scheme)
            return f"{scheme}://{host}{'' if port in (None, default) else f':{port}'}{path}"
        case _:
            raise ShapeProblem(where, "the request has no uri and no url")


def _request_bytes(written: Mapping[str, Any], where: Where) -> bytes:
    if "postData" in written:
        return _posted(written["postData"], (*where, "postData"))
    return _first_body(written, ("body",), where)


def _posted(posted: object, where: Where) -> bytes:
    """HAR's body of a request: a text, or the fields of a form."""
    match posted:
        case None:
            return b""
        case {"text": str(text), "encoding": "base64"}:
            return _unbase64(text, where)
        case {"text": str(text)} if text:
            return text.encode("utf-8", "surrogatepass")
        case {"params": list(fields)}:
            named = [field for field in fields if isinstance(field, dict) and "name" in field]
            return urlencode([(one["name"], one.get("value", "")) for one in named]).encode()
        case _:
            return b""


def _unwrapped_multipart(body: bytes, headers: Headers) -> bytes:
    """Some recorders keep a form's bytes as base64 and do not say so; its boundary does."""
    found = re.search(r'boundary="?([^";]+)', header(headers, "content-type") or "")
    if found is None or found[1].encode() in body:
        return body
    try:
        decoded = base64.b64decode(body)
    except (binascii.Error, ValueError):
        return body
    return decoded if found[1].encode() in decoded else body


# --- responses -------------------------------------------------------------------------


def _response(written: Mapping[str, Any], where: Where) -> Response:
    headers = _headers(written.get("headers"), (*where, "headers"))
    body = _decoded(_first_body(written, ("body", "content"), where), headers, where)
    return Response(
        status=_status(written, where),
        # Where a recorder dropped all headers, a client still has to know what it reads.
        headers=_without_wire(headers) if headers else _guessed_type(body),
        body=body,
    )


def _guessed_type(body: bytes) -> Headers:
    if looks_like_sse(body):
        return (("content-type", "text/event-stream; charset=utf-8"),)
    if body.lstrip().startswith((b"{", b"[")):
        return (("content-type", "application/json"),)
    return ()


def _status(written: Mapping[str, Any], where: Where) -> int:
    candidates = (written.get("status"), written.get("status_code"), written.get("code"))
    for candidate in candidates:
        code = candidate.get("code") if isinstance(candidate, dict) else candidate
        if isinstance(code, str) and code[:3].isdigit():
            # "200 OK" of older go-vcr
            code = int(code[:3])
        if isinstance(code, int) and not isinstance(code, bool):
            return code
    raise ShapeProblem((*where, "status"), "the response has no status")


# --- headers and bodies of both --------------------------------------------------------


def _headers(written: object, where: Where) -> Headers:
    return tuple((name.lower(), value) for name, value in _header_pairs(written, where))


def _header_pairs(written: object, where: Where) -> Iterator[tuple[str, str]]:
    match written:
        case None:
            return
        case dict():
            for name, values in written.items():
                for value in values if isinstance(values, list | tuple) else (values,):
                    if value is not None:
                        yield _text(name), _text(value)
        case list():
            for item in written:
                yield _header_pair(item, where)
        case _:
            raise ShapeProblem(where, "headers are a mapping or a list")


def _header_pair(item: object, where: Where) -> tuple[str, str]:
    match item:
        case {"name": name, "value": value}:
            return _text(name), _text(value)
        case [name, value]:
            return _text(name), _text(value)
        case str() if ":" in item:
            name, _, value = item.partition(":")
            return name.strip(), value.strip()
        case _:
            raise ShapeProblem(where, f"no header: {item!r}")


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _without_wire(headers: Headers) -> Headers:
    return tuple(header for header in headers if header[0] not in _WIRE_HEADERS)


def _first_body(written: Mapping[str, Any], keys: tuple[str, ...], where: Where) -> bytes:
    """The body under the first key that is there; JSON kept as a mapping counts."""
    if written.get("parsed_body") is not None:
        return _printed(written["parsed_body"], (*where, "parsed_body"))
    for key in keys:
        if written.get(key) is not None:
            return _body_bytes(written[key], (*where, key))
    return b""


def _body_bytes(value: object, where: Where) -> bytes:
    match value:
        case None:
            return b""
        case bytes():
            return value
        case str():
            return value.encode("utf-8", "surrogatepass")
        case list() | tuple():
            # An iterator's pieces.
            return b"".join(_body_bytes(piece, where) for piece in value)
        case {"base64_string": str(text)} | {"text": str(text), "encoding": "base64"}:
            return _unbase64(text, where)
        case {"string": inner} | {"text": inner}:
            return _body_bytes(inner, where)
        case {"mimeType": _} | {"encoding": _} | {"size": _}:
            return b""
        case dict() if not value:
            return b""
        case dict():
            return _printed(value, where)
        case _:
            raise ShapeProblem(where, f"a body is text or bytes, not {type(value).__name__}")


def _printed(value: object, where: Where) -> bytes:
    try:
        return print_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ShapeProblem(where, f"not JSON: {error}") from error


def _unbase64(text: str, where: Where) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise ShapeProblem(where, f"not base64: {error}") from error


def _decoded(body: bytes, headers: Headers, where: Where) -> bytes:
    """The body without its content encoding, if its bytes have one."""
    encoding = (header(headers, "content-encoding") or "").strip().lower()
    if encoding in ("gzip", "x-gzip") and body.startswith(b"H4sI"):
        body = _unbase64(body.decode("ascii", "replace"), where)
    if body.startswith(_GZIP) and (encoding in ("gzip", "x-gzip") or not headers):
        return _inflated(body, zlib.MAX_WBITS | 16, where) or body
    if encoding == "deflate":
        windows = (zlib.MAX_WBITS, -zlib.MAX_WBITS)
        return next(filter(None, (_inflated(body, each, where) for each in windows)), body)
    if encoding in ("br", "zstd") and not _is_text(body):
        return _decoded_by_client(body, encoding, where)
    return body


def _inflated(body: bytes, window: int, where: Where) -> bytes | None:
    """What is in a compressed body, also when it was cut; `None` where it is not one."""
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(body, _MOST_UNPACKED_BYTES)
    except zlib.error:
        return None
    if unpacker.unconsumed_tail:
        raise _too_large(where)
    return plain


def _too_large(where: Where) -> ShapeProblem:
    size = _MOST_UNPACKED_BYTES >> 20
    return ShapeProblem(where, f"the body unpacks to more than {size} MB")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded_by_client(body: bytes, encoding: str, where: Where) -> bytes:
    """Brotli and zstandard, by whatever the HTTP client at hand has for them."""
    import httpx2

    packed = httpx2.ByteStream(body)
    response = httpx2.Response(200, headers={"content-encoding": encoding}, stream=packed)
    plain = bytearray()
    try:
        for piece in response.iter_bytes():
            plain += piece
            if len(plain) > _MOST_UNPACKED_BYTES:
                raise _too_large(where)
    except httpx2.DecodingError as error:
        raise ShapeProblem(where, f"the body is no {encoding}: {error}") from error
    if plain == body:
        raise ShapeProblem(
            where,
            f"the body is {encoding}-compressed; pip install 'httpx2[brotli,zstd]' to read it",
        )
    return bytes(plain)
