"""Conversations for the tests of commands, as they cross the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    Interaction,
    Outcome,
    Recorded,
    Request,
    Response,
    write,
)
from pytest_mnemosyne.wire import encode, message_events, sse_of

URL = "https://api.anthropic.com/v1/messages"

EXECUTOR = Lane("executor")
REVIEWER = Lane("reviewer", attempt=2)


def user(*content: object) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def tool_use(given: dict[str, Any], *, name: str = "write_file") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def tool_result(said: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": said}


def message(*blocks: dict[str, Any], stop_reason: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 3},
    }


def call(
    messages: list[dict[str, Any]],
    answer: dict[str, Any] | bytes,
    *,
    lane: Lane | None = None,
    status: int = 200,
    took_s: float = 0.0,
    **fields: object,
) -> Interaction:
    """One exchange with the Messages API; bytes are a body as it stands."""
    asked = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages, **fields}
    return Interaction(
        request=Request(method="POST", url=URL, body=body_of(asked)),
        response=Response(
            status=status,
            headers=(("content-type", "application/json"),),
            body=answer if isinstance(answer, bytes) else body_of(answer),
        ),
        lane=lane,
        took_s=took_s,
    )


def unanswered(messages: list[dict[str, Any]], outcome: Outcome) -> Interaction:
    """A request whose connection broke."""
    asked = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages}
    return Interaction(
        request=Request(method="POST", url=URL, body=body_of(asked)), response=None, outcome=outcome
    )


def stream(answer: dict[str, Any]) -> bytes:
    """The stream of a message."""
    return encode(map(sse_of, message_events(answer)))


def sent_back(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as the next request repeats it."""
    return {"role": "assistant", "content": answer["content"]}


def cassette(path: Path, *interactions: Interaction, **header: Any) -> Path:
    """Write a cassette with a header."""
    recorded = Recorded(
        **{
            "source": "scripted",
            "at": datetime(2026, 11, 22, 15, tzinfo=UTC),
            "test": "tests/test_x.py::test_y",
            "versions": {"anthropic": "2.12.0"},
            **header,
        }
    )
    write(path, CassetteFile(interactions=interactions, recorded=recorded))
    return path


def body_of(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
