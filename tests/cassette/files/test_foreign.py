"""The files of other recorders, in every layout that is known of them."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_mnemosyne.cassette import (
    CassetteFile,
    CorruptCassetteError,
    Interaction,
    UnreadableCassetteError,
    load,
)

ANSWER = b'{"id":"msg_1","text":"h\xc3\xa9llo"}'
STREAM = b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n'
URL = "https://api.anthropic.com/v1/messages"


def read(tmp_path: Path, text: str | bytes) -> CassetteFile:
    path = tmp_path / "foreign.yaml"
    path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
    return load(path)


def one(tmp_path: Path, text: str | bytes) -> Interaction:
    (interaction,) = read(tmp_path, text).interactions
    return interaction


def vcrpy(request: dict[str, Any] | None = None, response: dict[str, Any] | None = None) -> str:
    """A vcrpy file with one exchange, whose halves differ from the usual in these keys."""
    asked: dict[str, Any] = {"method": "POST", "uri": URL, "headers": {}, "body": None}
    answered: dict[str, Any] = {"status": {"code": 200}, "headers": {}, "body": {"string": ""}}
    exchange = {"request": asked | (request or {}), "response": answered | (response or {})}
    return json.dumps({"version": 1, "interactions": [exchange]})


def body_of(interaction: Interaction) -> bytes:
    assert interaction.response is not None
    return interaction.response.body


def test_the_usual_layout(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        """\
        interactions:
        - request:
            body: '{"a": 1}'
            headers:
              Content-Type: [application/json]
              x-many: [one, two]
            method: post
            uri: https://api.anthropic.com/v1/messages?beta=true
          response:
            body:
              string: '{"id": "msg_1"}'
            headers:
              Content-Type:
              - application/json
              Content-Length: ['999']
              transfer-encoding: chunked
            status: {code: 200, message: ''}
        version: 1
        """,
    )

    assert found.request.method == "POST"
    assert found.request.url == f"{URL}?beta=true"
    assert found.request.headers == (
        ("content-type", "application/json"),
        ("x-many", "one"),
        ("x-many", "two"),
    )
    assert found.request.body == b'{"a": 1}'
    assert found.response is not None
    assert found.response.status == 200
    # What described the wire is gone, and with it a length that does not fit.
    assert found.response.headers == (("content-type", "application/json"),)
    assert found.response.body == b'{"id": "msg_1"}'


GZIP = {"content-encoding": "gzip"}


@pytest.mark.parametrize(
    ("response", "body"),
    [
        pytest.param({"parsed_body": {"a": "é"}, "body": None}, b'{"a":"\xc3\xa9"}', id="parsed"),
        pytest.param({"body": None, "content": "plain", "headers": GZIP}, b"plain", id="content"),
        pytest.param({"body": {"string": "plain"}, "headers": GZIP}, b"plain", id="gzip-in-name"),
        pytest.param({"body": {"base64_string": "aGk="}}, b"hi", id="base64-string"),
        pytest.param({"body": {"string": "h\u00e9", "encoding": "UTF-8"}}, b"h\xc3\xa9", id="utf8"),
        pytest.param({"body": "flat"}, b"flat", id="flat"),
        pytest.param({"body": {"string": None}}, b"", id="null"),
        pytest.param({"body": {}}, b"", id="empty"),
        pytest.param({"body": ["pieces ", "of it"]}, b"pieces of it", id="iterator"),
        pytest.param(
            {
                "body": {"string": base64.b64encode(gzip.compress(ANSWER)).decode()},
                "headers": {"Content-Encoding": ["gzip"]},
            },
            ANSWER,
            id="gzip-as-text",
        ),
    ],
)
def test_a_body_is_found_wherever_it_is_kept(
    tmp_path: Path, response: dict[str, Any], body: bytes
) -> None:
    assert body_of(one(tmp_path, vcrpy(response=response))) == body


def binary(data: bytes, encoding: str | None) -> str:
    headers = f"{{content-encoding: [{encoding}]}}" if encoding else "{}"
    return f"""\
        interactions:
        - request: {{method: GET, uri: {URL}}}
          response:
            status: {{code: 200}}
            headers: {headers}
            body: {{string: !!binary '{base64.b64encode(data).decode()}'}}
        """


@pytest.mark.parametrize(
    ("data", "encoding", "body"),
    [
        pytest.param(gzip.compress(STREAM), "gzip", STREAM, id="gzip"),
        pytest.param(gzip.compress(STREAM), "GZip", STREAM, id="any-case"),
        pytest.param(gzip.compress(STREAM), None, STREAM, id="no-headers-at-all"),
        pytest.param(gzip.compress(STREAM * 99)[:-8], "gzip", STREAM * 99, id="gzip-cut"),
        pytest.param(zlib.compress(STREAM), "deflate", STREAM, id="deflate"),
        pytest.param(zlib.compress(STREAM)[2:-4], "deflate", STREAM, id="raw-deflate"),
        pytest.param(b"\x1f\x8bnot really", "gzip", b"\x1f\x8bnot really", id="no-gzip"),
        pytest.param(b"plain", "br", b"plain", id="br-in-name"),
    ],
)
def test_the_bytes_decide_about_their_encoding(
    tmp_path: Path, data: bytes, encoding: str | None, body: bytes
) -> None:
    assert body_of(one(tmp_path, binary(data, encoding))) == body


def test_a_file_that_is_gzip_by_itself_stays_so(tmp_path: Path) -> None:
    packed = gzip.compress(b"data")
    text = binary(packed, None).replace("headers: {}", "headers: {content-type: application/gzip}")

    assert body_of(one(tmp_path, text)) == packed


def test_an_encoding_that_nothing_here_decodes_is_no_bare_error(tmp_path: Path) -> None:
    with pytest.raises(CorruptCassetteError, match=r"the body is .*zstd"):
        read(tmp_path, binary(b"\x28\xb5\x2f\xfd\x99\x99\x99", "zstd"))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param("event: ping\ndata: {}\n\n", "text/event-stream; charset=utf-8", id="stream"),
        pytest.param('{"id":"msg_1"}', "application/json", id="json"),
        pytest.param("words", None, id="neither"),
    ],
)
def test_headers_that_were_dropped_are_told_from_the_body(
    tmp_path: Path, body: str, headers: str | None
) -> None:
    response = one(tmp_path, vcrpy(response={"body": {"string": body}})).response

    assert response is not None
    assert dict(response.headers).get("content-type") == headers


@pytest.mark.parametrize("body", [None, "", "absent"])
def test_a_request_without_a_body_has_none(tmp_path: Path, body: str | None) -> None:
    document = json.loads(vcrpy())
    document["interactions"][0]["request"]["body"] = body
    if body == "absent":
        del document["interactions"][0]["request"]["body"]

    assert one(tmp_path, json.dumps(document)).request.body == b""


@pytest.mark.parametrize("wrapped", [False, True], ids=["bytes", "base64-unsaid"])
def test_a_form_is_its_bytes(tmp_path: Path, wrapped: bool) -> None:
    form = b'--b7\r\ncontent-disposition: form-data; name="file"\r\n\r\n\xe9\r\n--b7--\r\n'
    text = base64.b64encode(form).decode()
    kept = text if wrapped else f"!!binary {text}"

    found = one(
        tmp_path,
        f"""\
        interactions:
        - request:
            method: POST
            uri: {URL}
            headers: {{content-type: [multipart/form-data; boundary=b7]}}
            body: {kept}
          response: {{status: {{code: 200}}, headers: {{}}, body: {{string: ''}}}}
        """,
    )

    assert found.request.body == form


def test_language_tags_are_read_as_what_they_hold_and_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    found = one(
        tmp_path,
        f"""\
        interactions:
        - request:
            method: !!python/unicode POST
            uri: !!python/str {URL}
            headers:
              ? !!python/object/apply:multidict._multidict.istr
              - Accept
              : - application/json
              x-evil: !!python/object/apply:os.system ["touch {marker}"]
            body: !!python/object/new:_io.BytesIO
              state: !!python/tuple [!!binary aGk=, 0, null]
          response:
            status: {{code: 200}}
            headers: {{}}
            body: {{string: !binary aGk=}}
        """,
    )

    assert not marker.exists()
    assert found.request.method == "POST"
    assert found.request.headers[0] == ("accept", "application/json")
    assert found.request.body == b"hi"
    assert body_of(found) == b"hi"


def test_the_layout_of_vcrpy_before_1_0(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        """\
        - request: !!python/object:vcr.request.Request
            body: question
            headers: {Accept: text/plain}
            host: api.anthropic.com
            method: POST
            path: /v1/complete
            port: 443
            protocol: https
          response:
            body: {string: answer}
            headers: ["Content-Type: text/plain\\r\\n"]
            status: {code: 200, message: OK}
        """,
    )

    assert found.request.url == "https://api.anthropic.com/v1/complete"
    assert found.request.headers == (("accept", "text/plain"),)
    assert found.response is not None
    assert found.response.headers == (("content-type", "text/plain"),)


RUBY = """\
    http_interactions:
    - request:
        method: post
        uri: https://api.anthropic.com/v1/messages
        body: {encoding: UTF-8, string: '{"a":1}'}
        headers: {X-Api-Key: [<KEY>]}
      response:
        status: {code: 429, message: Too Many Requests}
        headers: {Retry-After: ['2']}
        body: {encoding: ASCII-8BIT, base64_string: aGVsbG8=}
      recorded_at: Thu, 17 Apr 2025 14:40:55 GMT
    recorded_with: VCR 6.3.1
    """

GO = """\
    version: 2
    interactions:
    - id: 0
      request:
        proto: HTTP/1.1
        body: '{"a":1}'
        headers: {Retry-After: ['no']}
        url: https://api.anthropic.com/v1/messages
        method: POST
      response:
        headers: {Retry-After: ['2']}
        body: hello
        status: 429 Too Many Requests
        code: 429
        duration: 1.5s
    """

HAR = json.dumps(
    {
        "log": {
            "entries": [
                {
                    "time": 1500,
                    "request": {
                        "method": "POST",
                        "url": URL,
                        "headers": [{"name": "X-Api-Key", "value": "[REDACTED]"}],
                        "postData": {"mimeType": "application/json", "text": '{"a":1}'},
                    },
                    "response": {
                        "status": 429,
                        "headers": [{"name": "Retry-After", "value": "2"}],
                        "content": {"text": "aGVsbG8=", "encoding": "base64"},
                    },
                }
            ]
        }
    }
)

SINGLE = json.dumps(
    {
        "request": {"method": "POST", "url": URL, "headers": {"a": "b"}, "body": '{"a":1}'},
        "response": {
            "status": {"code": 429, "message": ""},
            "headers": {"Retry-After": "2"},
            "body": {"string": "hello"},
        },
    }
)


@pytest.mark.parametrize(
    ("text", "container", "took_s"),
    [
        pytest.param(RUBY, "ruby-vcr", 0.0, id="ruby-vcr"),
        pytest.param(GO, "go-vcr", 1.5, id="go-vcr"),
        pytest.param(HAR, "har", 1.5, id="har"),
        pytest.param(SINGLE, "single", 0.0, id="single"),
    ],
)
def test_containers_of_other_recorders_hold_the_same(
    tmp_path: Path, text: str, container: str, took_s: float
) -> None:
    file = read(tmp_path, text)

    (found,) = file.interactions
    assert file.container == container
    assert (found.request.method, found.request.url) == ("POST", URL)
    assert found.request.body == b'{"a":1}'
    assert found.response is not None
    assert found.response.status == 429
    assert found.response.headers == (("retry-after", "2"),)
    assert found.response.body == b"hello"
    assert found.took_s == took_s


@pytest.mark.parametrize(
    ("posted", "body"),
    [
        pytest.param({"text": "aGk=", "encoding": "base64"}, b"hi", id="base64"),
        pytest.param({"params": [{"name": "a", "value": "b c"}]}, b"a=b+c", id="form"),
        pytest.param({"text": ""}, b"", id="empty"),
        pytest.param(None, b"", id="none"),
    ],
)
def test_a_har_keeps_what_was_posted_in_several_ways(
    tmp_path: Path, posted: Any, body: bytes
) -> None:
    document = json.loads(HAR)
    document["log"]["entries"][0]["request"]["postData"] = posted

    assert one(tmp_path, json.dumps(document)).request.body == body


def test_no_interactions_are_no_error(tmp_path: Path) -> None:
    assert read(tmp_path, "interactions: []\nversion: 1\n").interactions == ()
    assert read(tmp_path, "interactions:\nversion: 1\n").interactions == ()


@pytest.mark.parametrize(
    ("data", "container"),
    [
        pytest.param(base64.b64encode(zlib.compress(b"x" * 99)), "base64 of zlib data", id="b64"),
        pytest.param(zlib.compress(b"x" * 99), "zlib data", id="zlib"),
        pytest.param(gzip.compress(b"{}"), "gzip data", id="gzip"),
        pytest.param(b"PK\x03\x04....", "a zip archive", id="zip"),
        pytest.param(b"SQLite format 3\x00....", "an SQLite database", id="sqlite"),
        pytest.param(b"just a text", "data without recorded exchanges", id="text"),
        pytest.param(b'{"name": "package"}', "data without recorded exchanges", id="json"),
        pytest.param(b"[]", "data without recorded exchanges", id="list"),
    ],
)
def test_another_container_is_refused_by_name(tmp_path: Path, data: bytes, container: str) -> None:
    with pytest.raises(UnreadableCassetteError) as caught:
        read(tmp_path, data)

    assert container in caught.value.container
    assert "HAR" in str(caught.value)
    is_data = container == "data without recorded exchanges"
    assert ("is this a cassette? " in str(caught.value)) is is_data


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("interactions:\n- 7\n", 2, "an exchange is a mapping", id="no-mapping"),
        pytest.param(
            "interactions:\n- request: {method: GET, uri: /}\n",
            2,
            "the exchange has no response",
            id="no-response",
        ),
        pytest.param(
            "interactions:\n- request: {method: GET}\n  response: {status: 200}\n",
            2,
            "no uri and no url",
            id="no-url",
        ),
        pytest.param(
            "interactions:\n- request: {uri: /}\n  response: {status: 200}\n",
            2,
            "the request has no method",
            id="no-method",
        ),
        pytest.param(
            "interactions:\n- request: {method: GET, uri: /}\n  response:\n    body: {}\n",
            4,
            "the response has no status",
            id="no-status",
        ),
        pytest.param(
            "interactions:\n- request: {method: GET, uri: /}\n  response:\n    status: 200\n"
            "    body: {base64_string: a}\n",
            5,
            "not base64",
            id="base64",
        ),
        pytest.param(
            "interactions:\n- request:\n    method: GET\n    uri: /\n    headers: 7\n"
            "  response: {status: 200}\n",
            5,
            "headers are a mapping or a list",
            id="headers",
        ),
    ],
)
def test_a_damaged_file_is_named_with_line_and_problem(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    with pytest.raises(CorruptCassetteError) as caught:
        read(tmp_path, text)

    assert caught.value.line == line
    assert problem in caught.value.problem
