"""Requests for a scripted Claude, without any HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pytest_mnemosyne.simulation import ScriptedClaude
from pytest_mnemosyne.wire import (
    HttpRequest,
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
    answer = claude.handle(HttpRequest(method="POST", path=path, headers=headers, body=raw))
    if looks_like_sse(answer.body):
        found = assemble(json_events(decode(answer.body).events))
        assert found.complete
        assert found.message is not None
        return Answered(answer.status, dict(answer.headers), found.message)
    return Answered(answer.status, dict(answer.headers), json.loads(answer.body))
