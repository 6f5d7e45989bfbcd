"""Frames and messages: what goes into a pipe comes out of it, and nothing else does."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.agents import AgentSettings
from mnemosyne_core.bridge import AgentBlueprint
from mnemosyne_core.bridge._crossing import ErrorData
from mnemosyne_core.bridge._frames import MAX_BYTES, Frame, FrameReader, frame
from mnemosyne_core.bridge._messages import (
    VERSION,
    Ask,
    Asked,
    Cancel,
    Failed,
    FromAgent,
    Hello,
    Ready,
    Result,
    Start,
    Stopped,
    ToAgent,
    Work,
    check_version,
    decode_from_agent,
    decode_to_agent,
    encode,
)
from mnemosyne_core.errors import MessageTooLargeError, ProtocolError, ProtocolVersionError
from mnemosyne_core.work import AgentRole

heads = st.binary(max_size=40).map(lambda head: head.replace(b"\n", b""))
frames = st.lists(st.tuples(heads, st.binary(max_size=200)), max_size=5)


def cut(stream: bytes, places: list[int]) -> Iterator[bytes]:
    begin = 0
    for place in sorted(place % (len(stream) + 1) for place in places):
        yield stream[begin:place]
        begin = place
    yield stream[begin:]


def read(stream: bytes, places: list[int] | None = None) -> list[Frame]:
    reader = FrameReader()
    found = [each for piece in cut(stream, places or []) for each in reader.feed(piece)]
    reader.finish()
    return found


@given(frames, st.lists(st.integers(min_value=0), max_size=8))
def test_frames_come_out_as_they_went_in_wherever_the_pipe_cuts_them(
    sent: list[Frame], places: list[int]
) -> None:
    assert read(b"".join(frame(head, body) for head, body in sent), places) == sent


@given(frames.filter(bool), st.data())
def test_a_pipe_that_ends_in_the_middle_of_a_message_is_an_error(
    sent: list[Frame], data: st.DataObject
) -> None:
    whole = b"".join(frame(*each) for each in sent)
    last = frame(*sent[-1])
    kept = data.draw(st.integers(1, len(last) - 1))
    reader = FrameReader()
    found = list(reader.feed(whole[: len(whole) - len(last) + kept]))

    assert found == sent[:-1]
    with pytest.raises(ProtocolError, match=f"after {kept} bytes"):
        reader.finish()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=4))
def test_text_that_strays_into_the_pipe_is_noticed_by_its_first_four_letters(text: str) -> None:
    with pytest.raises(ProtocolError, match="begin with a length") as caught:
        list(FrameReader().feed(text.encode()))

    assert caught.value.excerpt == text[:40]


def test_frames_before_the_garbage_are_handed_out() -> None:
    reader = FrameReader()
    feed = reader.feed(frame(b"{}", b"body") + b"Traceback (most recent call last)")

    assert next(feed) == (b"{}", b"body")
    with pytest.raises(ProtocolError):
        next(feed)


def test_a_frame_without_a_head_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="one line that says what it is"):
        list(FrameReader().feed(b"\x00\x00\x00\x03abc"))


def test_a_message_that_is_too_long_is_neither_sent_nor_read() -> None:
    with pytest.raises(MessageTooLargeError, match=f"{MAX_BYTES + 3:,} bytes"):
        frame(b"{}", bytes(MAX_BYTES))
    assert len(frame(b"{}", b"12345", max_bytes=8)) == 12
    with pytest.raises(ProtocolError, match="from 1 to 7"):
        list(FrameReader(max_bytes=7).feed(frame(b"{}", b"12345")))


def test_a_protocol_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ProtocolError(problem="no", excerpt="abc")))

    assert (error.problem, error.excerpt) == ("no", "abc")
    assert str(error) == "no message on the pipe of an agent's process: no; it begins 'abc'"


# --- messages --------------------------------------------------------------------------

BLUEPRINT = AgentBlueprint(
    path="executor",
    role=AgentRole.EXECUTOR,
    workspace=None,
    settings=AgentSettings(max_turns=3),
    maker="some.module:maker",
)


@pytest.mark.parametrize(
    "message",
    [
        Hello(pid=1, python="3.11"),
        Start(blueprint=BLUEPRINT, cancel_s=1.0),
        Work(seq=3),
        Cancel(seq=3),
    ],
)
def test_a_message_to_the_agent_is_read_as_it_was_written(message: ToAgent) -> None:
    ((head, body),) = read(encode(message, b"body\nand more"))

    assert decode_to_agent(head) == message
    assert body == b"body\nand more"


@pytest.mark.parametrize(
    "message",
    [
        Ready(),
        Result(seq=1),
        Failed(seq=1, error=ErrorData.of(ValueError("no"))),
        Ask(ask=1, what=Asked.STREAM, seq=None, attempt=2),
        Stopped(left=1),
    ],
)
def test_a_message_from_the_agent_is_read_as_it_was_written(message: FromAgent) -> None:
    ((head, _),) = read(encode(message))

    assert decode_from_agent(head) == message


def test_a_field_of_a_newer_version_is_left_out() -> None:
    head = b'{"kind": "cancel", "seq": 7, "politely": true}'

    assert decode_to_agent(head) == Cancel(seq=7)


def test_a_setting_of_a_newer_version_is_refused() -> None:
    content = Start(blueprint=BLUEPRINT, cancel_s=1.0).model_dump_json()
    newer = content.replace('"max_turns"', '"temperature":1,"max_turns"')

    with pytest.raises(ProtocolError, match="temperature"):
        decode_to_agent(newer.encode())


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (b'{"kind": "dance"}', "dance"),
        (b'{"seq": 1}', "kind"),
        (b'{"kind": "cancel", "seq": 0}', "greater than 0"),
        (b'{"kind": "ready"}', "ready"),
        (b"\xff", "JSON"),
        (b"", "JSON"),
        (b"[]", "object"),
    ],
)
def test_what_is_no_message_to_the_agent_is_an_error_that_says_why(
    head: bytes, problem: str
) -> None:
    with pytest.raises(ProtocolError, match=problem):
        decode_to_agent(head)


@given(st.binary(max_size=60))
def test_a_head_is_a_message_or_a_protocol_error(head: bytes) -> None:
    with suppress(ProtocolError):
        message = decode_from_agent(head)
        assert decode_from_agent(message.model_dump_json().encode()) == message


def test_another_minor_version_is_understood_and_another_major_one_is_not() -> None:
    major, minor = VERSION
    check_version((major, minor + 1))

    with pytest.raises(
        ProtocolVersionError, match=r"speaks version 2\.7 .* this one 1\.1"
    ) as caught:
        check_version((2, 7))

    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.ours, again.theirs) == (VERSION, (2, 7))
