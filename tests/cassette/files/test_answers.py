from __future__ import annotations

from typing import Any

import pytest

from pytest_mnemosyne.cassette import Answer, read_answer, read_value
from pytest_mnemosyne.wire import encode, error_body, message_events, sse_of

from ._make import compact, event

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ERROR = error_body("overloaded_error", "Overloaded")
WHOLE = encode(map(sse_of, message_events(MESSAGE)))
CUT = WHOLE.partition(b"event: content_block_stop")[0]
BEGUN = {**MESSAGE, "stop_reason": None}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(compact(MESSAGE), Answer(message=MESSAGE), id="message"),
        pytest.param(WHOLE, Answer(message=MESSAGE), id="stream"),
        pytest.param(CUT, Answer(message=BEGUN, complete=False), id="stream-cut"),
        pytest.param(compact(ERROR), Answer(error=ERROR["error"]), id="error"),
        pytest.param(
            CUT + event("error", ERROR),
            Answer(message=BEGUN, error=ERROR["error"], complete=False),
            id="error-in-a-stream",
        ),
        pytest.param(
            event("completion", {"type": "completion", "completion": "Hel"})
            + event("completion", {"type": "completion", "completion": "lo", "stop_reason": "x"}),
            Answer(other={"type": "completion", "completion": "Hello", "stop_reason": "x"}),
            id="text-completion",
        ),
        pytest.param(b'{"input_tokens":7}', Answer(other={"input_tokens": 7}), id="json"),
        pytest.param(b'{"type":"message"}', Answer(other={"type": "message"}), id="no-content"),
        pytest.param(b"Bad gateway", Answer(other="Bad gateway"), id="text"),
        pytest.param(b"\xff\x00", Answer(other=b"\xff\x00"), id="bytes"),
        pytest.param(b"", Answer(), id="nothing"),
        pytest.param(
            b"event: x\ndata: {}\n\n", Answer(other="event: x\ndata: {}\n\n"), id="other-stream"
        ),
        pytest.param(b"data: {oops\n\n", Answer(other="data: {oops\n\n"), id="broken-stream"),
        pytest.param(
            event("message_start", {"type": "message_start"}),
            Answer(other='event: message_start\ndata: {"type":"message_start"}\n\n'),
            id="start-without-message",
        ),
    ],
)
def test_an_answer_is_read_however_it_came(body: bytes, answer: Answer) -> None:
    assert read_answer(body) == answer


@pytest.mark.parametrize("levels", [100, 100_000])
def test_a_tower_of_brackets_is_a_text(levels: int) -> None:
    tower = b"[" * levels + b"]" * levels
    stream = b"event: message_start\ndata: " + tower + b"\n\n"

    assert read_value(tower) == tower.decode()
    assert read_answer(stream).other == stream.decode()
