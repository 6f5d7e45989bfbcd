"""In which ways an answer differs from another, words apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_mnemosyne.cassette import (
    Drift,
    DriftKind,
    Interaction,
    Outcome,
    Request,
    Response,
    compare_answers,
)
from pytest_mnemosyne.wire import encode, message_events, sse_of

ASKED = Request(method="POST", url="/v1/messages", body=b"{}")
TEXT = {"type": "text", "text": "Fine."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a.py"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
NOT_FOUND = {"type": "error", "error": {"type": "not_found_error", "message": "No model"}}


def message(*content: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **more,
    }


def answered(body: object, status: int = 200, outcome: Outcome = Outcome.COMPLETE) -> Interaction:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Interaction(request=ASKED, response=Response(status=status, body=data), outcome=outcome)


def told(old: Interaction, new: Interaction) -> list[str]:
    return [str(each) for each in compare_answers(old, new) if each.kind is not DriftKind.WORDS]


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(message({**TEXT, "text": "All is well, thank you."}), id="other-words"),
        pytest.param(message(TEXT, id="msg_2"), id="another-id"),
        pytest.param(message(TEXT, usage={"input_tokens": 9, "gold": 1}), id="usage"),
        pytest.param(message(TEXT, mood=None), id="a-new-field-with-nothing-in-it"),
        pytest.param(message(TEXT, model="claude-sonnet-5-5-1"), id="a-model-behind-a-name"),
        pytest.param(message(TEXT, stop_sequence="END"), id="a-value-in-place-of-null"),
    ],
)
def test_what_differs_between_any_two_answers_is_no_drift(new: dict[str, Any]) -> None:
    assert told(answered(message(TEXT)), answered(new)) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            message(TEXT),
            message(TEXT, stop_reason="max_tokens"),
            ["stop reason: [-end_turn-] {+max_tokens+}"],
            id="stop-reason",
        ),
        pytest.param(
            message(CALL),
            message({**CALL, "name": "list_files"}),
            ["tools: [-read_file-] {+list_files+}"],
            id="another-tool",
        ),
        pytest.param(
            message(CALL),
            message({**CALL, "input": {"path": "a.py", "lines": 3}}),
            ["shape: {+content[0].input.lines+} is new"],
            id="a-new-input",
        ),
        pytest.param(
            message(TEXT),
            message(TEXT, mood="fine"),
            ["shape: {+mood+} is new"],
            id="a-new-field",
        ),
        pytest.param(
            message(TEXT),
            message({"type": "thinking", "thinking": "Hm.", "signature": "x"}, TEXT),
            ["shape: [-content is text-] {+content is thinking, text+}"],
            id="another-block",
        ),
        pytest.param(
            message({**TEXT, "text": '{"verdict": true}'}),
            message({**TEXT, "text": '{"verdict": "yes"}'}),
            ["shape: content[0].text.verdict is [-a truth value-] {+a text+}"],
            id="json-inside-of-a-text",
        ),
        pytest.param(
            {"input_tokens": 12},
            {"input_tokens": "12"},
            ["shape: answer.input_tokens is [-a number-] {+a text+}"],
            id="no-message",
        ),
    ],
)
def test_drift_is_told_in_words(old: dict[str, Any], new: dict[str, Any], words: list[str]) -> None:
    assert told(answered(old), answered(new)) == words


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            answered(message(TEXT)),
            answered(OVERLOADED, 529),
            ["error: [-none-] {+overloaded_error+}"],
            id="an-error-in-place-of-a-message",
        ),
        pytest.param(
            answered(NOT_FOUND, 404),
            answered(message(TEXT)),
            ["error: [-not_found_error-] {+none+}"],
            id="a-message-in-place-of-an-error",
        ),
        pytest.param(
            answered(b"Bad gateway", 502),
            answered(b"Bad gateway", 503),
            ["error: [-status 502-] {+status 503+}"],
            id="an-error-of-nobody's",
        ),
        pytest.param(
            answered(NOT_FOUND, 404),
            answered({**NOT_FOUND, "request_id": "req_1"}, 404),
            [],
            id="the-same-error",
        ),
        pytest.param(
            answered(message(TEXT)),
            answered(message(TEXT), outcome=Outcome.CUT),
            ["ending: [-complete-] {+cut+}"],
            id="another-ending",
        ),
        pytest.param(
            answered(message(TEXT)),
            Interaction(request=ASKED, response=None, outcome=Outcome.RESET),
            ["ending: [-complete-] {+reset+}"],
            id="no-answer-at-all",
        ),
    ],
)
def test_errors_and_endings_are_told_by_their_kind(
    old: Interaction, new: Interaction, words: list[str]
) -> None:
    assert told(old, new) == words


def test_a_stream_is_its_message() -> None:
    stream = encode(map(sse_of, message_events(message(TEXT, CALL))))

    assert compare_answers(answered(stream), answered(message(TEXT, CALL))) == ()


def test_words_are_told_as_words() -> None:
    old = answered(message(TEXT, CALL))
    new = answered(message({**TEXT, "text": "Fine!"}, {**CALL, "input": {"path": "b.py"}}))

    assert compare_answers(old, new) == (
        Drift(DriftKind.WORDS, 'content[0]: "Fine[-.-]{+!+}"'),
        Drift(DriftKind.WORDS, 'content[1].read_file.path: "[-a-]{+b+}.py"'),
    )
