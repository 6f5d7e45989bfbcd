"""What a turn reads from the bodies."""

from __future__ import annotations

import json

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import Interaction, Outcome, Request, Response, Source, Tokens, Turn

USAGE = {
    "input_tokens": 1,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 300,
    "output_tokens": 4,
    "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
}
USED = Tokens(321, 4, cache_write=20, cache_write_1h=5, cache_read=300, model="claude-x")
STREAMED: list[tuple[str, dict[str, object]]] = [
    ("message_start", {"message": {"model": "claude-x", "usage": {**USAGE, "output_tokens": 1}}}),
    ("ping", {}),
    ("message_delta", {"delta": {}, "usage": {"output_tokens": 4, "input_tokens": None}}),
    ("message_stop", {}),
]
STREAM = b"".join(
    f"event: {kind}\r\ndata: {json.dumps({'type': kind, **data})}\r\n\r\n".encode()
    for kind, data in STREAMED
)
ERROR = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}


def turn(body: bytes, *, status: int = 200, outcome: Outcome = Outcome.COMPLETE) -> Turn:
    request = Request(method="POST", url="/v1/messages", body=b'{"model": "m", "stream": true}')
    return Turn(
        number=1,
        source=Source.PLAYED,
        request=request,
        lane=Lane("executor", 2),
        tries=1,
        interaction=Interaction(
            request=request,
            response=Response(status=status, body=body),
            outcome=outcome,
            took_s=1.5,
        ),
        started_s=0.0,
    )


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param(json.dumps({"model": "claude-x", "usage": USAGE}).encode(), USED, id="whole"),
        pytest.param(STREAM, USED, id="stream"),
        pytest.param(STREAM[:150], Tokens(), id="cut-in-the-first-event"),
        pytest.param(json.dumps(ERROR).encode(), Tokens(), id="error"),
        pytest.param(b'{"usage": "none"}', Tokens(), id="no-usage"),
        pytest.param(b'{"usage": {"input_tokens": true}}', Tokens(), id="no-number"),
        pytest.param(b'\x00"usage"', Tokens(), id="no-json"),
    ],
)
def test_the_input_is_the_sum_of_its_three_kinds(body: bytes, tokens: Tokens) -> None:
    assert turn(body).tokens == tokens


@pytest.mark.parametrize(
    ("body", "status", "outcome", "fault"),
    [
        pytest.param(STREAM, 200, Outcome.COMPLETE, None, id="none"),
        pytest.param(
            json.dumps(ERROR).encode(), 429, Outcome.COMPLETE, "rate_limit_error", id="api"
        ),
        pytest.param(
            b"event: error\ndata: " + json.dumps(ERROR).encode() + b"\n\n",
            200,
            Outcome.COMPLETE,
            "rate_limit_error",
            id="in-a-stream",
        ),
        pytest.param(b"<html>bad gateway</html>", 502, Outcome.COMPLETE, "http_502", id="proxy"),
        pytest.param(STREAM, 200, Outcome.DROPPED, "dropped", id="dropped"),
    ],
)
def test_a_fault_has_one_name(
    body: bytes, status: int, outcome: Outcome, fault: str | None
) -> None:
    assert turn(body, status=status, outcome=outcome).fault == fault


def test_a_turn_says_who_asked_what_of_whom() -> None:
    asked = turn(STREAM)

    assert (asked.agent, asked.attempt, asked.model, asked.streamed) == ("executor", 2, "m", True)
    assert (asked.status, asked.outcome, asked.took_s) == (200, Outcome.COMPLETE, 1.5)
