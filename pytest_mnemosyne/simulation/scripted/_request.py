"""What Claude is asked, in the shape in which a script wants to look at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mnemosyne_core.lane import AGENT_HEADER
from pytest_mnemosyne.wire import HttpRequest, JsonObject, header, mapping, objects

# Requests end up in reports; the key of whoever runs the test does not.
_CREDENTIALS = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back to Claude."""

    tool_use_id: str
    text: str
    is_error: bool


@dataclass(frozen=True)
class ClaudeRequest:
    """One request for a message."""

    body: JsonObject
    """As sent."""

    messages: tuple[JsonObject, ...]
    """The whole conversation, also where the request only continues a thread."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; what authenticates the client reads `<redacted>`."""

    beta: bool = False
    """Whether the request asks for something that is in beta; other clients say it in the URL."""

    held: JsonObject = field(default_factory=dict)
    """What a thread holds and the request may not repeat: the system prompt, the tools."""

    custom_id: str | None = None
    """Its name in a batch; `None` for a request of its own."""

    @classmethod
    def of(
        cls,
        request: HttpRequest,
        body: JsonObject,
        *,
        earlier: tuple[JsonObject, ...] = (),
        held: JsonObject | None = None,
        custom_id: str | None = None,
    ) -> ClaudeRequest:
        """A request with a body that was parsed, after `earlier` messages of its thread."""
        return cls(
            body=body,
            messages=(*earlier, *objects(body.get("messages"))),
            held=held or {},
            custom_id=custom_id,
            headers={
                name: "<redacted>" if name in _CREDENTIALS else value
                for name, value in request.headers
            },
            beta="beta=true" in request.query.split("&")
            or header(request.headers, "anthropic-beta") is not None,
        )

    @property
    def settings(self) -> JsonObject:
        """The body, with what the request's thread holds."""
        return {**self.held, **self.body}

    def has(self, name: str) -> bool:
        """Whether a field is in the body, or held by the request's thread."""
        return name in self.body or name in self.held

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body.get("model", ""))

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as a stream of events."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int:
        """The bound on the answer."""
        bound: int = self.body.get("max_tokens", 0)
        return bound

    @property
    def agent(self) -> str | None:
        """The path of the agent that asks, where the request still says so."""
        return self.headers.get(AGENT_HEADER)

    @cached_property
    def system(self) -> str:
        """The system prompt; several blocks joined with a line ending."""
        return text_of(self.settings.get("system"))

    @property
    def tool_definitions(self) -> tuple[JsonObject, ...]:
        """The tools that Claude may call, as the API spells them."""
        return objects(self.settings.get("tools"))

    @cached_property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that Claude may call."""
        return tuple(str(tool.get("name", tool.get("type", ""))) for tool in self.tool_definitions)

    @cached_property
    def text(self) -> str:
        """Everything that is said in the conversation, the system prompt aside."""
        return "\n".join(text_of(message.get("content")) for message in self.messages)

    @cached_property
    def first_user_text(self) -> str:
        """What the conversation began with."""
        return next((said for said in self._user_texts() if said), "")

    @cached_property
    def last_user_text(self) -> str:
        """What the user said last; tool results are not what a user says."""
        return next((said for said in reversed(self._user_texts()) if said), "")

    @cached_property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """What tools gave back in the last message."""
        last = self.messages[-1] if self.messages else {}
        return tuple(
            ToolResult(
                tool_use_id=str(block.get("tool_use_id", "")),
                text=text_of(block.get("content")),
                is_error=block.get("is_error") is True,
            )
            for block in objects(last.get("content"))
            if block.get("type") == "tool_result"
        )

    @property
    def turn(self) -> int:
        """Which answer of the conversation this is about, from 1."""
        return 1 + sum(1 for message in self.messages if message.get("role") == "assistant")

    @cached_property
    def schema(self) -> JsonObject | None:
        """The JSON schema that the answer has to follow; `None` where there is none."""
        wanted = mapping(self.body.get("output_config")).get("format")
        wanted = mapping(wanted or self.body.get("output_format"))
        schema = wanted.get("schema")
        return schema if wanted.get("type") == "json_schema" and isinstance(schema, dict) else None

    def summary(self) -> str:
        """The request in one line, for reports."""
        said = self.last_user_text or self.text
        parts = [
            f"batch item {self.custom_id!r}" if self.custom_id is not None else "",
            f"agent {self.agent}" if self.agent else "",
            self.model,
            f"turn {self.turn}",
            f"system {brief(self.system)}" if self.system else "",
            f"{len(self.tool_results)} tool result(s)" if self.tool_results else "",
            f"user {brief(said)}",
        ]
        return ", ".join(part for part in parts if part)

    def _user_texts(self) -> list[str]:
        return [
            _plain_text(message.get("content"))
            for message in self.messages
            if message.get("role") == "user"
        ]


def brief(said: str, limit: int = 72) -> str:
    """A text in one quoted line of at most `limit` characters, for reports."""
    line = " ".join(said.split())
    return json.dumps(line if len(line) <= limit else f"{line[: limit - 1]}…", ensure_ascii=False)


def _plain_text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = objects(content)
    return "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")


def text_of(content: object) -> str:
    """What is said in a prompt or message content, tool calls and results included."""
    if isinstance(content, str):
        return content
    said = []
    for block in objects(content):
        match block:
            case {"type": "text", "text": str(words)} | {
                "type": "thinking",
                "thinking": str(words),
            }:
                said.append(words)
            case {"type": "tool_use", "name": str(name)}:
                said.append(f"{name} {json.dumps(block.get('input'), ensure_ascii=False)}")
            case {"type": "tool_result"}:
                said.append(text_of(block.get("content")))
    return "\n".join(said)
