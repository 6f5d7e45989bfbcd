"""The plain form of a text, and the way back to what spelled it."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import Redactor
from pytest_mnemosyne.cassette._decodings import (
    MOST_UNPACKED_BYTES,
    TooMuchUnpackedError,
    Traced,
    folded,
    gzips,
    unescaped,
)
from tests.cassette.secrets.readings import holds

SPELLED = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\\",
                b"\\u002d",
                b"\\ud83d\\ude00",
                b"\\ud83d",
                b"\\x2d",
                b"%2d",
                b"%25",
                b"%",
                b"\x00",
            ]
        ),
        st.binary(max_size=3),
        st.sampled_from([b" ", b"\n", b"\\n", b"n", b"u", b"00", b"5c"]),
    ),
    max_size=12,
).map(b"".join)


@given(SPELLED)
@example(b"\\u005cu002d")
@example(b"%2525%2d")
@example(b"\\\\\\\\u00e9\x00\\ud83d\x00\\ude00")
def test_what_is_traced_back_is_what_the_quick_way_makes(data: bytes) -> None:
    assert Traced.unescaped(data).text == unescaped(data)
    assert Traced.folded(data).text == folded(unescaped(data))


@given(SPELLED, SPELLED)
def test_the_origin_of_a_text_is_the_stretch_that_spelled_it(before: bytes, after: bytes) -> None:
    secret = b"S3cret_value"
    data = before + b"|" + secret + b"|" + after
    traced = Traced.folded(data)
    start = traced.text.index(secret)

    first, end = traced.origin(start, start + len(secret))

    assert data[first:end] == secret


def test_all_of_an_escape_belongs_to_what_it_spells() -> None:
    data = rb'{"a":"\\\u0073ecret\u002dvalue\""}'
    traced = Traced.folded(data)
    start = traced.text.index(b"secret-value")

    first, end = traced.origin(start, start + len(b"secret-value"))

    assert data[:first] + b"X" + data[end:] == rb'{"a":"X\""}'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\\" * 1_000_000, id="backslashes"),
        pytest.param(b"%25" * 300_000, id="percents"),
        pytest.param(b"\\u" * 500_000, id="half-escapes"),
        pytest.param(b"\x1f\x8b\x08\x08" * 100_000, id="headers-of-gzip"),
        pytest.param(b"sk-ant-" * 100_000, id="beginnings-of-keys"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----" + b"\n" * 1_000_000, id="line-ends"),
        pytest.param(b"bearer " + b" " * 1_000_000, id="blanks"),
        pytest.param(b"H4sI" * 250_000, id="beginnings-of-packed-base64"),
    ],
)
@pytest.mark.slow
def test_no_text_takes_more_than_its_length(data: bytes) -> None:
    # Quadratic, any of them would take hours.
    found = Redactor({"TOKEN": "t0ken-with-16-characters"}).find(data)

    assert found == ("an Anthropic key (sk-ant-...)" if data.startswith(b"sk-ant-") else None)


def test_gzip_is_found_in_the_middle_and_cut_and_damaged() -> None:
    packed = gzip.compress(b"words " * 999, mtime=0)
    damaged = packed[:-8] + b"\xff" * 8

    found = [plain for _, _, plain in gzips(b"a\x1f\x8b\x08z" + packed + b"between" + damaged)]

    assert found == [b"words " * 999] * 2
    assert next(each for _, _, each in gzips(packed[:-12])).startswith(b"words words ")


def test_a_bomb_is_not_unpacked_and_not_written() -> None:
    bomb = gzip.compress(bytes(MOST_UNPACKED_BYTES + 1), mtime=0)

    with pytest.raises(TooMuchUnpackedError):
        list(gzips(bomb))

    redactor = Redactor()
    assert redactor.find(bomb) == "data that unpacks to more than 32 MB to search"
    assert redactor.redact(bomb) == bomb


def test_base64_before_and_behind_a_secret_stays_as_it_is() -> None:
    key = b"sk-ant-api03-Abcdefghijklmnop"
    text = base64.b64encode(b"x" * 300 + key).decode()
    data = json.dumps({"before": text[:1], "data": text}).encode()

    found = Redactor().redact(data)

    assert json.loads(found)["data"][:396] == text[:396]
    assert base64.b64decode(json.loads(found)["data"]) == b"x" * 300 + b"<redacted:anthropic-key>"


SECRET = b"t0ken-with-16-characters"
REDACTED = base64.b64encode(b"x" * 15 + b"<redacted:TOKEN>" + b"y" * 3)
WRAPPED = base64.b64encode(b"x" * 15 + SECRET + b"y" * 3)


@pytest.mark.parametrize(
    "around",
    [
        pytest.param("{}", id="alone"),
        pytest.param("{}\nthen say so", id="words"),
        pytest.param("{}\nthen\nsay so", id="a-word-of-its-own"),
        pytest.param("a\n{}\nthen", id="words-on-both-sides"),
        pytest.param('{{"text": "{}\\nthen"}}', id="json"),
        pytest.param("{}\r\n--0c1f7a\r\n", id="boundary"),
        pytest.param("{}\r\n--0c1f7a--\r\n", id="last-boundary"),
    ],
)
def test_what_stands_in_the_lines_around_base64_with_a_secret_stays(around: str) -> None:
    data = around.format(WRAPPED.decode()).encode()

    assert (
        Redactor({"TOKEN": SECRET.decode()}).redact(data)
        == around.format(REDACTED.decode()).encode()
    )


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\n  ", "\\n", "\\r\\n"])
@pytest.mark.parametrize("width", [60, 64, 76])
def test_base64_in_lines_is_one_thing(width: int, break_: str) -> None:
    before, behind = b"x" * 130, b"y" * 131
    wrapped = base64.b64encode(before + SECRET + behind).decode()
    lines = [wrapped[at : at + width] for at in range(0, len(wrapped), width)]

    found = Redactor({"TOKEN": SECRET.decode()}).redact(break_.join(lines).encode())

    plain = found.decode().replace(break_, "")
    assert base64.b64decode(plain) == before + b"<redacted:TOKEN>" + behind


@pytest.mark.parametrize("width", range(8, 40))
@pytest.mark.parametrize("break_", ["\n", "\\r\\n"])
def test_a_secret_over_the_ends_of_narrow_lines_goes_and_what_follows_stays(
    width: int, break_: str
) -> None:
    wrapped = base64.b64encode(b"x" * 30 + SECRET + b"y" * 90).decode()
    lines = [wrapped[at : at + width] for at in range(0, len(wrapped), width)]

    found = Redactor({"TOKEN": SECRET.decode()}).redact(break_.join(lines).encode())

    assert not holds(found, SECRET.decode())
    last = max(number for number, at in enumerate(range(0, len(wrapped), width)) if at < 72)
    assert found.decode().split(break_)[-len(lines) + last + 1 :] == lines[last + 1 :]
