"""Interactions for the tests of files."""

from __future__ import annotations

import json
from typing import Any

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import Chunk, Headers, Interaction, Outcome, Request, Response

URL = "https://api.anthropic.com/v1/messages"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {"id": "msg_1", "content": [{"type": "text", "text": "Hello"}]}

STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1"}   }\n\n'
    b'event: ping\ndata: {"type": "ping"}\n\n'
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"} }\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def interaction(
    question: object = QUESTION,
    answer: object = ANSWER,
    *,
    status: int = 200,
    request_headers: Headers = (("content-type", "application/json"),),
    response_headers: Headers = (("content-type", "application/json"),),
    chunks: tuple[Chunk, ...] = (),
    lane: Lane | None = None,
    outcome: Outcome = Outcome.COMPLETE,
    url: str = URL,
    took_s: float = 0.0,
) -> Interaction:
    """One exchange; bytes stand for themselves, anything else is made compact JSON."""
    return Interaction(
        request=Request(method="POST", url=url, headers=request_headers, body=_bytes(question)),
        response=Response(
            status=status, headers=response_headers, body=_bytes(answer), chunks=chunks
        ),
        outcome=outcome,
        lane=lane,
        took_s=took_s,
    )


def stream_of(texts: list[str]) -> bytes:
    """A stream whose deltas are these texts."""
    return b"".join(event("content_block_delta", _delta(text)) for text in texts)


def event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + compact(data) + b"\n\n"


def _delta(text: str) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else compact(body)
