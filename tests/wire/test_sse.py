from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.wire import (
    Newline,
    SseDecoder,
    SseEvent,
    SseStream,
    decode,
    encode,
    looks_like_sse,
)
from tests.wire.genuine import exchanges

_LINES = st.sampled_from(
    (
        *("event: ping", "event:", "data: {}", "data:{}", "data", "data:  two", ": note", ":"),
        *("id: 7", "retry: 9", "unknown: x", "\ufeff", "\ufeffevent: a", "d\u00e4ta: \u2028", ""),
    )
)
_ENDINGS = st.sampled_from(["\n", "\r\n", "\r"])
_SSE_LIKE = st.lists(st.tuples(_LINES, _ENDINGS)).map(
    lambda lines: "".join(line + ending for line, ending in lines).encode()
)
_ANY_BODY = _SSE_LIKE | st.binary()


@settings(deadline=None)
@given(_ANY_BODY)
def test_every_body_comes_back_byte_for_byte(body: bytes) -> None:
    assert encode(decode(body)) == body


@settings(deadline=None)
@given(_ANY_BODY, st.lists(st.integers(min_value=0, max_value=200)))
def test_it_does_not_matter_where_a_body_is_cut_into_pieces(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    decoder = SseDecoder()

    events = [event for start, end in pairwise(places) for event in decoder.feed(body[start:end])]
    events += decoder.close()

    assert SseStream(tuple(events), decoder.newline) == decode(body)


_VALUE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@settings(deadline=None)
@given(
    st.lists(st.builds(SseEvent, event=_VALUE, data=st.lists(_VALUE, min_size=1).map("\n".join))),
    st.sampled_from(Newline),
)
def test_what_is_spelled_plainly_is_understood_as_meant(
    events: list[SseEvent], newline: Newline
) -> None:
    stream = SseStream(tuple(events), newline)

    assert decode(stream.encode()).events == stream.events


def test_a_plain_stream_carries_nothing_but_its_meaning() -> None:
    stream = decode(b'event: ping\ndata: {"type": "ping"}\n\nevent: a\ndata: 1\ndata: 2\n\n')

    assert stream == SseStream(
        (SseEvent("ping", '{"type": "ping"}'), SseEvent("a", "1\n2")), Newline.LF
    )


@pytest.mark.parametrize(
    ("body", "event"),
    [
        pytest.param(b"data:x\n\n", SseEvent(None, "x", raw=b"data:x\n\n"), id="no-space"),
        pytest.param(b": hi\n\n", SseEvent(raw=b": hi\n\n"), id="comment"),
        pytest.param(
            b"data: x\nevent: a\n\n", SseEvent("a", "x", raw=b"data: x\nevent: a\n\n"), id="order"
        ),
        pytest.param(
            b"\xef\xbb\xbfevent: a\n\n", SseEvent("a", raw=b"\xef\xbb\xbfevent: a\n\n"), id="bom"
        ),
        pytest.param(
            b"event: a\ndata: x\n",
            SseEvent("a", "x", raw=b"event: a\ndata: x\n", complete=False),
            id="no-blank-line-at-the-end",
        ),
        pytest.param(
            b"event: a\ndata: \xff\n\n",
            SseEvent("a", "\ufffd", raw=b"event: a\ndata: \xff\n\n"),
            id="not-utf-8",
        ),
        pytest.param(b"id: 7\nretry: 10\n\n", SseEvent(id="7", retry="10"), id="id-and-retry"),
    ],
)
def test_another_spelling_is_kept_beside_the_meaning(body: bytes, event: SseEvent) -> None:
    assert decode(body).events == (event,)


def test_a_stream_with_crlf_is_plain_in_its_own_way() -> None:
    stream = decode(b"event: a\r\ndata: x\r\n\r\n")

    assert stream == SseStream((SseEvent("a", "x"),), Newline.CRLF)


def test_an_event_is_handed_over_with_the_piece_that_completes_it() -> None:
    decoder = SseDecoder()

    assert decoder.feed(b"event: a\nda") == ()
    assert decoder.feed(b"ta: x\n") == ()
    assert decoder.feed(b"\nevent: b") == (SseEvent("a", "x"),)
    assert decoder.close() == (SseEvent("b", raw=b"event: b", complete=False),)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        pytest.param(lambda: SseEvent("a\nb"), "event", id="event"),
        pytest.param(lambda: SseEvent("a", "a\rb"), "data", id="data"),
        pytest.param(lambda: SseEvent(id="\n"), "id", id="id"),
    ],
)
def test_a_value_that_no_stream_can_carry_is_refused(
    build: Callable[[], SseEvent], field: str
) -> None:
    with pytest.raises(UsageError, match=f"the {field} of a server-sent event cannot hold"):
        build()


@pytest.mark.parametrize(
    ("body", "is_stream"),
    [
        pytest.param(b"event: message_start\ndata: {}\n\n", True, id="event"),
        pytest.param(b"\xef\xbb\xbf\r\ndata: {}\r\n\r\n", True, id="bom-and-blank-line"),
        pytest.param(b": keep-alive\n\n", True, id="comment"),
        pytest.param(b'{"type": "message"}', False, id="json"),
        pytest.param(b"<html>", False, id="html"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_stream_is_known_by_its_first_line(body: bytes, is_stream: bool) -> None:
    assert looks_like_sse(body) is is_stream


def test_genuine_streams_come_back_byte_for_byte() -> None:
    streams = [exchange for exchange in exchanges() if exchange.is_stream]

    assert len(streams) > 30
    for exchange in streams:
        assert encode(decode(exchange.answered)) == exchange.answered, exchange.file
        decoder = SseDecoder()
        pieces = [exchange.answered[at : at + 7] for at in range(0, len(exchange.answered), 7)]
        events = [event for piece in pieces for event in decoder.feed(piece)] + [*decoder.close()]
        assert tuple(events) == decode(exchange.answered).events, exchange.file
