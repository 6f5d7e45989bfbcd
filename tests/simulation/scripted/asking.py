"""Requests for a scripted Claude, without any HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx2

from pytest_mnemosyne.simulation import ScriptedClaude
from pytest_mnemosyne.wire import (
    BlockingClock,
    JsonObject,
    assemble,
    decode,
    json_events,
    looks_like_sse,
)


@dataclass(frozen=True)
class Answered:
    """An answer, read as a client would."""

    status: int
    headers: dict[str, str]
    body: JsonObject

    @property
    def text(self) -> str:
        return "".join(block.get("text", "") for block in self.body["content"])

    @property
    def problem(self) -> str:
        return str(self.body["error"]["message"])


def body(said: str = "Hi", **fields: object) -> JsonObject:
    messages = [{"role": "user", "content": said}]
    return {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": messages, **fields}


def ask(claude: ScriptedClaude, said: str = "Hi", **fields: object) -> Answered:
    return post(claude, body(said, **fields))


def post(
    claude: ScriptedClaude,
    content: object,
    path: str = "/v1/messages",
    headers: tuple[tuple[str, str], ...] = (),
) -> Answered:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return send(claude, "POST", path, headers=headers, content=raw)


def send(
    claude: ScriptedClaude,
    method: str,
    path: str,
    headers: tuple[tuple[str, str], ...] = (),
    content: bytes = b"",
    clock: BlockingClock | None = None,
) -> Answered:
    transport = claude.sync_transport(clock=clock)
    with httpx2.Client(transport=transport, base_url="http://claude.invalid") as client:
        answer = client.request(method, path, headers=headers, content=content)
    if looks_like_sse(answer.content):
        found = assemble(json_events(decode(answer.content).events))
        assert found.complete
        assert found.message is not None
        return Answered(answer.status_code, dict(answer.headers), found.message)
    body = json.loads(answer.content) if answer.content else {}
    return Answered(answer.status_code, dict(answer.headers), body)
