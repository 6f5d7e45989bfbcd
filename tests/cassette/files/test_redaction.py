"""Secrets are found in every form and never reach a file."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    Chunk,
    Interaction,
    Recorded,
    Redactor,
    SecretLeakError,
    load,
    write,
)
from pytest_mnemosyne.wire import decode

from ._make import compact, event, interaction, stream_of

KEY = "sk-ant-api03-Abcdefghijklmnop-1234_XYZ"
VALUE = 'p4ss"wörd\\/x9'
SECRETS = {"ANTHROPIC_API_KEY": KEY, "DB_PASSWORD": VALUE}


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(SECRETS)


@dataclass(frozen=True)
class Form:
    """A way to wrap a text, and the way in which a reader gets it back."""

    wrap: Callable[[str], bytes]
    reveal: Callable[[bytes], str]


def _in_json(text: str) -> bytes:
    return compact({"data": text})


def _from_json(data: bytes) -> str:
    return str(json.loads(data)["data"])


def _base64_after(before: int) -> Form:
    return Form(
        lambda text: _in_json(base64.b64encode(b"x" * before + text.encode()).decode()),
        lambda data: base64.b64decode(_from_json(data))[before:].decode(),
    )


def _cut(text: str) -> list[str]:
    return [text[:3], text[3:9], "", text[9:16], text[16:]]


def _joined(data: bytes, index: int = 0) -> str:
    events = [json.loads(one.data or "") for one in decode(data).events]
    return "".join(one["delta"]["text"] for one in events if one["index"] == index)


def _in_two_blocks(text: str) -> bytes:
    pieces = [piece for cut in _cut(text) for piece in ((0, cut), (1, "other"))]
    return b"".join(
        event("content_block_delta", {"index": index, "delta": {"text": piece}})
        for index, piece in pieces
    )


FORMS = {
    "as it stands": Form(str.encode, bytes.decode),
    "json": Form(_in_json, _from_json),
    "json in json": Form(
        lambda text: _in_json(_in_json(text).decode()),
        lambda data: _from_json(_from_json(data).encode()),
    ),
    "every character escaped": Form(
        lambda text: b'{"data":"' + b"".join(b"\\u%04X" % ord(c) for c in text) + b'"}', _from_json
    ),
    "percent-encoded": Form(
        lambda text: b"".join(b"%%%02x" % byte for byte in text.encode()),
        lambda data: unquote(data.decode()),
    ),
    **{f"base64 after {n}": _base64_after(n) for n in range(4)},
    "url-safe base64": Form(
        lambda text: base64.urlsafe_b64encode(text.encode()),
        lambda data: base64.b64decode(data, altchars=None if b"+" in data else b"-_").decode(),
    ),
    "base64 in lines": Form(
        lambda text: base64.encodebytes(b"x" * 50 + text.encode() + b"x" * 60),
        lambda data: base64.b64decode(data).decode().strip("x"),
    ),
    "base64 in lines in json": Form(
        lambda text: _in_json(base64.encodebytes(b"x" * 50 + text.encode()).decode()),
        lambda data: base64.b64decode(_from_json(data)).decode().strip("x"),
    ),
    "gzip": Form(
        lambda text: gzip.compress(_in_json(text)), lambda data: _from_json(gzip.decompress(data))
    ),
    "gzip in base64": Form(
        lambda text: _in_json(base64.b64encode(gzip.compress(text.encode())).decode()),
        lambda data: gzip.decompress(base64.b64decode(_from_json(data))).decode(),
    ),
    "deltas": Form(lambda text: stream_of(_cut(text)), _joined),
    "deltas between those of another block": Form(_in_two_blocks, _joined),
    "base64 in deltas": Form(
        lambda text: stream_of(_cut(base64.b64encode(text.encode()).decode())),
        lambda data: base64.b64decode(_joined(data)).decode(),
    ),
    "json in deltas": Form(
        lambda text: stream_of(_cut(_in_json(text).decode())),
        lambda data: _from_json(_joined(data).encode()),
    ),
}


@pytest.mark.parametrize("name", SECRETS.keys(), ids=["key", "value"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_secret_is_found_and_replaced_in_every_form(
    redactor: Redactor, form: Form, name: str
) -> None:
    data = form.wrap(f"before {SECRETS[name]} after")

    redacted = redactor.redact(data)

    assert redactor.find(data) is not None
    assert redactor.find(redacted) is None
    assert form.reveal(redacted) == f"before <redacted:{name}> after"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Authorization: Bearer abcDEF123456.ghi-jkl", "bearer-token"),
        ("sk-ant-api03-abcdefgh", "anthropic-key"),
        ("sk-proj-abcdefghijklmnopqrst", "openai-key"),
        ("AKIAIOSFODNN7EXAMPLE", "aws-key"),
        ("ghp_" + "a1B2" * 9, "github-token"),
        ("glpat-" + "a1B2" * 5, "gitlab-token"),
        ("AIza" + "a1B2-" * 7, "google-key"),
        ("xoxb-0123456789", "slack-token"),
        ("sk_live_" + "a1B2" * 5, "stripe-key"),
        ("hf_" + "aB" * 17, "hugging-face-token"),
        (f"-----BEGIN PRIVATE KEY-----{'a1B2' * 16}-----END PRIVATE KEY-----", "private-key"),
        pytest.param("sk\\u002dant\\u002dapi03\\u002dabcdefgh", "anthropic-key", id="escaped-dash"),
    ],
)
def test_what_looks_like_a_key_needs_no_introduction(text: str, kind: str) -> None:
    redacted = Redactor().redact(f"see {text} there".encode())

    assert f"<redacted:{kind}> there".encode() in redacted
    assert Redactor().find(redacted) is None


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of this letter",
        "Bearer authentication-is-described-below",
        "set it to sk-ant-...",
        "task-antarctic",
        "base64 of nothing in particular: " + base64.b64encode(bytes(range(256))).decode(),
    ],
)
def test_ordinary_text_stays_as_it_is(redactor: Redactor, text: str) -> None:
    assert redactor.redact(text.encode()) == text.encode()
    assert redactor.find(text.encode()) is None


def test_an_answer_stays_valid_around_what_is_replaced(redactor: Redactor) -> None:
    body = compact({"a": f"x{KEY}y", "b": [VALUE, {"c": base64.b64encode(KEY.encode()).decode()}]})

    found = json.loads(redactor.redact(body))

    assert (
        found["a"] == "x<redacted:ANTHROPIC_API_KEY>"
    )  # the letter after the key may belong to it
    assert found["b"][0] == "<redacted:DB_PASSWORD>"
    assert base64.b64decode(found["b"][1]["c"]) == b"<redacted:ANTHROPIC_API_KEY>"


def test_the_longer_of_two_secrets_is_replaced_whole() -> None:
    redactor = Redactor({"short": "abcdef", "long": "abcdefghi"})

    assert redactor.redact(b"abcdefghi abcdef") == b"<redacted:long> <redacted:short>"


def test_chunks_keep_their_boundaries_around_a_replacement(redactor: Redactor) -> None:
    texts = ["one ", KEY[:10], KEY[10:], " two"]
    pieces = [stream_of([text]) for text in texts]
    chunks = tuple(Chunk(data=piece, at_s=float(at)) for at, piece in enumerate(pieces))
    call = interaction(answer=b"".join(pieces), chunks=chunks)

    response = redactor.interaction(call).response

    assert response is not None
    assert [chunk.at_s for chunk in response.chunks] == [0.0, 1.0, 2.0, 3.0]
    assert b"".join(chunk.data for chunk in response.chunks) == response.body
    assert response.chunks[0].data == pieces[0]
    assert response.chunks[1].data == stream_of(["<redacted:ANTHROPIC_API_KEY>"])
    assert response.chunks[2].data == stream_of([""])
    assert response.chunks[3].data == pieces[3]


def test_equal_requests_stay_equal_and_the_url_is_searched_too(redactor: Redactor) -> None:
    call = interaction({"messages": [KEY]}, url=f"https://api.anthropic.com/v1/x?key={KEY}")

    redacted = redactor.request(call.request)

    assert redacted.url == "https://api.anthropic.com/v1/x?key=<redacted:ANTHROPIC_API_KEY>"
    assert redacted.body == b'{"messages":["<redacted:ANTHROPIC_API_KEY>"]}'
    assert redactor.request(redacted) == redacted


def test_no_key_reaches_a_file(tmp_path: Path, redactor: Redactor) -> None:
    path = tmp_path / "test_x.yaml"
    call = interaction(
        {"messages": [{"role": "user", "content": KEY}]},
        stream_of(_cut(VALUE)),
        request_headers=(("anthropic-beta", KEY), ("x-api-key", KEY)),
        response_headers=(("request-id", KEY), ("set-cookie", VALUE)),
    )

    write(path, CassetteFile(interactions=(call,)), redactor=redactor)

    assert redactor.find(path.read_bytes()) is None
    assert b"<redacted:ANTHROPIC_API_KEY>" in path.read_bytes()
    found = load(path).interactions[0]
    assert redactor.interaction(found) == found


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            CassetteFile(recorded=Recorded(source="api", test=f"t.py::t[{KEY}]")), id="test"
        ),
        pytest.param(CassetteFile(interactions=(interaction(lane=Lane(KEY)),)), id="lane"),
    ],
)
def test_a_secret_that_cannot_be_taken_out_stops_the_writing(
    tmp_path: Path, redactor: Redactor, file: CassetteFile
) -> None:
    path = tmp_path / "cassettes" / "test_x.yaml"

    with pytest.raises(SecretLeakError, match="was not written") as caught:
        write(path, file, redactor=redactor)

    assert caught.value.secret == "ANTHROPIC_API_KEY"
    assert KEY not in str(caught.value)
    assert not path.parent.exists()


def test_a_replacement_that_fails_is_noticed(
    tmp_path: Path, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redactor, "_redact", lambda data, _depth: (data, []))
    calls: tuple[Interaction, ...] = (interaction(), interaction({"messages": [VALUE]}))

    with pytest.raises(SecretLeakError, match="interaction 2: the request's body") as caught:
        write(tmp_path / "x.yaml", CassetteFile(interactions=calls), redactor=redactor)

    assert caught.value.secret == "DB_PASSWORD"


def test_what_was_searched_once_is_not_searched_again(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = interaction({"messages": ["some words", KEY]})
    redacted = redactor.interaction(call)
    searched: list[bytes] = []
    find = redactor.find

    def noted(data: bytes) -> str | None:
        searched.append(data)
        return find(data)

    monkeypatch.setattr(redactor, "find", noted)

    assert redactor.interaction(redacted) == redacted
    assert searched == []
    assert redactor.interaction(call) == redacted
    assert call.request.body in searched


def test_a_secret_too_short_to_be_one_is_refused_and_an_empty_one_left_out() -> None:
    with pytest.raises(UsageError, match="the secret PIN has 4 characters") as caught:
        Redactor({"PIN": "1234"})

    assert "1234" not in str(caught.value)
    assert Redactor({"EMPTY": ""}).redact(b"abc") == b"abc"


AROUND = '"\\ \t\r\n'
"""What is not looked for around a secret, because JSON puts it around every string."""


@given(
    before=st.binary(max_size=30),
    after=st.binary(max_size=30),
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=6).filter(
        lambda secret: len(secret.strip(AROUND)) >= 6
    ),
)
@example(before=b"\x1f\x8b", after=b"", secret="000000")
def test_no_surroundings_hide_a_secret(before: bytes, after: bytes, secret: str) -> None:
    redactor = Redactor({"S": secret})
    data = before + secret.encode() + after

    assert redactor.find(data) == "S"
    assert secret.encode() not in redactor.redact(data) or secret in "<redacted>"


@given(
    secret=st.text(st.sampled_from('abcXYZ019_-.+/="\\ é'), min_size=8, max_size=30).filter(
        lambda secret: len(secret.strip(AROUND)) >= 6
    ),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    # Printable: the digits of an escape before a secret of digits would be taken for its own.
    around=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10),
)
@example(secret='0000000000000"', cuts=[13], around="")
@example(secret="abcdefgh\\", cuts=[], around="")
def test_no_way_of_cutting_a_stream_hides_a_secret(
    secret: str, cuts: list[int], around: str
) -> None:
    redactor = Redactor({"S": secret})
    text = f"{around}{secret}{around}"
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    stream = stream_of([text[a:b] for a, b in pairwise(bounds)])

    redacted = redactor.redact(stream)

    joined = "".join(json.loads(one.data or "")["delta"]["text"] for one in decode(redacted).events)
    assert secret not in joined
    assert redactor.find(redacted) is None
