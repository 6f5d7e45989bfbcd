"""Streams in a file: readable, and the same bytes when they are read back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import (
    CassetteFile,
    Chunk,
    CorruptCassetteError,
    Interaction,
    Response,
)
from pytest_mnemosyne.cassette._file import render
from pytest_mnemosyne.cassette._reading import parse

from ._make import STREAM, event, interaction, stream_of

PATH = Path("cassettes/test_x.yaml")
HEADERS = (("content-type", "text/event-stream"),)


def rendered(body: bytes, chunks: tuple[Chunk, ...] = ()) -> str:
    """The file of one stream, of which the same is read back."""
    call = interaction(answer=body, response_headers=HEADERS, chunks=chunks)
    data = render(CassetteFile(interactions=(call,)))
    assert parse(data, PATH).interactions == (call,)
    return data.decode()


def response_of(text: str) -> Any:
    return yaml.safe_load(text)["interactions"][0]["response"]


def events_of(body: bytes) -> Any:
    return response_of(rendered(body))["events"]


def delta(text: str, *, kind: str = "text_delta", index: int = 0, pad: int = 0) -> bytes:
    """An event that adds to a text."""
    key = {"input_json_delta": "partial_json", "citations_delta": "citation"}.get(kind)
    key = key or kind.removesuffix("_delta")
    data = {"type": "content_block_delta", "index": index, "delta": {"type": kind, key: text}}
    return event("content_block_delta", data).replace(b"}\n\n", b" " * pad + b"}\n\n")


# --- what it looks like ----------------------------------------------------------------


def test_a_stream_is_readable_line_by_line() -> None:
    text = rendered(STREAM)

    assert (
        "    events:\n"
        "    - {event: message_start, data: {type: message_start, message: {id: msg_1}}, pad: 3}\n"
        "    - {event: ping, data: {type: ping}, json: spaced}\n"
        "    - {deltas: text_delta, index: 0, text: Hi, pieces: [2], pads: [1]}\n"
        "    - {type: message_stop}\n"
    ) in text


def test_the_deltas_of_a_block_are_one_text() -> None:
    text = rendered(stream_of(["Hel", "lo", "", " you"]))

    assert "    - {deltas: text_delta, index: 0, text: Hello you, pieces: [3, 2, 0, 4]}\n" in text


def test_a_text_of_several_lines_is_a_block() -> None:
    text = rendered(stream_of(["First\n", "se", "cond\n"]))

    assert (
        "    - deltas: text_delta\n"
        "      index: 0\n"
        "      text: |\n"
        "        First\n"
        "        second\n"
        "      pieces: [6, 2, 5]\n"
    ) in text


@pytest.mark.parametrize(
    ("body", "items"),
    [
        pytest.param(
            delta("a") + delta("b", index=1) + delta("c", index=1),
            [("text_delta", 0, [1]), ("text_delta", 1, [1, 1])],
            id="of-two-blocks",
        ),
        pytest.param(
            delta("a", kind="thinking_delta") + delta("b", kind="signature_delta"),
            [("thinking_delta", 0, [1]), ("signature_delta", 0, [1])],
            id="of-two-kinds",
        ),
        pytest.param(
            delta("a") + event("ping", {"type": "ping"}) + delta("b"),
            [("text_delta", 0, [1]), "ping", ("text_delta", 0, [1])],
            id="around-a-ping",
        ),
        pytest.param(
            delta('{"a": 1', kind="input_json_delta") + delta("}", kind="input_json_delta"),
            [("input_json_delta", 0, [7, 1])],
            id="of-a-tool",
        ),
        pytest.param(delta("🎉é"), [("text_delta", 0, [2])], id="characters-and-not-bytes"),
        pytest.param(delta("a", kind="citations_delta"), ["content_block_delta"], id="of-no-text"),
        pytest.param(
            event("content_block_delta", {"type": "content_block_delta", "index": True}),
            ["content_block_delta"],
            id="of-no-block",
        ),
    ],
)
def test_deltas_that_belong_together_are_one_item(body: bytes, items: list[object]) -> None:
    assert [
        (item["deltas"], item["index"], item["pieces"]) if "deltas" in item else item["type"]
        for item in events_of(body)
    ] == items


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        pytest.param(
            event("other", {"type": "ping"}), {"event", "data"}, id="another-name-than-its-type"
        ),
        pytest.param(event("ping", {"type": "ping", "data": 1}), {"event", "data"}, id="key-data"),
        pytest.param(event("ping", {"type": 1}), {"event", "data"}, id="type-is-no-text"),
        pytest.param(b"event: ping\ndata: {}\nid: 7\n\n" + STREAM, {"raw"}, id="unusual-order"),
        pytest.param(b"id: 7\ndata: a\ndata: b\n\n", {"id", "data"}, id="several-lines"),
        pytest.param(
            delta("a").replace(b'"delta"', b'"more":1,"delta"'),
            {"type", "index", "more", "delta"},
            id="a-delta-with-more",
        ),
        pytest.param(
            delta("a", pad=2000), {"event", "data"}, id="more-blanks-than-the-API-has-ever-sent"
        ),
        pytest.param(
            delta("?").replace(b"?", b"\\ud83d"), {"event", "data"}, id="half-a-character"
        ),
        pytest.param(
            delta("a").replace(b'"index":0', b'"index":true'),
            {"type", "index", "delta"},
            id="index-true",
        ),
    ],
)
def test_what_is_spelled_in_another_way_is_kept_as_it_is(body: bytes, keys: set[str]) -> None:
    assert set(events_of(body)[0]) == keys


def test_a_stream_in_another_style_is_as_short() -> None:
    body = stream_of(["é", "b"]).replace(b":", b": ").replace(b",", b", ")
    body = body.replace(b"event:  ", b"event: ").replace(b"data:  ", b"data: ")

    response = response_of(rendered(body))

    assert response["json"] == "spaced"
    assert [item["pieces"] for item in response["events"]] == [[1, 1]]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(STREAM[:-30], id="cut-in-an-event"),
        pytest.param(STREAM.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(b": hello\n\n" + STREAM, id="comment"),
        pytest.param(STREAM + b"data: [DONE]\n\n", id="no-json"),
        pytest.param(STREAM + b"data: \xff\n\n", id="no-utf8"),
        pytest.param(
            STREAM + event("ping", {"type": "ping", "of": f"a{' ' * 50_000}b"}), id="many-blanks"
        ),
    ],
)
def test_any_stream_comes_back_byte_for_byte(body: bytes) -> None:
    assert events_of(body)


# --- chunks ----------------------------------------------------------------------------


def chunks_of(body: bytes, *cuts: int) -> tuple[Chunk, ...]:
    places = [0, *cuts, len(body)]
    return tuple(
        Chunk(data=body[begin:end], at_s=at / 4) for at, (begin, end) in enumerate(pairwise(places))
    )


FIRST = len(delta("a"))


@pytest.mark.parametrize(
    ("cuts", "written"),
    [
        pytest.param([FIRST], [0.0, 0.25], id="one-an-event"),
        pytest.param([5], [[5, 0.0], [2 * FIRST - 5, 0.25]], id="over-the-end-of-an-event"),
        pytest.param([5, FIRST], [[5, 0.0], 0.25, 0.5], id="the-rest-of-an-event"),
        pytest.param([0, FIRST], [[0, 0.0], 0.25, 0.5], id="nothing-at-first"),
        pytest.param([FIRST, 2 * FIRST], [0.0, 0.25, [0, 0.5]], id="nothing-at-last"),
        pytest.param([], [[2 * FIRST, 0.0]], id="all-at-once"),
    ],
)
def test_a_chunk_that_ends_with_its_event_is_a_time(cuts: list[int], written: list[Any]) -> None:
    body = delta("a") + delta("b")

    assert response_of(rendered(body, chunks_of(body, *cuts)))["chunks"] == written


def test_chunks_of_what_is_no_stream_have_sizes() -> None:
    body = b"plain text"
    call = interaction(answer=body, chunks=chunks_of(body, 5))
    data = render(CassetteFile(interactions=(call,)))

    assert response_of(data.decode())["chunks"] == [[5, 0.0], [5, 0.25]]
    assert parse(data, PATH).interactions == (call,)


# --- any stream ------------------------------------------------------------------------

TEXTS = st.text("ab\n\"'{}: é🎉\u2028\r\x00", max_size=6)
KINDS = st.sampled_from(
    ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"]
)
EVENTS = st.one_of(
    st.builds(delta, TEXTS, kind=KINDS, index=st.integers(0, 1), pad=st.sampled_from([0, 0, 3])),
    st.builds(
        lambda text: delta("?").replace(b"?", text), st.sampled_from([b"\\ud83d", b"\\u00e9"])
    ),
    st.sampled_from(
        [
            event("ping", {"type": "ping"}),
            b'event: ping\ndata: {"type": "ping"}\n\n',
            b": a comment\n\n",
            b"data: [DONE]\n\n",
            b"event: x\ndata: {}\r\n\r\n",
        ]
    ),
    st.builds(lambda data: event("x", {"type": "x", "v": data}), st.floats() | st.integers()),
)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[bytes, tuple[Chunk, ...]]:
    """A stream and how it came, whole or cut off."""
    body = b"".join(draw(st.lists(EVENTS, max_size=8)))
    body = body[: len(body) - draw(st.sampled_from([0, 0, 1, 9]))]
    ends = [at + 2 for at in range(len(body)) if body[at : at + 2] == b"\n\n"]
    places = st.sampled_from(ends) if ends else st.nothing()
    cuts = draw(st.lists(places | st.integers(0, len(body)), max_size=8))
    return body, chunks_of(body, *sorted(cuts)) if cuts else ()


@given(arrivals())
def test_whatever_comes_is_read_back(arrival: tuple[bytes, Sequence[Chunk]]) -> None:
    body, chunks = arrival
    call = Interaction(
        request=interaction().request,
        response=Response(status=200, headers=HEADERS, body=body, chunks=tuple(chunks)),
    )

    assert parse(render(CassetteFile(interactions=(call,))), PATH).interactions == (call,)


# --- damaged ---------------------------------------------------------------------------


def file_with(events: str, more: str = "") -> bytes:
    return (
        "mnemosyne: 1\n"
        "parts:\n"
        "  m1: {role: user, content: Hi}\n"
        "  m2: {role: assistant, content: Hello}\n"
        "interactions:\n"
        "- request: {method: POST, path: /v1/messages}\n"
        f"  response:\n    status: 200\n    events:\n    - {events}\n{more}"
    ).encode()


@pytest.mark.parametrize(
    ("events", "more", "line", "problem"),
    [
        pytest.param("{deltas: x, index: 0, pieces: []}", "", 10, "one of text_delta", id="kind"),
        pytest.param("{deltas: text_delta, pieces: []}", "", 10, "index is missing", id="index"),
        pytest.param(
            "{deltas: text_delta, index: 0, text: abc, pieces: [2]}",
            "",
            10,
            "the pieces have 2 characters, the text 3",
            id="text-too-long",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, text: abc, pieces: [9000000000000]}",
            "",
            10,
            "the pieces have 9000000000000 characters",
            id="text-too-short",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, text: abc, pieces: [4, -1]}",
            "",
            10,
            "a piece is a number of characters",
            id="piece",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, text: abc, pieces: [3], pads: [1, 2]}",
            "",
            10,
            "2 pads for 1 pieces",
            id="pads",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, text: abc, pieces: [3], pads: [9000000000000]}",
            "",
            10,
            "blanks up to 1024",
            id="pads-without-end",
        ),
        pytest.param(
            "{event: ping, data: {}, pad: 9000000000000}",
            "",
            10,
            "blanks up to 1024",
            id="pad-without-end",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, pieces: [3]}",
            "",
            10,
            "no text here, and none in a message that is said",
            id="nothing-said",
        ),
        pytest.param(
            "{deltas: text_delta, index: 1, pieces: [3]}",
            "    said: m2\n",
            10,
            "no text here, and none in a message that is said",
            id="said-in-no-such-block",
        ),
        pytest.param(
            "{deltas: text_delta, index: 0, pieces: [6]}",
            "    said: m2\n",
            10,
            "the pieces have 6 characters, the text 5",
            id="more-than-was-said",
        ),
        pytest.param(
            "{type: ping}", "    said: m1\n", 11, "no message of the assistant", id="said-by-a-user"
        ),
        pytest.param(
            "{type: ping}", "    said: m3\n", 11, "no part called 'm3'", id="said-nowhere"
        ),
        pytest.param("{type: 1}", "", 10, "type is a whole number", id="type"),
        pytest.param("{type: x, at: 2026-01-01}", "", 10, "not JSON", id="no-json"),
        pytest.param(
            "{type: ping}",
            "    chunks: [0.5, 0.5]\n",
            11,
            "no event that this",
            id="chunk-too-many",
        ),
        pytest.param(
            "{type: ping}", "    chunks: [true]\n", 11, "a chunk is [bytes, seconds]", id="no-chunk"
        ),
    ],
)
def test_a_damaged_stream_is_told_with_its_line(
    events: str, more: str, line: int, problem: str
) -> None:
    with pytest.raises(CorruptCassetteError) as caught:
        parse(file_with(events, more), PATH)

    assert problem in caught.value.problem
    assert caught.value.line == line


def test_the_spelling_of_older_files_is_read() -> None:
    data = "{type: content_block_delta, index: 0, delta: {type: text_delta, text: Hi}}"
    first = f"{{event: content_block_delta, data: {data}, pad: 1}}"
    items = f"{first}\n    - {{event: ping, data: {{type: ping}}}}"

    found = parse(file_with(items, "    chunks: [[50, 0.5], [103, 1.5]]\n"), PATH)

    response = found.interactions[0].response
    assert response is not None
    assert response.body == delta("Hi", pad=1) + b'event: ping\ndata: {"type":"ping"}\n\n'
    assert [len(chunk.data) for chunk in response.chunks] == [50, 103]
